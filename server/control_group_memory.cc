#include "server/control_group_memory.h"

#include <fstream>
#include <sstream>

namespace sluice {
namespace {

std::optional<std::string> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class ControlGroupMemory final : public HostMemory {
 public:
  double used() override { return memory_used(readings_); }

 private:
  /// The process stays in the groups in which it was started.
  MemoryReadings readings_{read_file("/proc/self/cgroup").value_or(""), read_file};
};

}  // namespace

std::unique_ptr<HostMemory> make_control_group_memory() {
  return std::make_unique<ControlGroupMemory>();
}

}  // namespace sluice
