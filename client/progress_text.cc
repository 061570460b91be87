#include "client/progress_text.h"

#include "base/utf8.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>

namespace sluice {
namespace {

constexpr Duration kWindow = std::chrono::seconds(10);
constexpr Duration kSample = std::chrono::milliseconds(100);

std::string time_text(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::ceil(seconds));
  if (whole < 120) return std::to_string(whole) + " s";
  if (whole < 7200) return std::to_string(whole / 60) + " min";
  return std::to_string(whole / 3600) + " h";
}

}  // namespace

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array kUnits = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  auto size = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  for (; size >= 999.95 && unit + 1 < kUnits.size(); ++unit)
    size /= 1000;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", size, kUnits[unit]);
  return text.data();
}

void RateMeter::add(TimePoint now, std::uint64_t bytes) {
  // A sample each tenth of a second is enough, and bounds their number.
  if (samples_.size() >= 2 && now - samples_[samples_.size() - 2].time < kSample) {
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

std::size_t terminal_width(int descriptor) {
  winsize size{};
  const bool known = ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80U;
}

}  // namespace sluice
