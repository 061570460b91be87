#include "server/log_sink.h"

#include "client/terminal_text.h"

#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

namespace sluice {
namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";

}  // namespace

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  if (dropped_ > 0 || cut_) {
    std::string gap =
        fmt::format("{}[{} lines were dropped: nobody read the log]\n", cut_ ? "\n" : "", dropped_);
    if (!write(gap)) {
      drop();
      return;
    }
    dropped_ = 0;
    cut_ = false;
  }
  // What files and clients say may stand in it.
  std::string text = shown_text({line.data(), line.size()});
  if (!below_.empty()) text = std::string(kClearLine) + text + below_;
  if (!write(text)) drop();
}

void LogSink::drop() {
  ++dropped_;
  dropped_in_all_.fetch_add(1, std::memory_order_relaxed);
}

void LogSink::keep_below(std::string_view line) {
  std::lock_guard guard(mutex_);
  if (line == below_) return;
  below_ = line;
  write(std::string(kClearLine) + below_);
}

/// False: not all of it was taken. What is writable takes PIPE_BUF bytes without waiting.
bool LogSink::write(std::string_view text) {
  std::size_t written = 0;
  while (written < text.size()) {
    pollfd ready{descriptor_, POLLOUT, 0};
    ssize_t taken = -1;
    if (::poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0)
      taken = ::write(descriptor_,
                      text.data() + written,
                      std::min<std::size_t>(text.size() - written, PIPE_BUF));
    if (taken <= 0) break;
    written += static_cast<std::size_t>(taken);
  }
  cut_ = cut_ || (written > 0 && written < text.size());
  return written == text.size();
}

}  // namespace sluice
