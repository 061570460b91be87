#include "scheduling/wait_board.h"

#include "scheduling/waiting_order.h"

#include <algorithm>

namespace sluice {

namespace {

Duration time_of(std::uint64_t rows, double row_us, std::uint64_t tokens, double token_us) {
  double us = static_cast<double>(rows) * row_us + static_cast<double>(tokens) * token_us;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::micro>(us));
}

}  // namespace

Duration WaitBoard::cost(std::uint64_t rows, std::uint64_t tokens) const {
  std::lock_guard lock(mutex_);
  return time_of(rows, costs_.row_us, tokens, costs_.token_us);
}

Duration WaitBoard::run(std::uint64_t rows, std::uint64_t tokens) const {
  std::lock_guard lock(mutex_);
  return time_of(rows, costs_.row_us, tokens, costs_.step_us);
}

void WaitBoard::enter(std::size_t class_index,
                      std::uint32_t tenant,
                      std::uint32_t weight,
                      Duration cost,
                      TimePoint now,
                      bool rests) {
  constexpr Duration kOnItsWay = std::chrono::seconds(1);
  std::lock_guard lock(mutex_);
  if (rests && now - entered_ > kOnItsWay) clear();
  entered_ = now;
  if (cost <= Duration::zero()) return;
  if (count_ == 0) began_ = now;
  count_ += 1;
  Tenant& entry = waiting_[class_index][tenant];
  entry.cost += cost;
  entry.count += 1;
  entry.weight = std::max(1U, weight);
}

void WaitBoard::leave(std::size_t class_index, std::uint32_t tenant, Duration cost) {
  std::lock_guard lock(mutex_);
  auto found = waiting_[class_index].find(tenant);
  if (found == waiting_[class_index].end() || cost <= Duration::zero()) return;
  Tenant& entry = found->second;
  entry.cost -= cost;
  entry.count -= 1;
  count_ -= 1;
  if (entry.cost > Duration::zero() && entry.count > 0) return;
  count_ -= entry.count;
  waiting_[class_index].erase(found);
}

void WaitBoard::forget() {
  std::lock_guard lock(mutex_);
  clear();
}

void WaitBoard::clear() {
  for (Tenants& tenants : waiting_)
    tenants.clear();
  count_ = 0;
}

void WaitBoard::set_room(const Room& room) {
  std::lock_guard lock(mutex_);
  room_ = room;
}

void WaitBoard::set_pace(Costs costs, double per_second, const Shares& shares) {
  std::lock_guard lock(mutex_);
  costs_ = costs;
  per_second_ = per_second;
  shares_ = shares;
}

Duration WaitBoard::wait(const Asker& asker, TimePoint now) const {
  // A queue that has stood for longer is no burst.
  constexpr Duration kBurst = std::chrono::seconds(1);
  std::lock_guard lock(mutex_);
  if (per_second_ <= 0.0) return Duration::zero();
  std::uint32_t free = asker.core ? room_.free_to_core : room_.free.at(asker.class_index);
  bool bursts = count_ == 0 || now - began_ <= kBurst;
  if (bursts && count_ < free) return Duration::zero();
  Ahead ahead = ahead_of(asker);
  double pace = per_second_ * (asker.core ? shares_.core : shares_.others.at(asker.class_index));
  constexpr double kHour = 3600.0;
  auto turn = std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(ahead.seconds / pace, kHour)));
  auto before = static_cast<std::size_t>(ahead.count);
  if (before < free) return turn;
  Duration place = until_place(before - free, now);
  return std::max(turn, std::min(place, room_.patience.at(asker.class_index)));
}

WaitBoard::Ahead WaitBoard::ahead_of(const Asker& asker) const {
  static constexpr auto kWeights = WaitingOrder::Options{}.weights;
  const Tenants& tenants = waiting_.at(asker.class_index);
  auto own = tenants.find(asker.tenant);
  if (own == tenants.end()) return {};
  using Seconds = std::chrono::duration<double>;
  Ahead ahead;
  for (const auto& [number, other] : tenants) {
    double share = static_cast<double>(other.weight) / own->second.weight;
    ahead.seconds += std::min(Seconds(other.cost), share * Seconds(own->second.cost)).count();
    ahead.count += std::min<double>(other.count, share * own->second.count);
  }
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kClasses; ++i)
    if (i == asker.class_index || !waiting_.at(i).empty()) sum += kWeights.at(i);
  double others = static_cast<double>(sum) / kWeights.at(asker.class_index);
  return {ahead.seconds * others, ahead.count * others};
}

/// Until so many have ended and one more, as far as it is known.
Duration WaitBoard::until_place(std::size_t ended, TimePoint now) const {
  auto unknown = std::find(room_.ends.begin(), room_.ends.end(), TimePoint::max());
  auto known = static_cast<std::size_t>(unknown - room_.ends.begin());
  if (known == 0) return Duration::zero();
  return std::max(Duration::zero(), room_.ends.at(std::min(ended, known - 1)) - now);
}

WaitBoard::Costs WaitBoard::costs() const {
  std::lock_guard lock(mutex_);
  return costs_;
}

double WaitBoard::per_second() const {
  std::lock_guard lock(mutex_);
  return per_second_;
}

double WaitBoard::per_second(std::size_t class_index) const {
  std::lock_guard lock(mutex_);
  return per_second_ * shares_.others.at(class_index);
}

Duration WaitBoard::waiting(std::size_t class_index) const {
  std::lock_guard lock(mutex_);
  Duration sum{};
  for (const auto& [number, tenant] : waiting_[class_index])
    sum += tenant.cost;
  return sum;
}

}  // namespace sluice
