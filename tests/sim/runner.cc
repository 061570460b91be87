#include "tests/sim/runner.h"

#include "tests/sim/coverage.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <new>
#include <string>
#include <vector>

namespace sluice::sim {
namespace {

constexpr std::size_t kProcessesMax = 64;

/// What the processes of a range share.
struct Board {
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> failed{0};
  std::atomic<std::uint64_t> events{0};
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> preemptions{0};
  std::atomic<std::uint64_t> virtual_ms{0};
  std::array<std::atomic<std::uint64_t>, kProcessesMax> seeds{};  ///< that each process runs now
};

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void show_failure(const RunResult& result) {
  std::string text = "FAILED: sim " + to_string(result.used) + "\n  " + result.description + "\n";
  for (std::size_t i = 0; i < result.violations.size() && i < 5; ++i)
    text += "  " + result.violations[i] + "\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

void show_smallest(const RunResult& failed) {
  RunOptions smallest = shrink(failed.used);
  RunResult result = run(smallest);
  std::string text = "  smallest: sim " + to_string(result.used) + "\n";
  if (!result.violations.empty()) text += "    " + result.violations[0] + "\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

/// False: two runs of the seed differ.
bool repeats(const RunOptions& options, const RunResult& first) {
  RunOptions again = options;
  again.trace_file.clear();
  again.verbose = false;
  return run(again).hash == first.hash;
}

void work(const SeedRange& range, const RunOptions& options, Board& board, std::size_t process) {
  for (;;) {
    std::uint64_t seed = range.first + board.next.fetch_add(1);
    if (seed > range.last || (range.until_first && board.failed.load() > 0)) return;
    RunOptions one = options;
    one.seed = seed;
    board.seeds[process] = seed;
    RunResult result = run(one);
    board.events += result.events;
    board.messages += result.messages;
    board.preemptions += result.preemptions;
    board.virtual_ms += static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(result.virtual_time).count());
    if (result.ok() && seed % kRunTwiceEvery == 0 && !repeats(one, result))
      result.violations.push_back("two runs of the seed differ");
    board.done += 1;
    if (result.ok()) continue;
    if (board.failed.fetch_add(1) >= range.show) continue;
    show_failure(result);
    if (range.shrink) show_smallest(result);
  }
}

}  // namespace

int run_one(const RunOptions& options, bool shrink) {
  auto begin = std::chrono::steady_clock::now();
  RunResult result = run(options);
  double real = seconds_since(begin);
  double time = std::chrono::duration<double>(result.virtual_time).count();
  if (!repeats(options, result)) result.violations.push_back("two runs of the seed differ");
  std::printf(
      "sim %s\n  %s\n  %.3f s of virtual time in %.3f s, %llu events, %llu messages, hash "
      "%016llx\n",
      to_string(result.used).c_str(),
      result.description.c_str(),
      time,
      real,
      static_cast<unsigned long long>(result.events),
      static_cast<unsigned long long>(result.messages),
      static_cast<unsigned long long>(result.hash));
  if (result.ok()) return 0;
  show_failure(result);
  if (shrink) show_smallest(result);
  return 1;
}

int run_many(const SeedRange& range, const RunOptions& options) {
  void* memory =
      ::mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto& board = *new (memory) Board();
  auto begin = std::chrono::steady_clock::now();
  std::fflush(stdout);
  std::vector<pid_t> children;
  auto jobs = std::clamp<std::size_t>(range.jobs, 1, kProcessesMax);
  for (std::size_t i = 0; i < jobs; ++i) {
    pid_t child = ::fork();
    if (child == 0) {
      work(range, options, board, i);
      std::fflush(stdout);
      ::_exit(0);
    }
    children.push_back(child);
  }
  bool crashed = false;
  for (std::size_t i = 0; i < children.size(); ++i) {
    int status = 0;
    ::waitpid(children[i], &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
    crashed = true;
    std::printf("FAILED: sim --seed %llu\n  the process ended with %s %d\n",
                static_cast<unsigned long long>(board.seeds[i].load()),
                WIFEXITED(status) ? "code" : "signal",
                WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  }
  double real = seconds_since(begin);
  auto seeds = board.done.load();
  double time = static_cast<double>(board.virtual_ms.load()) / 1000;
  std::printf("%s", coverage_table().c_str());
  std::printf(
      "%llu seeds in %.1f s (%.1f ms each in each of %zu processes), %.0f s of virtual time: %.0f "
      "times real time; %llu events, %llu messages, %llu preemptions\n",
      static_cast<unsigned long long>(seeds),
      real,
      real * 1000 * std::max(1U, range.jobs) /
          static_cast<double>(std::max<std::uint64_t>(1, seeds)),
      jobs,
      time,
      time / real,
      static_cast<unsigned long long>(board.events.load()),
      static_cast<unsigned long long>(board.messages.load()),
      static_cast<unsigned long long>(board.preemptions.load()));
  bool blind = false;
  if (range.last - range.first + 1 >= kSeedsOfAFullRun && options.faults == FaultSet::all()) {
    for (const std::string& name : marks_never_hit()) {
      std::printf("FAILED: never seen: %s\n", name.c_str());
      blind = true;
    }
  }
  std::printf("%llu violations\n", static_cast<unsigned long long>(board.failed.load()));
  return board.failed.load() > 0 || crashed || blind ? 1 : 0;
}

RunOptions shrink(const RunOptions& failed,
                  std::uint32_t runs,
                  const std::function<RunResult(const RunOptions&)>& run) {
  RunOptions smallest = failed;
  smallest.trace_file.clear();
  smallest.verbose = false;
  auto still_fails = [&](const RunOptions& candidate) {
    if (runs == 0) return false;
    --runs;
    RunResult result = run(candidate);
    if (result.ok()) return false;
    smallest = result.used;
    return true;
  };
  for (bool smaller = true; smaller && runs > 0;) {
    smaller = false;
    for (std::size_t i = 0; i < kFaults; ++i) {
      auto fault = static_cast<Fault>(i);
      if (!smallest.faults.has(fault)) continue;
      RunOptions candidate = smallest;
      candidate.faults.set(fault, false);
      smaller = still_fails(candidate) || smaller;
    }
    for (std::uint32_t part : {2U, 4U, 1000U}) {
      RunOptions candidate = smallest;
      std::uint32_t requests = smallest.requests.value_or(1);
      candidate.requests = requests - std::max(1U, requests / part);
      if (requests > 1 && still_fails(candidate)) smaller = true;
    }
    if (smallest.models.value_or(1) > 1) {
      RunOptions candidate = smallest;
      candidate.models = *smallest.models - 1;
      smaller = still_fails(candidate) || smaller;
    }
    if (smallest.lanes.value_or(1) > smallest.models.value_or(1)) {
      RunOptions candidate = smallest;
      candidate.lanes = *smallest.lanes - 1;
      smaller = still_fails(candidate) || smaller;
    }
    if (smallest.fault_time.value_or(Duration::zero()) > std::chrono::milliseconds(200)) {
      RunOptions candidate = smallest;
      candidate.fault_time = std::chrono::milliseconds(
          std::chrono::duration_cast<std::chrono::milliseconds>(*smallest.fault_time).count() * 3 /
          4);
      smaller = still_fails(candidate) || smaller;
    }
  }
  return smallest;
}

}  // namespace sluice::sim
