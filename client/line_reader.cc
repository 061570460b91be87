#include "client/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace sluice {

Result<bool> LineReader::read_more() {
  for (;;) {
    std::array<pollfd, 2> ready{{{descriptor_, POLLIN, 0}, {interrupts_.descriptor(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno == EINTR) continue;
    if (ready[1].revents != 0) return Error{ErrorCode::cancelled, "interrupted"};
    std::array<char, 65536> piece{};
    const ssize_t size = ::read(descriptor_, piece.data(), piece.size());
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size <= 0) return false;  // a terminal that is gone is an end, too
    read_.append(piece.data(), static_cast<std::size_t>(size));
    return true;
  }
}

Result<std::optional<std::string>> LineReader::line() {
  constexpr std::size_t kLineBytesMax = std::size_t{1} << 20;
  for (;;) {
    if (const std::size_t end = read_.find('\n'); end != std::string::npos) {
      std::string line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return std::optional(std::move(line));
    }
    if (read_.size() > kLineBytesMax)
      return Error{ErrorCode::resource_exhausted, "a line has more than 1 MiB"};
    Result<bool> more = read_more();
    if (!more) return more.error();
    if (!*more) {
      if (read_.empty()) return std::optional<std::string>();
      return std::optional(std::exchange(read_, {}));
    }
  }
}

Result<std::string> LineReader::rest(std::size_t bytes_max) {
  for (;;) {
    if (read_.size() > bytes_max)
      return Error{ErrorCode::resource_exhausted,
                   "standard input has more than " + std::to_string(bytes_max >> 20) + " MiB"};
    Result<bool> more = read_more();
    if (!more) return more.error();
    if (!*more) return std::exchange(read_, {});
  }
}

}  // namespace sluice
