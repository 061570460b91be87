// How much may be taken in a time, and how much at once.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace sluice {

/// So many units in a period, as a steady flow, of which up to `burst` may be saved up.
struct Rate {
  std::uint64_t units = 0;                    ///< up to kMax; 0: without a limit
  Duration period = std::chrono::seconds(1);  ///< up to a day
  std::uint64_t burst = 0;                    ///< 1 to kMax

  static constexpr std::uint64_t kMax = std::uint64_t{1} << 50;

  [[nodiscard]] bool is_limited() const { return units > 0; }
  friend bool operator==(const Rate&, const Rate&) = default;
};

/// A token bucket as the generic cell rate algorithm: one time, that at which the bucket will be
/// full, stands for all of its state. In any window of length w no more is taken than
/// w * units / period + burst; exactly, for nothing is rounded. Pure. Not thread-safe.
///   Source: ITU-T I.371, annex A (virtual scheduling algorithm).
class TokenBucket {
 public:
  /// Full at first.
  explicit TokenBucket(Rate rate) : rate_(rate) {}

  /// How long until `n` may be taken and `keep` remain behind; zero: now. Duration::max(): never,
  /// for the bucket does not hold so many.
  [[nodiscard]] Duration wait(std::uint64_t n, std::uint64_t keep, TimePoint now) const;
  /// Takes what is there: `wait(n, 0, now)` is zero.
  void take(std::uint64_t n, TimePoint now);
  /// What was taken and not used comes back; a full bucket does not take it.
  void give_back(std::uint64_t n);
  /// Changes the rate. What is there stays there, up to the new burst.
  void set_rate(Rate rate, TimePoint now);

  /// Whole units that are there; 0 without a limit.
  [[nodiscard]] std::uint64_t level(TimePoint now) const;
  /// How long until it is full.
  [[nodiscard]] Duration until_full(TimePoint now) const;
  [[nodiscard]] const Rate& rate() const { return rate_; }

 private:
  /// A time in parts, of which a nanosecond has `rate_.units`: a unit flows in in a whole number of
  /// them.
  __extension__ using Parts = __int128;
  [[nodiscard]] Parts parts_of(std::uint64_t n) const;
  [[nodiscard]] Parts now_in_parts(TimePoint now) const;
  /// The time that the empty part of the bucket needs to fill.
  [[nodiscard]] Parts empty(TimePoint now) const;

  Rate rate_;
  Parts full_at_ = 0;  ///< on the clock; long ago at first
};

}  // namespace sluice
