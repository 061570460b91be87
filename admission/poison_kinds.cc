#include "admission/poison_kinds.h"

#include "base/hash.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <string_view>
#include <utility>

namespace sluice {

std::uint32_t PoisonKinds::shape_of(const Plan& plan) {
  const SamplingParams defaults;
  const SamplingParams& sampling = plan.sampling;
  bool flags[] = {
      plan.logprobs.has_value(),
      plan.prompt_logprobs,
      !sampling.logit_bias.empty(),
      sampling.temperature > 0,
      sampling.top_p != defaults.top_p || sampling.top_k != defaults.top_k ||
          sampling.min_p != defaults.min_p || sampling.typical_p != defaults.typical_p,
      sampling.repetition_penalty != defaults.repetition_penalty ||
          sampling.presence_penalty != defaults.presence_penalty ||
          sampling.frequency_penalty != defaults.frequency_penalty,
  };
  constexpr std::uint32_t kSizes = kShapes >> std::size(flags);
  auto shape = std::min(kSizes - 1, static_cast<std::uint32_t>(std::bit_width(plan.prompt.size())));
  for (bool flag : flags)
    shape = 2 * shape + (flag ? 1 : 0);
  return shape;
}

std::string PoisonKinds::describe(Cause cause, std::uint32_t shape) {
  if (cause == Cause::tenant) return "of this tenant";
  // In the order of the flags.
  static constexpr std::string_view kParameters[] = {"logprobs",
                                                     "logprobs of the prompt",
                                                     "logit_bias",
                                                     "a temperature",
                                                     "choice among few tokens",
                                                     "penalties"};
  constexpr std::size_t kFlags = std::size(kParameters);
  std::uint32_t width = shape >> kFlags;
  std::string text = "with prompts of " + std::to_string(1U << (width - 1));
  text += width == (kShapes >> kFlags) - 1 ? " tokens and more"
                                           : " to " + std::to_string((1U << width) - 1) + " tokens";
  for (std::size_t i = 0; i < kFlags; ++i)
    if ((shape >> (kFlags - 1 - i)) & 1U) text.append(", ").append(kParameters[i]);
  return text;
}

PoisonKinds::Answer PoisonKinds::ask(Kind kind, TimePoint now) {
  if (refused() == 0) return {};
  std::lock_guard guard(mutex_);
  Answer answer = judge(kind, now);
  if (answer.verdict != Verdict::trial) return answer;
  for (Key key : keys_of(kind))
    if (auto found = records_.find(key); found != records_.end() && found->second.refused) {
      found->second.trial_at = now + options_.trial_lease;
      found->second.lent = true;
    }
  return answer;
}

PoisonKinds::Answer PoisonKinds::look(Kind kind, TimePoint now) const {
  if (refused() == 0) return {};
  std::lock_guard guard(mutex_);
  return judge(kind, now);
}

PoisonKinds::Answer PoisonKinds::judge(Kind kind, TimePoint now) const {
  Answer answer;
  for (Key key : keys_of(kind)) {
    auto found = records_.find(key);
    if (found == records_.end() || !found->second.refused) continue;
    if (now < found->second.trial_at)
      return {Verdict::refused, key.cause, found->second.trial_at - now};
    answer.verdict = Verdict::trial;
  }
  return answer;
}

void PoisonKinds::passed(Kind kind, TimePoint now, bool trial) {
  if (now.time_since_epoch().count() >= turn_at_.load(std::memory_order_relaxed)) turn(now);
  const auto keys = keys_of(kind);
  for (Key key : keys)
    passed_[place_of(key)].now.fetch_add(1, std::memory_order_relaxed);
  if (!trial) return;
  std::lock_guard guard(mutex_);
  for (Key key : keys) {
    auto found = records_.find(key);
    if (found == records_.end() || !std::exchange(found->second.refused, false)) continue;
    Record& record = found->second;
    // Where most of a tenant gets through, so did its trial, and that tells little: two words more,
    // and it is refused for twice as long.
    constexpr std::uint32_t kMore = 2;
    bool many = key.cause == Cause::tenant && !key.kind.of_anybody &&
                record.now + record.before >= options_.convictions_most;
    record.now = many ? options_.convictions_most - kMore : 0;
    record.before = 0;
    record.half = now;
    record.lent = false;
    record.accepted_at = now;
    refused_ -= 1;
  }
}

bool PoisonKinds::convicted(Kind kind, TimePoint now, bool trial) {
  if (now.time_since_epoch().count() >= turn_at_.load(std::memory_order_relaxed)) turn(now);
  std::lock_guard guard(mutex_);
  const auto [tenant, shape] = keys_of(kind);
  if (trial) {
    for (Key key : keys_of(kind)) {
      auto found = records_.find(key);
      if (found == records_.end() || !found->second.refused) continue;
      Record& record = found->second;
      record.wait = std::min(2 * record.wait, options_.longest_wait);
      record.trial_at = now + record.wait;
      record.lent = false;
    }
  }
  bool refused = charge(tenant, now);
  // Where others of the tenant get through it is not the tenant's doing.
  const Record& record = records_.at(tenant);
  std::uint32_t convictions = record.now + record.before;
  if (kind.shape != kNoShape && convictions < options_.share * (convictions + passes(tenant)))
    refused = charge(shape, now) || refused;
  return refused;
}

bool PoisonKinds::charge(Key key, TimePoint now) {
  if (!records_.contains(key)) make_room();
  Record& record = records_[key];
  turn(record, now);
  record.now += 1;
  std::uint32_t convictions = record.now + record.before;
  if (record.refused || convictions < options_.convictions) return false;
  bool too_many = key.cause == Cause::tenant && !key.kind.of_anybody &&
                  convictions >= options_.convictions_most;
  if (!too_many && convictions < options_.share * (convictions + passes(key))) return false;
  bool again = record.wait > Duration::zero() && now - record.accepted_at < options_.longest_wait;
  record.wait = again ? std::min(2 * record.wait, options_.longest_wait) : options_.first_wait;
  record.trial_at = now + record.wait;
  record.refused = true;
  refused_ += 1;
  return true;
}

void PoisonKinds::left(Kind kind, TimePoint now) {
  std::lock_guard guard(mutex_);
  for (Key key : keys_of(kind))
    if (auto found = records_.find(key);
        found != records_.end() && std::exchange(found->second.lent, false))
      found->second.trial_at = std::min(found->second.trial_at, now);
}

void PoisonKinds::ended(TimePoint now) {
  std::lock_guard guard(mutex_);
  ends_.push_back(now);
  if (ends_.size() > options_.storm_ends) ends_.pop_front();
  if (ends_.size() == options_.storm_ends && now - ends_.front() < options_.storm_window)
    storms_until_ = (now + options_.storm_window).time_since_epoch().count();
}

bool PoisonKinds::is_proven(Kind kind) const {
  return passes(keys_of(kind)[0]) > 0 && passes(keys_of(kind)[1]) > 0;
}

std::vector<PoisonKinds::Refused> PoisonKinds::list(TimePoint now) const {
  std::vector<Refused> list;
  if (refused() == 0) return list;
  std::lock_guard guard(mutex_);
  for (const auto& [key, record] : records_)
    if (record.refused)
      list.push_back({key.cause,
                      key.kind,
                      record.now + record.before,
                      std::max(Duration::zero(), record.trial_at - now)});
  return list;
}

std::array<PoisonKinds::Key, 2> PoisonKinds::keys_of(Kind kind) {
  return {Key{Cause::tenant, {kind.tenant, kNoShape, kind.of_anybody}}, Key{Cause::shape, kind}};
}

std::size_t PoisonKinds::place_of(Key key) {
  std::uint64_t both = (std::uint64_t{key.kind.tenant} << 32U) | key.kind.shape;
  std::size_t place = mix64(both) % kCounters;
  return key.cause == Cause::tenant ? place : kCounters + place;
}

std::uint32_t PoisonKinds::passes(Key key) const {
  const Passed& passed = passed_[place_of(key)];
  return passed.now.load(std::memory_order_relaxed) + passed.before.load(std::memory_order_relaxed);
}

void PoisonKinds::turn(TimePoint now) {
  std::lock_guard guard(mutex_);
  TimePoint at{Duration(turn_at_.load(std::memory_order_relaxed))};
  if (now < at) return;  // somebody else has
  bool both = now - at >= options_.half_window;
  for (Passed& passed : passed_) {
    std::uint32_t last = passed.now.exchange(0, std::memory_order_relaxed);
    passed.before.store(both ? 0 : last, std::memory_order_relaxed);
  }
  turn_at_ = (now + options_.half_window).time_since_epoch().count();
}

void PoisonKinds::turn(Record& record, TimePoint now) const {
  Duration age = now - record.half;
  if (age < options_.half_window) return;
  record.before = age < 2 * options_.half_window ? record.now : 0;
  record.now = 0;
  record.half = now;
}

/// For one more record: those that say nothing any more go, else the one that was charged longest
/// ago.
void PoisonKinds::make_room() {
  if (records_.size() < options_.entries_max) return;
  auto oldest =
      std::min_element(records_.begin(), records_.end(), [](const auto& a, const auto& b) {
        return std::pair(a.second.refused, a.second.half) <
               std::pair(b.second.refused, b.second.half);
      });
  refused_ -= oldest->second.refused ? 1 : 0;
  records_.erase(oldest);
}

}  // namespace sluice
