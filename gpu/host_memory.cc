// Reads the accounts under /proc and /sys/fs/cgroup.
#include "gpu/host_memory.h"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

namespace sluice {
namespace {

constexpr std::size_t kUnlimited = std::numeric_limits<std::size_t>::max();

/// The number a file begins with; none if there is no file or no number ("max").
std::optional<std::size_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::size_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

/// The number behind `key` in a file of lines "key number".
std::optional<std::size_t> read_field(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string word;
    std::size_t number = 0;
    if (words >> word && word == key && words >> number) return number;
  }
  return std::nullopt;
}

struct AccountFiles {
  const char* limit;
  const char* usage;
  const char* cache_field;  ///< of memory.stat: file pages that can be dropped
};

constexpr AccountFiles kVersion1{
    "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file"};
constexpr AccountFiles kVersion2{"/memory.max", "/memory.current", "inactive_file"};

/// What one group leaves.
std::size_t left_in_group(const std::string& folder, const AccountFiles& files) {
  auto limit = read_number(folder + files.limit);
  auto usage = read_number(folder + files.usage);
  if (!limit || !usage) return kUnlimited;
  std::size_t cache = read_field(folder + "/memory.stat", files.cache_field).value_or(0);
  std::size_t held = *usage - std::min(cache, *usage);
  return *limit - std::min(held, *limit);
}

/// What the group at `path` and all above it leave. In a container the path of the outside may not
/// exist inside; then the mount's own root is our group.
std::size_t left_in_groups(const std::string& mount, std::string path, const AccountFiles& files) {
  std::size_t left = left_in_group(mount, files);
  while (path.size() > 1) {
    left = std::min(left, left_in_group(mount + path, files));
    path.resize(path.rfind('/') == std::string::npos ? 0 : path.rfind('/'));
  }
  return left;
}

}  // namespace

std::size_t available_host_bytes(const std::string& root) {
  std::size_t available = kUnlimited;
  if (auto kilobytes = read_field(root + "/proc/meminfo", "MemAvailable:"))
    available = *kilobytes * 1024;
  // Lines of /proc/self/cgroup: "4:memory:/path" in version 1, "0::/path" in version 2.
  std::ifstream groups(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    std::size_t first = line.find(':');
    std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (controllers == ",,")
      available = std::min(available, left_in_groups(root + "/sys/fs/cgroup", path, kVersion2));
    else if (controllers.find(",memory,") != std::string::npos)
      available =
          std::min(available, left_in_groups(root + "/sys/fs/cgroup/memory", path, kVersion1));
  }
  return available;
}

}  // namespace sluice
