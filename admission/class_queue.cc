#include "admission/class_queue.h"

#include "base/check.h"

namespace sluice {

bool ClassQueue::push(const Item& item) {
  CHECK(item.class_index < kClasses);
  Key key{!item.resumed, item.priority, item.arrival, item.id};
  if (!where_.emplace(item.id, Place{item.class_index, key}).second) return false;
  classes_[item.class_index].emplace(key, item.cost_tokens);
  return true;
}

std::optional<SequenceId> ClassQueue::pop() {
  if (where_.empty()) return std::nullopt;
  // Ends: some class has an item, and its deficit grows every time round.
  for (;;) {
    Line& line = classes_[turn_];
    if (line.empty()) {
      deficits_[turn_] = 0;  // idleness earns no credit
    } else {
      if (!turn_funded_) {
        deficits_[turn_] += options_.quantum_tokens * options_.weights[turn_];
        turn_funded_ = true;
      }
      auto first = line.begin();
      if (first->second <= deficits_[turn_]) {
        deficits_[turn_] -= first->second;
        SequenceId id = std::get<SequenceId>(first->first);
        line.erase(first);
        where_.erase(id);
        return id;
      }
    }
    turn_ = (turn_ + 1) % kClasses;
    turn_funded_ = false;
  }
}

bool ClassQueue::remove(SequenceId id) {
  auto place = where_.find(id);
  if (place == where_.end()) return false;
  classes_[place->second.class_index].erase(place->second.key);
  where_.erase(place);
  return true;
}

}  // namespace sluice
