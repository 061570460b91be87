#include "client/progress.h"

#include "base/utf8.h"

#include "client/hub_files.h"
#include "client/interrupts.h"
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace sluice {
namespace {

constexpr Duration kWindow = std::chrono::seconds(10);
constexpr Duration kRedraw = std::chrono::milliseconds(100);

std::size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80U;
}

std::string time_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::ceil(seconds));
  if (whole < 120) return std::to_string(whole) + " s";
  if (whole < 7200) return std::to_string(whole / 60) + " min";
  return std::to_string(whole / 3600) + " h";
}

}  // namespace

void RateMeter::add(TimePoint now, std::uint64_t bytes) {
  // A sample each tenth of a second is enough, and bounds their number.
  if (samples_.size() >= 2 && now - samples_[samples_.size() - 2].time < kRedraw) {
    samples_.back() = {now, bytes};
  } else {
    samples_.push_back({now, bytes});
  }
  while (samples_.size() > 2 && now - samples_.front().time > kWindow)
    samples_.pop_front();
}

double RateMeter::bytes_per_second() const {
  if (samples_.size() < 2) return 0;
  const Sample& first = samples_.front();
  const Sample& last = samples_.back();
  const double seconds = std::chrono::duration<double>(last.time - first.time).count();
  if (seconds <= 0 || last.bytes <= first.bytes) return 0;
  return static_cast<double>(last.bytes - first.bytes) / seconds;
}

std::string progress_text(std::uint64_t done,
                          std::uint64_t total,
                          double bytes_per_second,
                          std::string_view name,
                          std::size_t width) {
  done = std::min(done, total);
  const double part = total == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total);
  std::string percent = std::to_string(static_cast<int>(part * 100));
  std::string text = std::string(3 - percent.size(), ' ') + percent + "% of " + bytes_text(total);
  if (bytes_per_second >= 1) {
    text += ", " + bytes_text(static_cast<std::uint64_t>(bytes_per_second)) + "/s, ";
    text += time_text(static_cast<double>(total - done) / bytes_per_second) + " left";
  }
  text.append("  ").append(name);
  return text.substr(0, valid_utf8_prefix(std::string_view(text).substr(0, width)));
}

Progress::Progress(const Clock& clock, std::uint64_t total)
    : clock_(clock), is_terminal_(::isatty(STDERR_FILENO) == 1), total_(total) {}

void Progress::begin(const std::string& name, std::uint64_t size) {
  name_ = name;
  size_ = size;
  done_ = 0;
  draw();
}

void Progress::set(std::uint64_t done) {
  const bool is_news = done > done_ && done_ > 0;
  if (is_news) come_ += done - done_;
  done_ = done;
  const TimePoint now = clock_.now();
  meter_.add(now, come_);
  if (is_drawn_ && now - drawn_ < kRedraw) return;
  drawn_ = now;
  draw();
}

void Progress::end() {
  before_ += size_;
  done_ = 0;
  if (!is_terminal_) say(name_ + "  " + bytes_text(size_));
}

void Progress::draw() {
  if (!is_terminal_) return;
  // One column stays free: at the last one some terminals begin a new line.
  const std::size_t width = terminal_width() - 1;
  const std::string text =
      progress_text(before_ + done_, total_, meter_.bytes_per_second(), name_, width);
  write_all(STDERR_FILENO, "\r" + text + "\x1b[K");
  is_drawn_ = true;
}

void Progress::clear() {
  if (is_drawn_) write_all(STDERR_FILENO, "\r\x1b[K");
  is_drawn_ = false;
}

void Progress::say(std::string_view message) {
  clear();
  write_all(STDERR_FILENO, std::string(message) + "\n");
}

}  // namespace sluice
