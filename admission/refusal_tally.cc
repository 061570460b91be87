#include "admission/refusal_tally.h"

#include <algorithm>
#include <vector>

namespace sluice {

void RefusalTally::add(const std::shared_ptr<const Tenant>& tenant, Refusal reason) {
  all_ += 1;
  std::pair key(number_of(tenant.get()), reason);
  auto found = counts_.find(key);
  if (found == counts_.end()) {
    if (counts_.size() == kPairsMax) return;
    found = counts_.emplace(key, Count{tenant, 0}).first;
  }
  found->second.refused += 1;
}

std::string RefusalTally::text() const {
  std::vector<decltype(counts_)::const_iterator> largest;
  for (auto count = counts_.begin(); count != counts_.end(); ++count)
    largest.push_back(count);
  std::stable_sort(largest.begin(), largest.end(), [](auto a, auto b) {
    return a->second.refused > b->second.refused;
  });
  if (largest.size() > kTold) largest.resize(kTold);
  std::string text;
  std::uint64_t others = all_;
  for (auto count : largest) {
    const auto& [tenant, refused] = count->second;
    others -= refused;
    if (!text.empty()) text += ", ";
    text += std::to_string(refused) + " of ";
    text += tenant ? "tenant \"" + tenant->policy.name + "\"" : "nobody who is known";
    text += " (" + std::string(to_string(count->first.second)) + ")";
  }
  if (others > 0) text += ", " + std::to_string(others) + " others";
  return text;
}

}  // namespace sluice
