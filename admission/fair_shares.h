// How much each tenant has had of a rate that all of them share.
#pragma once

#include "base/clock.h"

#include <cstdint>

namespace sluice {

/// Whoever asks fastest would have all that flows into a bucket as soon as it is there. So a last
/// part of it is kept for those who have had less than their share in this second: the nearer
/// somebody is to its share, the more of that part it leaves, and beyond its share all of it.
/// Shares go by weight among those who have had something in this second or the last one, and one
/// newcomer of weight 1, who finds something in any case. Nobody is held up while the bucket holds
/// more.
///
/// Pure. Not thread-safe. Costs the same however many tenants there are.
class FairShares {
 public:
  /// Of one tenant. Owner: its account.
  struct Use {
    std::int64_t second = -2;  ///< the last in which it had something
    std::uint64_t had = 0;     ///< then
    std::uint32_t weight = 0;  ///< it was counted with
  };

  /// Of `reserve` units what a tenant of this weight has to leave behind.
  ///   reserve     below 2^32
  ///   per_second  units that flow in for all
  [[nodiscard]] std::uint64_t leaves(const Use& use,
                                     std::uint32_t weight,
                                     std::uint64_t reserve,
                                     std::uint64_t per_second,
                                     TimePoint now) const;
  /// A tenant has had a unit.
  void had(Use& use, std::uint32_t weight, TimePoint now);

 private:
  /// The weights of those who have had something lately.
  [[nodiscard]] std::uint64_t active(std::int64_t second) const;
  void roll(std::int64_t second);

  std::int64_t second_ = 0;
  std::uint64_t now_ = 0;     ///< weights of those who have had something in that second
  std::uint64_t before_ = 0;  ///< and of others, in the one before
};

}  // namespace sluice
