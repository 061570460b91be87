#include "actors/lane_work.h"

#include "actors/work_messages.h"
#include "base/check.h"

#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

std::uint32_t emitted_of(const Work& work) {
  return work.emitted ? static_cast<std::uint32_t>(work.emitted->size()) : 0;
}

}  // namespace

void LaneWork::take(const Work& work) {
  auto known = held_.find(work.id);
  if (known != held_.end()) remove(known);
  held_.emplace(work.id,
                Held{work.epoch,
                     work.session,
                     work.fence,
                     work.taken(),
                     work.ends,
                     work.preempted,
                     static_cast<std::uint32_t>(work.plan->prompt.size()),
                     work.plan->max_tokens,
                     ++taken_,
                     work.probe,
                     work.suspicion,
                     work.suspicion > 0,
                     work.trial_until,
                     work.kind,
                     work.granted,
                     work.reported(),
                     work.prompt_reported()});
  if (work.probe) return;
  users_ += 1;
  front_->running += 1;
}

void LaneWork::start(const Work& work, std::uint64_t worker) {
  Held* held = find(work.id, work.epoch);
  CHECK(held);
  held->started = true;
  front_->record(trace::Started{lane_,
                                worker,
                                work.id,
                                work.epoch,
                                emitted_of(work),
                                work.blocks,
                                work.deadline,
                                work.probe,
                                held->on_trial,
                                work.class_index,
                                work.core});
}

LaneWork::Held* LaneWork::find(SequenceId id, Epoch epoch) {
  auto found = held_.find(id);
  return found != held_.end() && found->second.epoch == epoch ? &found->second : nullptr;
}

std::optional<Epoch> LaneWork::epoch_of(SequenceId id) const {
  auto found = held_.find(id);
  return found == held_.end() ? std::nullopt : std::optional(found->second.epoch);
}

void LaneWork::let_go(SequenceId id) {
  auto found = held_.find(id);
  CHECK(found != held_.end());
  leases_->remove(id, found->second.epoch);
  remove(found);
}

void LaneWork::remove(std::unordered_map<SequenceId, Held>::iterator entry) {
  if (entry->second.started)
    front_->record(trace::Stopped{lane_, entry->first, entry->second.epoch});
  if (!entry->second.probe) {
    users_ -= 1;
    front_->running -= 1;
  }
  held_.erase(entry);
}

bool LaneWork::clear(SequenceId id, Held& held, std::size_t known) {
  if (!held.on_trial || known < held.trial_until) return false;
  held.on_trial = false;
  front_->record(trace::Cleared{lane_, id, held.epoch, static_cast<std::uint32_t>(known)});
  return true;
}

bool LaneWork::count(Held& held, const SequenceOutput& output) {
  // A frame may come twice, so nothing is added up.
  auto size = [](const auto& list) { return static_cast<std::uint32_t>(list.size()); };
  if (!output.prompt_logprobs.empty())
    held.prompt_reported =
        std::max(held.prompt_reported, output.prompt_first + size(output.prompt_logprobs));
  held.reported =
      std::max(held.reported, held.prompt_reported + output.first_index + size(output.tokens));
  return std::exchange(held.taken.rows, 0) > 0;
}

bool LaneWork::may_run() const {
  return std::any_of(held_.begin(), held_.end(), [](const auto& entry) {
    const Held& held = entry.second;
    return held.started && !held.probe && held.reported < held.granted;
  });
}

bool LaneWork::is_last_trial() const {
  return users_ == 1 && std::any_of(held_.begin(), held_.end(), [](const auto& entry) {
           const Held& held = entry.second;
           return held.started && held.on_trial && held.suspicion >= 2;
         });
}

std::size_t LaneWork::started() const {
  return static_cast<std::size_t>(std::count_if(
      held_.begin(), held_.end(), [](const auto& entry) { return entry.second.started; }));
}

std::optional<PoisonKinds::Kind> LaneWork::kind_on_trial(std::size_t least) const {
  std::optional<PoisonKinds::Kind> kind;
  std::size_t count = 0;
  for (const auto& [id, held] : held_) {
    if (!held.started || !held.on_trial) continue;
    ++count;
    if (!kind) kind = held.kind;
    if (held.kind.tenant != kind->tenant) return std::nullopt;
    if (held.kind.shape != kind->shape) kind->shape = PoisonKinds::kNoShape;
  }
  return count >= least ? kind : std::nullopt;
}

void LaneWork::lose(std::uint64_t worker, bool inside, const std::string& role) {
  bool trial = std::any_of(held_.begin(), held_.end(), [](const auto& entry) {
    return entry.second.started && entry.second.on_trial;
  });
  auto is_suspect = [&](const Held& held) {
    return inside && held.started && !held.probe && (held.on_trial || !trial);
  };
  auto together = static_cast<std::uint32_t>(std::count_if(
      held_.begin(), held_.end(), [&](const auto& entry) { return is_suspect(entry.second); }));
  bool alone = users_ == 1;
  for (const auto& [id, held] : held_) {
    leases_->remove(id, held.epoch);
    if (held.probe) {
      caf::anon_send(held.session, HolderLost{id, held.epoch, role});
    } else {
      caf::anon_send(held.session,
                     LaneLost{id, held.epoch, lane_, is_suspect(held), alone, together, worker});
    }
  }
  forget();
}

void LaneWork::forget() {
  front_->running -= users_;
  users_ = 0;
  held_.clear();
}

std::optional<SequenceId> LaneWork::probe() const {
  for (const auto& [id, held] : held_) {
    if (held.probe) return id;
  }
  return std::nullopt;
}

std::vector<BatchAssembly::Held> LaneWork::of_users() const {
  std::vector<BatchAssembly::Held> users;
  for (const auto& [id, held] : held_) {
    if (!held.probe) users.push_back({{id, held.epoch}, held.taken, held.ends});
  }
  return users;
}

std::vector<LaneWork::Owned> LaneWork::beside_trials() const {
  std::vector<Owned> others;
  for (const auto& [id, held] : held_)
    if (!held.probe && !held.on_trial) others.push_back({id, held.epoch, held.session});
  return others;
}

KvPressure::Running LaneWork::by_class() const {
  KvPressure::Running running{};
  for (const auto& [id, held] : held_)
    if (!held.probe) ++running[held.taken.owner.class_index];
  return running;
}

std::uint32_t LaneWork::blocks() const {
  std::uint32_t blocks = 0;
  for (const auto& [id, held] : held_)
    if (!held.probe) blocks += held.taken.blocks;
  return blocks;
}

std::vector<Preemption::Candidate> LaneWork::candidates() const {
  std::vector<Preemption::Candidate> running;
  for (const auto& [id, held] : held_) {
    if (held.probe || !held.started || held.on_trial) continue;
    std::uint32_t generated = held.reported - held.prompt_reported;
    running.push_back({id,
                       held.taken.owner,
                       held.taken.blocks,
                       held.prompt_size + generated,
                       generated,
                       held.generated_max,
                       held.preempted,
                       held.number});
  }
  return running;
}

std::vector<SequenceId> LaneWork::unwanted() const {
  std::vector<SequenceId> unwanted;
  for (const auto& [id, held] : held_) {
    if (!held.is_wanted()) unwanted.push_back(id);
  }
  return unwanted;
}

std::vector<SequenceId> LaneWork::on_trial() const {
  std::vector<SequenceId> suspects;
  for (const auto& [id, held] : held_) {
    if (held.on_trial) suspects.push_back(id);
  }
  return suspects;
}

}  // namespace sluice
