// How far a download is: one line for all files.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace sluice {

/// Bytes in a second, of the last ten seconds.
class RateMeter {
 public:
  /// So many bytes were there at this time; times do not go backwards.
  void add(TimePoint now, std::uint64_t bytes);
  /// 0: not known yet.
  [[nodiscard]] double bytes_per_second() const;

 private:
  struct Sample {
    TimePoint time;
    std::uint64_t bytes;
  };
  std::deque<Sample> samples_;
};

/// "  45% of 2.7 GB, 35.6 MB/s, 42 s left  model.safetensors", cut after `width` columns.
std::string progress_text(std::uint64_t done,
                          std::uint64_t total,
                          double bytes_per_second,
                          std::string_view name,
                          std::size_t width);

/// Shows progress on standard error: on a terminal as a line that changes ten times a second,
/// elsewhere as a line a file. Not thread-safe.
class Progress {
 public:
  Progress(const Clock& clock, std::uint64_t total);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What follows is about this file.
  void begin(const std::string& name, std::uint64_t size);
  /// So many bytes of this file are there, by now or from before.
  void set(std::uint64_t done);
  /// The file is complete.
  void end();
  /// A message among all that.
  void say(std::string_view message);

 private:
  void draw();
  void clear();

  const Clock& clock_;
  bool is_terminal_;
  std::uint64_t total_;
  std::uint64_t before_ = 0;  // bytes of the files that are complete
  std::string name_;
  std::uint64_t size_ = 0;
  std::uint64_t done_ = 0;
  RateMeter meter_;
  std::uint64_t come_ = 0;  // bytes that have come, for the meter
  TimePoint drawn_{};
  bool is_drawn_ = false;
};

}  // namespace sluice
