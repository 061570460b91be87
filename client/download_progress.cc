#include "client/download_progress.h"

#include "client/interrupts.h"

#include <unistd.h>

#include <chrono>

namespace sluice {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);

}  // namespace

DownloadProgress::DownloadProgress(const Clock& clock, std::uint64_t total)
    : clock_(clock), is_terminal_(::isatty(STDERR_FILENO) == 1), total_(total) {}

void DownloadProgress::begin(const std::string& name, std::uint64_t size) {
  name_ = name;
  size_ = size;
  done_ = 0;
  draw();
}

void DownloadProgress::set(std::uint64_t done) {
  const bool is_news = done > done_ && done_ > 0;
  if (is_news) come_ += done - done_;
  done_ = done;
  const TimePoint now = clock_.now();
  meter_.add(now, come_);
  if (is_drawn_ && now - drawn_ < kRedraw) return;
  drawn_ = now;
  draw();
}

void DownloadProgress::end() {
  before_ += size_;
  done_ = 0;
  if (!is_terminal_) say(name_ + "  " + bytes_text(size_));
}

void DownloadProgress::draw() {
  if (!is_terminal_) return;
  // One column stays free: at the last one some terminals begin a new line.
  const std::size_t width = terminal_width(STDERR_FILENO) - 1;
  const std::string text =
      progress_text(before_ + done_, total_, meter_.bytes_per_second(), name_, width);
  write_all(STDERR_FILENO, "\r" + text + "\x1b[K");
  is_drawn_ = true;
}

void DownloadProgress::clear() {
  if (is_drawn_) write_all(STDERR_FILENO, "\r\x1b[K");
  is_drawn_ = false;
}

void DownloadProgress::say(std::string_view message) {
  clear();
  write_all(STDERR_FILENO, std::string(message) + "\n");
}

}  // namespace sluice
