// How many cores this process may use: what the machine has is not what a container gets.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace sluice {

/// What the system says of a process's share of the processors.
struct CpuReadings {
  std::uint32_t affinity = 1;  ///< cores its threads may run on
  std::string cgroups;         ///< /proc/self/cgroup
  /// The text of a file, or none.
  std::function<std::optional<std::string>(const std::string& path)> read;
};

/// Cores that may be kept busy, at least 1: the affinity mask, or the smallest quota of the
/// process's control group and those around it if that is less. Parts of a core do not count: a
/// thread on half a core is stopped in the middle of its work. Pure. Source: the kernel's documents
/// of control groups, v2 "cpu.max" and v1 "cpu.cfs_quota_us".
std::uint32_t usable_cores(const CpuReadings& readings);

/// The same of this process, as the system says it now.
std::uint32_t usable_cores();

/// Compute threads of each of `lanes` workers that share `cores`, at least 1.
std::uint32_t threads_per_lane(std::uint32_t cores, std::uint32_t lanes);

/// Network threads of the front.
std::uint32_t network_threads(std::uint32_t cores);

/// Actors that the front runs at once: on as many cores as network threads leave, and on half of
/// them at least.
std::uint32_t actor_threads(std::uint32_t cores);

}  // namespace sluice
