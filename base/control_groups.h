// The control groups that limit a process, as folders.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct ControlGroup {
  std::string folder;
  bool v2 = false;  ///< it has the files of version 2, else those of version 1
};

/// The groups that a process is in and those around them, for their limits hold as well. In a
/// container the paths may be those of the host, of which only the roots are to be seen. Pure.
///   memberships  text of /proc/self/cgroup; what cannot be read of it is passed over
///   controller   of version 1, e.g. "memory"
///   mounts       names of the folders where that one may be, e.g. "memory"
std::vector<ControlGroup> control_groups(const std::string& memberships,
                                         std::string_view controller,
                                         std::initializer_list<std::string_view> mounts);

}  // namespace sluice
