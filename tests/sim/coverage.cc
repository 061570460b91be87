#include "tests/sim/coverage.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdio>
#include <new>

namespace sluice::sim {
namespace {

constexpr std::size_t kMarks = static_cast<std::size_t>(Mark::kCount) + kFaults;
using Counts = std::array<std::atomic<std::uint64_t>, kMarks>;

Counts* counts() {
  // Shared with the processes that are forked later.
  static Counts* const shared = [] {
    void* memory =
        ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return new (memory) Counts();
  }();
  return shared;
}

std::string name_of_mark(std::size_t i) {
  if (i < kMarkNames.size()) return std::string(kMarkNames[i]);
  return "fault " + std::string(kFaultNames[i - kMarkNames.size()]);
}

}  // namespace

void share_coverage() {
  counts();
}

void mark(Mark mark, std::uint64_t times) {
  (*counts())[static_cast<std::size_t>(mark)].fetch_add(times, std::memory_order_relaxed);
}

void mark(Fault fault) {
  (*counts())[kMarkNames.size() + static_cast<std::size_t>(fault)].fetch_add(
      1, std::memory_order_relaxed);
}

std::string coverage_table() {
  std::string table;
  for (std::size_t i = 0; i < kMarks; ++i) {
    char line[80];
    std::snprintf(line,
                  sizeof line,
                  "%-28s %10llu%s",
                  name_of_mark(i).c_str(),
                  static_cast<unsigned long long>((*counts())[i].load()),
                  i % 2 == 1 || i + 1 == kMarks ? "\n" : "    ");
    table += line;
  }
  return table;
}

std::vector<std::string> marks_never_hit() {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < kMarks; ++i)
    if ((*counts())[i].load() == 0) names.push_back(name_of_mark(i));
  return names;
}

}  // namespace sluice::sim
