#include "bench/overload/statistics.h"

#include <algorithm>
#include <numeric>

namespace sluice::overload {

std::size_t ReasonTable::number_of(int status, std::string_view code) {
  constexpr std::size_t kCodeMax = 64;
  std::pair<int, std::string> reason{status, code.substr(0, kCodeMax)};
  if (auto known = numbers_.find(reason); known != numbers_.end()) return known->second;
  if (names_.size() == kMax) return 0;
  names_.push_back(std::to_string(status) + (reason.second.empty() ? "" : " " + reason.second));
  return numbers_[reason] = names_.size() - 1;
}

void Cell::add(const Cell& other) {
  offered += other.offered;
  sent += other.sent;
  waited += other.waited;
  good += other.good;
  retries += other.retries;
  for (std::size_t i = 0; i < ended.size(); ++i)
    ended[i] += other.ended[i];
  for (std::size_t i = 0; i < reasons.size(); ++i)
    reasons[i] += other.reasons[i];
  answered.add(other.answered);
  first_token.add(other.first_token);
  refusal.add(other.refusal);
}

std::uint64_t Cell::ended_in_all() const {
  return std::accumulate(ended.begin(), ended.end(), std::uint64_t{0});
}

Cell& Statistics::at(Duration moment, std::size_t kind) {
  auto second =
      static_cast<std::size_t>(std::max<std::int64_t>(0, moment / std::chrono::seconds(1)));
  return cells_[std::min(second, seconds_ - 1) * kinds_ + kind];
}

Cell Statistics::of_second(std::size_t second) const {
  Cell sum;
  for (std::size_t kind = 0; kind < kinds_; ++kind)
    sum.add(cell(second, kind));
  return sum;
}

Cell Statistics::of_kind(std::size_t kind, std::size_t skip) const {
  Cell sum;
  for (std::size_t second = skip; second < seconds_; ++second)
    sum.add(cell(second, kind));
  return sum;
}

}  // namespace sluice::overload
