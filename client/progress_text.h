// How far something is that takes its time, in a line of text.
#pragma once

#include "base/clock.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

namespace sluice {

/// "98.4 MB"; powers of 1000, as the hub counts.
std::string bytes_text(std::uint64_t bytes);

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

/// Columns of the terminal that the descriptor is; 80 where it is none or does not say.
std::size_t terminal_width(int descriptor);

}  // namespace sluice
