#include "tests/sim/fault_kinds.h"

#include <algorithm>

namespace sluice::sim {

std::optional<FaultSet> FaultSet::parse(std::string_view names) {
  if (names == "all") return all();
  FaultSet set;
  if (names == "none") return set;
  while (!names.empty()) {
    std::string_view name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(names.size(), name.size() + 1));
    auto found = std::find(kFaultNames.begin(), kFaultNames.end(), name);
    if (found == kFaultNames.end()) return std::nullopt;
    set.set(static_cast<Fault>(found - kFaultNames.begin()));
  }
  return set;
}

std::string to_string(const FaultSet& set) {
  if (set == FaultSet::all()) return "all";
  std::string names;
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (!set.has(static_cast<Fault>(i))) continue;
    if (!names.empty()) names += ',';
    names += kFaultNames[i];
  }
  return names.empty() ? "none" : names;
}

}  // namespace sluice::sim
