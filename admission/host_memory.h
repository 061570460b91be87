// How much of the memory that the system allows this process is used.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// The port to the host's memory, so that a test or a simulation can own it.
class HostMemory {
 public:
  virtual ~HostMemory() = default;
  /// Used of the limit: 1 is all of it; 0 without a limit. Called by one actor, ten times a second
  /// while requests are inside; must not wait.
  virtual double used() = 0;
};

/// What the system says of a control group and those around it.
struct MemoryReadings {
  std::string cgroups;  ///< /proc/self/cgroup
  /// The text of a file, or none.
  std::function<std::optional<std::string>(const std::string& path)> read;
};

/// Used of the limit, of the group of the process or of one around it, whichever is closest to its
/// limit; 0 if none has one. Pages of files do not count, for the kernel takes them back: mapped
/// weights are such. A group whose tasks stood still for memory in 10 % of the last ten seconds
/// counts as 85 % used at the least, in 20 % and more as much more, up to 90 %: it is used as far
/// as the kernel can, and taking back costs more than it gives. Pure. Source: the kernel's
/// documents of control groups, v2 "memory.current", "memory.max", "memory.high", "memory.stat",
/// "memory.pressure", and v1 "memory.usage_in_bytes", "memory.limit_in_bytes", "memory.stat".
double memory_used(const MemoryReadings& readings);

/// "avg10" of the line "some" of a file of pressure, in percent; 0: there is none.
double pressure_some_avg10(std::string_view text);
/// The number behind a key that begins a line; none: there is no such line.
std::optional<double> field_of(std::string_view text, std::string_view key);

}  // namespace sluice
