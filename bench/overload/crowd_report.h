// What a run of the crowd found out, in a table and as JSON.
#pragma once

#include "bench/overload/crowd_clients.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice::overload {

/// What this process holds, in bytes.
struct CrowdMemory {
  std::uint64_t resident = 0;
  std::uint64_t in_use = 0;  ///< of the allocator, as it tells

  [[nodiscard]] static CrowdMemory now();
};

struct CrowdResult {
  CrowdClients::Figures figures;
  CrowdMemory before;
  CrowdMemory inside;            ///< when all had been let in or refused
  CrowdMemory after;             ///< when all had ended
  CrowdMemory given_back;        ///< when the allocator had been told to give back what it can
  double giving_back_ms = 0;     ///< which took so long
  std::size_t inside_count = 0;  ///< requests that `inside` is of
  std::size_t most_inside = 0;
  std::uint64_t peak_resident = 0;
  std::uint64_t worker_memory = 0;  ///< of all workers, at the same time as `inside`
  std::uint64_t faults = 0;         ///< what no client may see
  std::uint64_t restarts = 0;       ///< of workers
  double arrival_s = 0;             ///< until all had been asked
  double decided_s = 0;             ///< until all had been let in, or refused
  double total_s = 0;
  double cpu_s = 0;  ///< of this process: server and clients

  /// Every request ended exactly once.
  [[nodiscard]] bool is_sound() const {
    return faults == 0 && figures.of(CrowdEnd::none) == 0 && figures.of(CrowdEnd::cut) == 0;
  }
  /// Bytes for each request inside, its client included.
  [[nodiscard]] double resident_each() const { return each(before.resident, inside.resident); }
  [[nodiscard]] double in_use_each() const { return each(before.in_use, inside.in_use); }

 private:
  [[nodiscard]] double each(std::uint64_t from, std::uint64_t to) const {
    if (inside_count == 0 || to < from) return 0;
    return static_cast<double>(to - from) / static_cast<double>(inside_count);
  }
};

[[nodiscard]] std::string crowd_table(const CrowdResult& result);
[[nodiscard]] std::string crowd_json(const CrowdResult& result);

}  // namespace sluice::overload
