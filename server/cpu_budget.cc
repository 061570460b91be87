#include "server/cpu_budget.h"

#include "base/control_groups.h"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint32_t kUnlimited = std::numeric_limits<std::uint32_t>::max();

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

/// Whole cores of a quota; without one ("max", -1) there is no limit.
std::uint32_t cores_of(std::string_view quota, std::string_view period) {
  auto runs = number_of(quota);
  auto of = number_of(period);
  if (!runs || !of || *of == 0) return kUnlimited;
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(*runs / *of, 1, kUnlimited));
}

std::uint32_t quota_v2(const CpuReadings& readings, const std::string& folder) {
  auto text = readings.read(folder + "/cpu.max");
  if (!text) return kUnlimited;
  std::istringstream fields(*text);
  std::string quota;
  std::string period;
  fields >> quota >> period;
  return cores_of(quota, period);
}

std::uint32_t quota_v1(const CpuReadings& readings, const std::string& folder) {
  auto quota = readings.read(folder + "/cpu.cfs_quota_us");
  auto period = readings.read(folder + "/cpu.cfs_period_us");
  return quota && period ? cores_of(*quota, *period) : kUnlimited;
}

}  // namespace

std::uint32_t usable_cores(const CpuReadings& readings) {
  std::uint32_t cores = std::max(1U, readings.affinity);
  for (const ControlGroup& group : control_groups(readings.cgroups, "cpu", {"cpu", "cpu,cpuacct"}))
    cores = std::min(
        cores, group.v2 ? quota_v2(readings, group.folder) : quota_v1(readings, group.folder));
  return cores;
}

std::uint32_t usable_cores() {
  CpuReadings readings;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  // A machine with more cores than the set has room for gives an error; it has cores enough.
  readings.affinity = ::sched_getaffinity(0, sizeof allowed, &allowed) == 0
                          ? static_cast<std::uint32_t>(CPU_COUNT(&allowed))
                          : std::max(1U, std::thread::hardware_concurrency());
  readings.read = [](const std::string& path) -> std::optional<std::string> {
    std::ifstream file(path);
    if (!file) return std::nullopt;
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  };
  readings.cgroups = readings.read("/proc/self/cgroup").value_or("");
  return usable_cores(readings);
}

std::uint32_t threads_per_lane(std::uint32_t cores, std::uint32_t lanes) {
  return std::max(1U, cores / std::max(1U, lanes));
}

std::uint32_t network_threads(std::uint32_t cores) {
  return std::clamp(cores, 1U, 4U);
}

std::uint32_t actor_threads(std::uint32_t cores) {
  return std::max({1U, cores / 2, cores - std::min(cores, network_threads(cores))});
}

}  // namespace sluice
