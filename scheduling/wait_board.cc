#include "scheduling/wait_board.h"

#include "scheduling/waiting_order.h"

#include <algorithm>

namespace sluice {

Duration WaitBoard::cost(std::uint64_t rows, std::uint64_t tokens) const {
  std::lock_guard lock(mutex_);
  double us =
      static_cast<double>(rows) * costs_.row_us + static_cast<double>(tokens) * costs_.token_us;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::micro>(us));
}

void WaitBoard::enter(std::size_t class_index,
                      std::uint32_t tenant,
                      std::uint32_t weight,
                      Duration cost,
                      TimePoint now,
                      bool rests) {
  constexpr Duration kOnItsWay = std::chrono::seconds(1);
  std::lock_guard lock(mutex_);
  if (rests && now - entered_ > kOnItsWay)
    for (Tenants& tenants : waiting_)
      tenants.clear();
  entered_ = now;
  if (cost <= Duration::zero()) return;
  Tenant& entry = waiting_[class_index][tenant];
  entry.cost += cost;
  entry.weight = std::max(1U, weight);
}

void WaitBoard::leave(std::size_t class_index, std::uint32_t tenant, Duration cost) {
  std::lock_guard lock(mutex_);
  auto found = waiting_[class_index].find(tenant);
  if (found == waiting_[class_index].end()) return;
  found->second.cost -= cost;
  if (found->second.cost <= Duration::zero()) waiting_[class_index].erase(found);
}

void WaitBoard::forget() {
  std::lock_guard lock(mutex_);
  for (Tenants& tenants : waiting_)
    tenants.clear();
}

void WaitBoard::set_pace(Costs costs, double per_second) {
  std::lock_guard lock(mutex_);
  costs_ = costs;
  per_second_ = per_second;
}

Duration WaitBoard::wait(std::size_t class_index, std::uint32_t tenant) const {
  static constexpr auto kWeights = WaitingOrder::Options{}.weights;
  std::lock_guard lock(mutex_);
  const Tenants& tenants = waiting_[class_index];
  auto own = tenants.find(tenant);
  if (own == tenants.end() || per_second_ <= 0.0) return Duration::zero();
  using Seconds = std::chrono::duration<double>;
  Seconds ahead{};
  for (const auto& [number, other] : tenants) {
    double share = static_cast<double>(other.weight) / own->second.weight;
    ahead += std::min(Seconds(other.cost), share * Seconds(own->second.cost));
  }
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < kClasses; ++i)
    if (i == class_index || !waiting_[i].empty()) sum += kWeights[i];
  double seconds = ahead.count() * sum / (kWeights[class_index] * per_second_);
  constexpr double kHour = 3600.0;
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(seconds, kHour)));
}

WaitBoard::Costs WaitBoard::costs() const {
  std::lock_guard lock(mutex_);
  return costs_;
}

double WaitBoard::per_second() const {
  std::lock_guard lock(mutex_);
  return per_second_;
}

Duration WaitBoard::waiting(std::size_t class_index) const {
  std::lock_guard lock(mutex_);
  Duration sum{};
  for (const auto& [number, tenant] : waiting_[class_index])
    sum += tenant.cost;
  return sum;
}

}  // namespace sluice
