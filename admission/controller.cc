#include "admission/controller.h"

#include "base/check.h"

#include <algorithm>
#include <cmath>

namespace sluice {
namespace {

constexpr Duration kRetryMin = std::chrono::seconds(1);
constexpr Duration kRetryMax = std::chrono::seconds(60);

/// Seconds with one decimal.
std::string tenths(Duration time) {
  auto tenths = std::chrono::duration_cast<std::chrono::duration<std::int64_t, std::deci>>(time);
  return std::to_string(tenths.count() / 10) + "." + std::to_string(tenths.count() % 10);
}

}  // namespace

Decision AdmissionController::submit(const Demand& demand,
                                     TimePoint now,
                                     const Forecast& forecast) {
  if (inside_.contains(demand.request)) return {};
  if (draining_) return draining();
  std::size_t sequences_max = options_.queue_capacity + slots_;
  if (demand.sequences > sequences_max) {
    return {Refusal::too_large,
            "The request asks for " + std::to_string(demand.sequences) +
                " choices in all; the server holds at most " + std::to_string(sequences_max) + "."};
  }
  if (sequences_ + demand.sequences > sequences_max) {
    return {Refusal::queue_full,
            "The server is overloaded: " + std::to_string(sequences_) + " of at most " +
                std::to_string(sequences_max) + " sequences are queued or running.",
            retry_after()};
  }
  if (options_.queue_tokens > 0) {
    if (demand.tokens > options_.queue_tokens) {
      return {Refusal::too_many_tokens,
              "The request asks for " + std::to_string(demand.tokens) +
                  " tokens in all; the server holds at most " +
                  std::to_string(options_.queue_tokens) + "."};
    }
    if (tokens_ + demand.tokens > options_.queue_tokens) {
      return {Refusal::tokens_exhausted,
              "The server is overloaded: " + std::to_string(tokens_) + " of at most " +
                  std::to_string(options_.queue_tokens) + " tokens are queued or running.",
              retry_after()};
    }
  }
  Decision decision = judge(options_, demand, now, forecast);
  if (!decision.admitted()) return decision;
  if (rate_since_ == TimePoint{}) rate_since_ = now;
  enter(demand);
  return {};
}

Decision AdmissionController::draining() {
  return {Refusal::draining,
          "The server is shutting down and takes no new requests.",
          std::chrono::seconds(5)};
}

/// Who would wait too long is told so now: time on a lane is for those who still want the answer.
Decision AdmissionController::judge(const Options& options,
                                    const Demand& demand,
                                    TimePoint now,
                                    const Forecast& forecast) {
  if (forecast.wait == Duration::zero()) return {};
  auto retry_after = [](Duration too_long) {
    return std::clamp<Duration>(
        std::chrono::ceil<std::chrono::seconds>(too_long), kRetryMin, kRetryMax);
  };
  // Forecasts are wrong now and then; a fifth more is for that.
  Duration wait = forecast.wait * 6 / 5;
  Duration most = options.wait_max[static_cast<std::size_t>(demand.priority_class)];
  if (most > Duration::zero() && wait > most) {
    std::string name(to_string(demand.priority_class));
    return {Refusal::wait_too_long,
            "The server is overloaded: a request of class " + name + " would wait about " +
                tenths(wait) + " s for its turn, longer than the " + tenths(most) +
                " s that it may.",
            retry_after(wait - most)};
  }
  if (demand.deadline == TimePoint::max()) return {};
  Duration left = std::max(Duration::zero(), demand.deadline - now);
  Duration needed = wait + forecast.run * 6 / 5;
  if (needed <= left) return {};
  return {Refusal::deadline_unreachable,
          "The server is busy: the answer would take about " + tenths(needed) +
              " s, and its deadline is in " + tenths(left) + " s. It was not started.",
          retry_after(needed - left)};
}

void AdmissionController::restore(const Demand& demand, TimePoint now) {
  if (rate_since_ == TimePoint{}) rate_since_ = now;
  if (!inside_.contains(demand.request)) enter(demand);
}

void AdmissionController::enter(const Demand& demand) {
  inside_.emplace(demand.request, demand);
  sequences_ += demand.sequences;
  tokens_ += demand.tokens;
  if (demand.deadline != TimePoint::max()) deadlines_.emplace(demand.deadline, demand.request);
}

bool AdmissionController::end(RequestNumber request, TimePoint now) {
  auto entry = inside_.find(request);
  if (entry == inside_.end()) return false;
  const Demand& demand = entry->second;
  CHECK(sequences_ >= demand.sequences && tokens_ >= demand.tokens);
  sequences_ -= demand.sequences;
  tokens_ -= demand.tokens;
  ended_since_ += demand.sequences;
  auto [first, last] = deadlines_.equal_range(demand.deadline);
  for (auto i = first; i != last; ++i) {
    if (i->second == request) {
      deadlines_.erase(i);
      break;
    }
  }
  inside_.erase(entry);
  double elapsed_s = std::chrono::duration<double>(now - rate_since_).count();
  if (elapsed_s >= 1.0) {
    double rate = static_cast<double>(ended_since_) / elapsed_s;
    double keep = std::exp(-elapsed_s / 5.0);
    ended_per_second_ =
        ended_per_second_ == 0.0 ? rate : keep * ended_per_second_ + (1.0 - keep) * rate;
    ended_since_ = 0;
    rate_since_ = now;
  }
  return true;
}

std::vector<RequestNumber> AdmissionController::take_expired(TimePoint now) {
  std::vector<RequestNumber> expired;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    expired.push_back(deadlines_.begin()->second);
    deadlines_.erase(deadlines_.begin());
  }
  return expired;
}

Duration AdmissionController::retry_after() const {
  // The time until what waits beyond the lanes has been worked off; without experience, one second.
  if (ended_per_second_ <= 0.0) return kRetryMin;
  double waiting = static_cast<double>(sequences_ > slots_ ? sequences_ - slots_ : 1);
  using Seconds = std::chrono::duration<double>;
  return std::chrono::duration_cast<Duration>(
      std::clamp<Seconds>(Seconds(std::ceil(waiting / ended_per_second_)), kRetryMin, kRetryMax));
}

}  // namespace sluice
