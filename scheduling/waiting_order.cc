#include "scheduling/waiting_order.h"

#include "base/check.h"

#include <algorithm>
#include <numeric>

namespace sluice {
namespace {

/// Units of a tenant's counter for a token of a tenant of weight 1: so fine that weights up to this
/// still count.
constexpr std::uint64_t kUnits = 1024;

}  // namespace

bool WaitingOrder::push(const Item& item) {
  CHECK(item.class_index < kClasses && item.tenant_weight >= 1);
  if (where_.contains(item.id)) return false;
  Class& waiting = classes_[item.class_index];
  waiting.cost_largest = std::max(waiting.cost_largest, cost_of(item));
  if (!item.resumed) {
    if (!waiting.tenants.contains(item.tenant)) forget_idle(waiting);
    Tenant& tenant = waiting.tenants[item.tenant];
    // Nobody saves up turns: it has had as much as those who waited meanwhile.
    std::uint64_t least = waiting.turns.empty() ? waiting.least : waiting.turns.begin()->first;
    if (tenant.line.empty()) wake(waiting, item.tenant, tenant, least);
  }
  place(item);
  return true;
}

/// Puts the item into its line; whoever has it waits already.
void WaitingOrder::place(const Item& item) {
  Class& waiting = classes_[item.class_index];
  Key key = key_of(item);
  where_.emplace(item.id, Place{item.class_index, item.resumed, item.tenant, key});
  Line& line = item.resumed ? waiting.resumed : waiting.tenants.at(item.tenant).line;
  line.emplace(key, item);
  ++waiting.size;
}

const WaitingOrder::Item* WaitingOrder::next() {
  auto is_open = [](const Class& one) { return one.is_open(); };
  if (std::none_of(classes_.begin(), classes_.end(), is_open)) return nullptr;
  // Ends: some class has an item, and its deficit grows every time round.
  for (;;) {
    Class& waiting = classes_[turn_];
    if (waiting.is_open()) {
      if (!turn_funded_) waiting.deficit += options_.quantum * options_.weights[turn_];
      turn_funded_ = true;
      const Item& first = first_of(waiting);
      if (cost_of(first) <= waiting.deficit) return &first;
    } else {
      // Idleness earns no credit; whose work has no room keeps enough for it, and no more.
      bool is_idle = waiting.size + waiting.passed == 0;
      waiting.deficit = is_idle ? Duration{} : std::min(waiting.deficit, waiting.cost_largest);
    }
    turn_ = (turn_ + 1) % kClasses;
    turn_funded_ = false;
  }
}

const WaitingOrder::Item& WaitingOrder::first_of(const Class& waiting) {
  if (!waiting.resumed.empty()) return waiting.resumed.begin()->second;
  return waiting.tenants.at(waiting.turns.begin()->second).line.begin()->second;
}

WaitingOrder::Item WaitingOrder::take() {
  const Item* next_one = next();
  CHECK(next_one != nullptr);
  Item item = *next_one;
  Class& waiting = classes_[item.class_index];
  waiting.deficit -= cost_of(item);
  count_served(item.class_index, cost_of(item));
  if (!item.resumed) {
    std::uint64_t counter = waiting.turns.begin()->first;
    waiting.least = std::max(waiting.least, counter);
    set_counter(waiting, item.tenant, counter + units_of(item));
  }
  remove(item.id);
  // Where nobody waits, nobody is behind.
  if (!item.resumed && waiting.turns.empty() && waiting.passed == 0)
    waiting.least = std::max(waiting.least, waiting.tenants.at(item.tenant).counter);
  return item;
}

void WaitingOrder::pass(bool whole_class) {
  const Item* next_one = next();
  CHECK(next_one != nullptr);
  passed_.push_back(*next_one);
  std::size_t class_index = next_one->class_index;
  ++classes_[class_index].passed;
  remove(passed_.back().id);
  if (!whole_class) return;
  classes_[class_index].closed = true;
  forget_leads(class_index);
}

void WaitingOrder::end_round() {
  for (const Item& item : passed_) {
    Class& waiting = classes_[item.class_index];
    --waiting.passed;
    if (!item.resumed) {
      Tenant& tenant = waiting.tenants.at(item.tenant);
      // All of its work was passed: others may have had their turns meanwhile.
      if (tenant.line.empty()) wake(waiting, item.tenant, tenant, waiting.least);
    }
    place(item);
  }
  passed_.clear();
  for (Class& one : classes_)
    one.closed = false;
}

std::optional<WaitingOrder::Item> WaitingOrder::pop() {
  if (!next()) return std::nullopt;
  return take();
}

const WaitingOrder::Item* WaitingOrder::set_behind(SequenceId id, Duration behind) {
  auto found = where_.find(id);
  if (found == where_.end()) return nullptr;
  Place& place = found->second;
  Class& waiting = classes_[place.class_index];
  Line& line = place.resumed ? waiting.resumed : waiting.tenants.at(place.tenant).line;
  auto item = line.extract(place.key);
  item.mapped().behind = behind;
  item.key() = place.key = key_of(item.mapped());
  return &line.insert(std::move(item)).position->second;
}

bool WaitingOrder::remove(SequenceId id) {
  auto found = where_.find(id);
  if (found == where_.end()) return false;
  const Place& place = found->second;
  Class& waiting = classes_[place.class_index];
  if (place.resumed) {
    waiting.resumed.erase(place.key);
  } else {
    Tenant& tenant = waiting.tenants.at(place.tenant);
    tenant.line.erase(place.key);
    if (tenant.line.empty()) tenant.idle = waiting.turns.extract({tenant.counter, place.tenant});
  }
  if (--waiting.size == 0) forget_leads(place.class_index);
  where_.erase(found);
  return true;
}

/// The tenant waits again, and has had at least so much.
void WaitingOrder::wake(Class& waiting, std::uint32_t number, Tenant& tenant, std::uint64_t least) {
  tenant.counter = std::max(tenant.counter, least);
  if (tenant.idle.empty()) {
    waiting.turns.emplace(tenant.counter, number);
    return;
  }
  tenant.idle.value() = {tenant.counter, number};
  waiting.turns.insert(std::move(tenant.idle));
}

void WaitingOrder::set_counter(Class& waiting, std::uint32_t number, std::uint64_t counter) {
  Tenant& tenant = waiting.tenants.at(number);
  if (!tenant.line.empty()) {
    auto turn = waiting.turns.extract({tenant.counter, number});
    turn.value().first = counter;
    waiting.turns.insert(std::move(turn));
  }
  tenant.counter = counter;
}

/// Tenants who would wake as if they had never been here; so that their number is that of those who
/// have a reason to be remembered.
void WaitingOrder::forget_idle(Class& waiting) {
  constexpr std::size_t kFew = 64;
  if (waiting.tenants.size() < kFew + 2 * waiting.turns.size()) return;
  std::erase_if(waiting.tenants, [&](const auto& entry) {
    return entry.second.line.empty() && entry.second.counter <= waiting.least;
  });
}

WaitingOrder::Key WaitingOrder::key_of(const Item& item) const {
  if (item.resumed) return {item.arrival, item.arrival, item.id};
  Duration ageing = options_.ageing[item.class_index];
  Duration reference = options_.reference[item.class_index];
  double share = static_cast<double>(reference.count()) /
                 static_cast<double>(std::max(item.cost, reference).count());
  double way = static_cast<double>((item.behind + item.cost + reference).count());
  share += static_cast<double>(item.behind.count()) / way;
  Duration bonus(static_cast<Duration::rep>(static_cast<double>(ageing.count()) * share));
  Duration wish = ageing * std::clamp(item.priority, -kPriorityMax, kPriorityMax) / kPriorityMax;
  return {item.arrival - bonus + wish, item.arrival, item.id};
}

Duration WaitingOrder::cost_of(const Item& item) const {
  return item.resumed ? Duration{} : std::clamp(item.cost, Duration{}, options_.cost_max);
}

std::uint64_t WaitingOrder::units_of(const Item& item) {
  return item.tokens * kUnits / item.tenant_weight;
}

std::size_t WaitingOrder::tenants_known() const {
  return std::accumulate(
      classes_.begin(), classes_.end(), std::size_t{0}, [](std::size_t sum, const Class& one) {
        return sum + one.tenants.size();
      });
}

void WaitingOrder::count_served(std::size_t class_index, Duration cost) {
  Class& served = classes_[class_index];
  std::uint32_t weight = options_.weights[class_index];
  for (std::size_t i = 0; i < kClasses; ++i) {
    Class& other = classes_[i];
    if (i == class_index || !other.is_open()) continue;
    std::uint32_t other_weight = options_.weights[i];
    Duration more = cost * other_weight;
    served.lead[i] += more;
    other.lead[class_index] -= std::min(other.lead[class_index], more);
    Duration bound = options_.quantum * weight * other_weight + served.cost_largest * other_weight +
                     other.cost_largest * weight;
    if (served.lead[i] > bound) ++starved_;
  }
}

void WaitingOrder::forget_leads(std::size_t class_index) {
  classes_[class_index].lead = {};
  for (Class& other : classes_)
    other.lead[class_index] = {};
}

}  // namespace sluice
