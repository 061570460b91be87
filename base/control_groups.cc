#include "base/control_groups.h"

#include <cstddef>
#include <sstream>

namespace sluice {
namespace {

constexpr std::string_view kRoot = "/sys/fs/cgroup";

void add_with_those_around(std::vector<ControlGroup>& groups,
                           const std::string& mount,
                           std::string path,
                           bool v2) {
  for (;;) {
    while (path.ends_with('/'))
      path.pop_back();
    groups.push_back({mount + path, v2});
    if (path.empty()) return;
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
}

}  // namespace

std::vector<ControlGroup> control_groups(const std::string& memberships,
                                         std::string_view controller,
                                         std::initializer_list<std::string_view> mounts) {
  const std::string root(kRoot);
  const std::string wanted = "," + std::string(controller) + ",";
  std::vector<ControlGroup> groups;
  // Lines of "hierarchy:controllers:path"; v2 is hierarchy 0 and names no controllers.
  std::istringstream lines(memberships);
  for (std::string line; std::getline(lines, line);) {
    std::size_t first = line.find(':');
    std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      add_with_those_around(groups, root, path, true);
    } else if (controllers.find(wanted) != std::string::npos) {
      for (std::string_view mount : mounts)
        add_with_those_around(groups, root + "/" + std::string(mount), path, false);
    }
  }
  return groups;
}

}  // namespace sluice
