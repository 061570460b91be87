// How long things took, in fixed memory: buckets that grow with what they count.
#pragma once

#include "base/clock.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice::overload {

/// Counts durations in buckets whose width is at most 1/32 of what they hold: a quantile is off by
/// 1.6 % at most. Microseconds; less than 32 are exact, beyond 71 minutes all are alike. 3.5 KB,
/// whatever is recorded. Not thread-safe.
class LatencyHistogram {
 public:
  void record(Duration duration) {
    ++buckets_[bucket_of(duration)];
    ++count_;
  }
  void add(const LatencyHistogram& other) {
    for (std::size_t i = 0; i < kBuckets; ++i)
      buckets_[i] += other.buckets_[i];
    count_ += other.count_;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  /// What this part of all, at least, does not exceed: the middle of the bucket that holds it.
  /// Zero if nothing was recorded.
  ///   part  in (0, 1]: 0.99 for p99
  [[nodiscard]] Duration quantile(double part) const;

 private:
  static constexpr int kBits = 5;
  static constexpr std::uint64_t kWidth = 1 << kBits;  // buckets of an octave
  static constexpr std::size_t kBuckets = (32 - kBits + 1) * kWidth;

  /// Below 32 a bucket for each microsecond; then 32 for each power of two.
  static std::size_t bucket_of(Duration duration) {
    auto us = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
    if (us < 0) us = 0;
    auto value = std::min<std::uint64_t>(static_cast<std::uint64_t>(us), 0xFFFFFFFF);
    if (value < kWidth) return static_cast<std::size_t>(value);
    int shift = std::bit_width(value) - 1 - kBits;
    return (static_cast<std::size_t>(shift) << kBits) + static_cast<std::size_t>(value >> shift);
  }

  std::array<std::uint32_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
};

inline Duration LatencyHistogram::quantile(double part) const {
  auto rank = static_cast<std::uint64_t>(part * static_cast<double>(count_));
  if (static_cast<double>(rank) < part * static_cast<double>(count_)) ++rank;
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen < rank || buckets_[i] == 0) continue;
    if (i < kWidth) return std::chrono::microseconds(i);
    auto shift = (i >> kBits) - 1;
    auto low = (kWidth + (i & (kWidth - 1))) << shift;
    return std::chrono::microseconds(low + ((std::uint64_t{1} << shift) >> 1));
  }
  return Duration(0);
}

}  // namespace sluice::overload
