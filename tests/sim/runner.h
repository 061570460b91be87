// Runs seeds in several processes, counts what they saw, and shrinks what fails.
#pragma once

#include "tests/sim/run.h"

#include <cstdint>
#include <functional>

namespace sluice::sim {

struct SeedRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  ///< included
  std::uint32_t jobs = 1;
  bool shrink = true;
  std::uint64_t show = 5;    ///< failures
  bool until_first = false;  ///< failure, and no further
};
/// A range of so many seeds has to have seen every mark.
inline constexpr std::uint64_t kSeedsOfAFullRun = 10'000;
/// Every so many seeds one is run twice: the hashes must be equal.
inline constexpr std::uint64_t kRunTwiceEvery = 50;

/// Runs one seed twice and prints what came of it. Returns an exit code.
int run_one(const RunOptions& options, bool shrink);
/// Runs a range and prints a summary, for each failure one line that repeats it and one for its
/// smallest form. Returns an exit code.
int run_many(const SeedRange& range, const RunOptions& options);

/// The smallest run that still fails, found by leaving out kinds of faults, requests, lanes and
/// time, one at a time.
///   failed  the options of a run that fails, as its result has them
///   runs    runs to be tried at most
///   run     how to run
RunOptions shrink(const RunOptions& failed,
                  std::uint32_t runs = 200,
                  const std::function<RunResult(const RunOptions&)>& run = sim::run);

}  // namespace sluice::sim
