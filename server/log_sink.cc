#include "server/log_sink.h"

#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

namespace sluice {

void LogSink::sink_it_(const spdlog::details::log_msg& message) {
  spdlog::memory_buf_t line;
  formatter_->format(message, line);
  if (dropped_ > 0 || cut_) {
    std::string gap =
        fmt::format("{}[{} lines were dropped: nobody read the log]\n", cut_ ? "\n" : "", dropped_);
    if (!write(gap.data(), gap.size())) {
      ++dropped_;
      return;
    }
    dropped_ = 0;
    cut_ = false;
  }
  if (!write(line.data(), line.size())) ++dropped_;
}

/// False: not all of it was taken. What is writable takes PIPE_BUF bytes without waiting.
bool LogSink::write(const char* data, std::size_t size) {
  std::size_t written = 0;
  while (written < size) {
    pollfd ready{descriptor_, POLLOUT, 0};
    ssize_t taken = -1;
    if (::poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0)
      taken = ::write(descriptor_, data + written, std::min<std::size_t>(size - written, PIPE_BUF));
    if (taken <= 0) break;
    written += static_cast<std::size_t>(taken);
  }
  cut_ = cut_ || (written > 0 && written < size);
  return written == size;
}

}  // namespace sluice
