// Which actor runs next: the ways in which a run can be unfair.
#pragma once

#include "tests/sim/chance.h"

#include <caf/resumable.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

namespace sluice::sim {

enum class PolicyKind : std::uint8_t {
  uniform,  ///< any actor that has mail
  pct,      ///< the one of highest priority; at a few random moments the first becomes the last
  round_robin,
  starve,  ///< uniform, but one kind of actor runs only when no other can, or rarely
};

/// Chooses among the actors that have mail; each choice handles one message. One run's.
///   Source of `pct`: Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of
///   Finding Bugs", ASPLOS 2010.
class Policy {
 public:
  /// Draws the kind, and what it needs, from the seed.
  explicit Policy(std::uint64_t seed);

  /// The place in `jobs` of the next one; `jobs` must not be empty.
  std::size_t choose(const std::deque<caf::resumable*>& jobs);

  [[nodiscard]] std::string describe() const;

 private:
  std::size_t choose_pct(const std::deque<caf::resumable*>& jobs);
  std::size_t choose_round_robin(const std::deque<caf::resumable*>& jobs);
  std::size_t choose_starving(const std::deque<caf::resumable*>& jobs);

  Chance chance_;
  PolicyKind kind_;
  std::vector<std::uint64_t> changes_;  ///< steps at which the first falls to the last place
  std::map<std::uint64_t, std::uint64_t> priorities_;  ///< by actor id; higher runs first
  std::uint64_t lowest_;
  std::uint64_t steps_ = 0;
  std::uint64_t last_id_ = 0;
  std::string starved_;
};

}  // namespace sluice::sim
