#include "tests/sim/policy.h"

#include <caf/scheduled_actor.hpp>

#include <algorithm>
#include <string_view>

namespace sluice::sim {
namespace {

constexpr const char* kStarved[] = {"sluice.session",
                                    "sluice.admission",
                                    "sluice.queue",
                                    "sluice.batcher",
                                    "sluice.executor",
                                    "sluice.breaker",
                                    "sluice.prober",
                                    "sluice.supervisor"};
/// About as many messages as a run handles.
constexpr std::uint64_t kStepsOfARun = 6000;
constexpr std::uint64_t kFirstPriority = std::uint64_t{1} << 32;

std::uint64_t id_of(caf::resumable* job) {
  auto* actor = dynamic_cast<caf::scheduled_actor*>(job);
  return actor ? actor->id() : 0;
}

}  // namespace

Policy::Policy(std::uint64_t seed) : chance_(seed, "policy"), lowest_(kFirstPriority) {
  kind_ = static_cast<PolicyKind>(chance_.below(4));
  std::uint64_t depth = chance_.between(1, 5);
  for (std::uint64_t i = 0; i < depth; ++i)
    changes_.push_back(chance_.below(kStepsOfARun));
  starved_ = kStarved[chance_.below(std::size(kStarved))];
}

std::size_t Policy::choose(const std::deque<caf::resumable*>& jobs) {
  ++steps_;
  if (jobs.size() == 1 && kind_ != PolicyKind::pct) return 0;
  switch (kind_) {
    case PolicyKind::uniform:
      return chance_.below(jobs.size());
    case PolicyKind::pct:
      return choose_pct(jobs);
    case PolicyKind::round_robin:
      return choose_round_robin(jobs);
    case PolicyKind::starve:
      return choose_starving(jobs);
  }
  return 0;
}

std::size_t Policy::choose_pct(const std::deque<caf::resumable*>& jobs) {
  std::size_t best = 0;
  std::uint64_t best_id = 0;
  std::uint64_t highest = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    std::uint64_t id = id_of(jobs[i]);
    auto [entry, is_new] = priorities_.try_emplace(id, 0);
    if (is_new) entry->second = kFirstPriority + (chance_.next() >> 16);
    if (entry->second <= highest) continue;
    highest = entry->second;
    best = i;
    best_id = id;
  }
  if (std::find(changes_.begin(), changes_.end(), steps_) != changes_.end())
    priorities_[best_id] = --lowest_;
  return best;
}

std::size_t Policy::choose_round_robin(const std::deque<caf::resumable*>& jobs) {
  std::size_t next = jobs.size();
  std::size_t first = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    std::uint64_t id = id_of(jobs[i]);
    if (id < id_of(jobs[first])) first = i;
    if (id > last_id_ && (next == jobs.size() || id < id_of(jobs[next]))) next = i;
  }
  std::size_t chosen = next == jobs.size() ? first : next;
  last_id_ = id_of(jobs[chosen]);
  return chosen;
}

std::size_t Policy::choose_starving(const std::deque<caf::resumable*>& jobs) {
  constexpr double kMercy = 0.02;
  std::vector<std::size_t> others;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    auto* actor = dynamic_cast<caf::scheduled_actor*>(jobs[i]);
    if (!actor || std::string_view(actor->name()) != starved_) others.push_back(i);
  }
  if (others.empty() || chance_.hit(kMercy)) return chance_.below(jobs.size());
  return others[chance_.below(others.size())];
}

std::string Policy::describe() const {
  switch (kind_) {
    case PolicyKind::uniform:
      return "uniform";
    case PolicyKind::pct:
      return "pct of depth " + std::to_string(changes_.size());
    case PolicyKind::round_robin:
      return "round robin";
    case PolicyKind::starve:
      return "starve " + starved_;
  }
  return "";
}

}  // namespace sluice::sim
