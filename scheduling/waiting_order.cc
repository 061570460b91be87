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
  if (waiting.size == 0) waiting.own = waiting.all = {};
  if (!item.resumed) {
    if (!waiting.tenants.contains(item.tenant)) forget_idle(waiting);
    Tenant& tenant = waiting.tenants[item.tenant];
    if (tenant.line.empty()) wake(waiting, item.tenant, tenant);
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

std::optional<WaitingOrder::Item> WaitingOrder::pop(const Shut& shut) {
  bool any = false;
  for (std::size_t i = 0; i < kClasses; ++i)
    any = any || (classes_[i].size > 0 && !shut[i]);
  if (!any) return std::nullopt;
  // Ends: some class has an item, and its deficit grows every time round.
  for (;;) {
    Class& waiting = classes_[turn_];
    if (waiting.size == 0) {
      waiting.deficit = {};  // idleness earns no credit
    } else if (!shut[turn_]) {
      Duration quantum = options_.quantum * options_.weights[turn_];
      // What is put back has been funded before.
      if (!turn_funded_)
        waiting.deficit = std::min(waiting.deficit + quantum, quantum + options_.cost_max);
      turn_funded_ = true;
      Duration cost = cost_of(first_of(waiting));
      if (cost <= waiting.deficit) {
        waiting.deficit -= cost;
        count_served(turn_, cost);
        return take_first(waiting);
      }
    }
    turn_ = (turn_ + 1) % kClasses;
    turn_funded_ = false;
  }
}

const WaitingOrder::Item& WaitingOrder::first_of(const Class& waiting) {
  if (!waiting.resumed.empty()) return waiting.resumed.begin()->second;
  return waiting.tenants.at(waiting.turns.begin()->second).line.begin()->second;
}

WaitingOrder::Item WaitingOrder::take_first(Class& waiting) {
  Item item = first_of(waiting);
  if (!item.resumed) {
    std::uint64_t counter = waiting.turns.begin()->first;
    waiting.least = std::max(waiting.least, counter);
    set_counter(waiting, item.tenant, counter + units_of(item));
  }
  remove(item.id);
  // Where nobody waits, nobody is behind.
  if (!item.resumed && waiting.turns.empty())
    waiting.least = std::max(waiting.least, waiting.tenants.at(item.tenant).counter);
  return item;
}

void WaitingOrder::put_back(const Item& item) {
  Class& waiting = classes_[item.class_index];
  Duration cost = cost_of(item);
  waiting.deficit += cost;
  // That it waits on is not for the order to answer for; and to the others nothing was lost.
  waiting.own = waiting.all = {};
  for (Class& other : classes_)
    other.all -= std::min(other.all, cost);
  if (!item.resumed) {
    Tenant& tenant = waiting.tenants[item.tenant];
    if (tenant.line.empty()) {
      tenant.counter -= std::min(tenant.counter, units_of(item));
      waiting.turns.emplace(tenant.counter, item.tenant);
      tenant.idle = {};
    } else {
      set_counter(waiting, item.tenant, tenant.counter - std::min(tenant.counter, units_of(item)));
    }
  }
  place(item);
}

void WaitingOrder::set_behind(SequenceId id, Duration behind) {
  auto found = where_.find(id);
  if (found == where_.end()) return;
  Place& place = found->second;
  Class& waiting = classes_[place.class_index];
  Line& line = place.resumed ? waiting.resumed : waiting.tenants.at(place.tenant).line;
  auto item = line.extract(place.key);
  item.mapped().behind = behind;
  item.key() = place.key = key_of(item.mapped());
  line.insert(std::move(item));
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
  --waiting.size;
  where_.erase(found);
  return true;
}

/// The tenant waits again. Nobody saves up turns: it has had as much as those who waited meanwhile.
void WaitingOrder::wake(Class& waiting, std::uint32_t number, Tenant& tenant) {
  std::uint64_t least = waiting.turns.empty() ? waiting.least : waiting.turns.begin()->first;
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

Duration WaitingOrder::slack(std::size_t class_index) const {
  // While it waits it is funded k times and lacks at most one cost of that; each other class is
  // funded at most k + 2 times, and begins with less than one cost.
  auto sum = std::accumulate(options_.weights.begin(), options_.weights.end(), 0U);
  std::uint32_t weight = options_.weights[class_index];
  auto others = static_cast<std::uint32_t>(kClasses - 1);
  return ((sum - weight) * (2 * weight * options_.quantum + options_.cost_max) +
          weight * others * options_.cost_max) /
         sum;
}

void WaitingOrder::count_served(std::size_t class_index, Duration cost) {
  auto sum = std::accumulate(options_.weights.begin(), options_.weights.end(), 0U);
  classes_[class_index].own += cost;
  for (std::size_t i = 0; i < kClasses; ++i) {
    Class& waiting = classes_[i];
    if (waiting.size == 0) continue;
    waiting.all += cost;
    Duration share = waiting.all / sum * options_.weights[i];
    if (waiting.own + slack(i) < share) ++starved_;
  }
}

}  // namespace sluice
