// Who takes which units of a piece of work: a range a thread, claimed from its front by the owner
// and from its back by those who have nothing left.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace sluice {

/// Units [begin, end) of a piece of work.
struct Units {
  std::uint32_t begin = 0, end = 0;
  [[nodiscard]] bool empty() const { return begin >= end; }
  [[nodiscard]] std::uint32_t count() const { return end - begin; }
};

/// The units that one thread has before it and nobody has claimed. Each is given out once. The
/// owner goes on where it was, so that it reads memory in one direction; thieves take from the far
/// end. Both take half of what is left, so that the last claims are small and all threads end at
/// about the same time.
///
/// Ranges carry the number of their piece of work: who comes late, for a piece that is over, gets
/// nothing. Lock-free; any thread may claim. Aligned, so that the threads do not disturb each other
/// until one steals.
class alignas(64) ClaimRange {
 public:
  /// Units are counted in so many bits.
  static constexpr std::uint32_t kUnitsMax = 0xFFFF;

  /// Offers `units` of the piece `work`. Everything written before is seen by whoever claims one.
  void offer(std::uint32_t work, Units units) {
    word_.store(pack(work, units), std::memory_order_release);
  }
  /// The next units of the piece `work`, at most `most`; empty: there are none.
  Units take(std::uint32_t work, std::uint32_t most) { return claim<false>(work, most); }
  /// The same from the other end.
  Units steal(std::uint32_t work, std::uint32_t most) { return claim<true>(work, most); }

 private:
  static std::uint64_t pack(std::uint32_t work, Units units) {
    return std::uint64_t{work} << 32 | units.begin << 16 | units.end;
  }

  template <bool kFromTheEnd>
  Units claim(std::uint32_t work, std::uint32_t most) {
    std::uint64_t word = word_.load(std::memory_order_acquire);
    for (;;) {
      Units left{static_cast<std::uint32_t>(word) >> 16, static_cast<std::uint32_t>(word & 0xFFFF)};
      if (word >> 32 != work || left.empty()) return {};
      std::uint32_t count = std::clamp((left.count() + 1) / 2, 1U, most);
      std::uint32_t middle = kFromTheEnd ? left.end - count : left.begin + count;
      Units low{left.begin, middle};
      Units high{middle, left.end};
      std::uint64_t rest = pack(work, kFromTheEnd ? low : high);
      if (word_.compare_exchange_weak(word, rest, std::memory_order_acq_rel))
        return kFromTheEnd ? high : low;
    }
  }

  std::atomic<std::uint64_t> word_{0};
};

}  // namespace sluice
