#include "actors/batcher.h"

#include "actors/lane_messages.h"
#include "actors/pulse.h"
#include "actors/pulse_messages.h"
#include "actors/thrown.h"
#include "actors/work_messages.h"
#include "actors/work_need.h"
#include "admission/poison.h"
#include "base/check.h"
#include "base/fault_point.h"
#include "base/yield_point.h"

#include "scheduling/core_demand.h"
#include <caf/event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace sluice {
namespace {

/// Of those whose kind is not known, in a storm of workers' ends.
constexpr std::uint32_t kScreenedTogether = 4;
/// So long suspects wait for a lane that starts again, before one is cleared for them.
constexpr Duration kFreeLaneComes = std::chrono::seconds(2);

class Batcher : public caf::event_based_actor {
 public:
  Batcher(caf::actor_config& config,
          std::shared_ptr<Front> front,
          std::shared_ptr<ServedModel> model,
          Incarnation life)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        model_(std::move(model)),
        life_(std::move(life)) {}

  const char* name() const override { return "sluice.batcher"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    tell_holder_lost(*life_.leases, model_->batcher.role);
    auto self = caf::actor_cast<caf::actor>(this);
    Registry& registry = front_->tree->registry();
    registry.subscribe(model_->batcher.role, self);
    registry.subscribe(model_->queue.role, self);
    for (LaneId lane : model_->lanes) {
      lanes_.set_gate(lane, {0.0, 0});  // until its breaker says otherwise
      registry.subscribe(front_->executors.at(lane).role, self);
    }
    return {
        [this](Batch& batch) { on_batch(batch); },
        [this](const LaneUp& up) { on_lane_up(up); },
        [this](const LaneDown& down) { on_lane_down(down.lane, down.final); },
        [this](const LaneGate& gate) { on_lane_gate(gate); },
        [this](const LanePace& pace) { on_lane_pace(pace); },
        [this](const Cleared& cleared) { on_cleared(cleared); },
        [this](const Began& began) { on_began(began); },
        [this](const Released& released) { on_released(released); },
        [this](const Drop& drop) { on_drop(drop); },
        [this](Tick) {
          looks_at_.reset();
          assign();
        },
        answers_pulse(),
        [this](const PeerUp& peer) { on_peer_up(peer); },
        [this](const PeerDown& peer) { on_peer_down(peer); },
    };
  }

  void on_exit() override {
    suspects_.clear();
    publish_waiting();
  }

 private:
  void on_batch(Batch& batch) {
    FAULT_POINT("batcher.batch");
    set_reserve();
    if (batch.queue >= asked_) {
      asked_ = batch.queue;
      batches_ = batch.number;
    }
    std::map<LaneId, std::vector<Work>> by_lane;
    std::size_t placed = 0;
    for (Work& work : batch.works) {
      if (!life_.leases->holds(work.id, work.epoch)) continue;
      YIELD_POINT("batcher.held");
      if (!work.is_wanted()) {
        life_.leases->remove(work.id, work.epoch);
        continue;
      }
      if (!forget_older(work)) continue;
      if (no_lane_is_left()) {
        fail(work);  // the queue gave it before it heard
      } else if (work.suspicion > 0 || is_screened(work)) {
        if (work.suspicion == 0) put_on_trial(work);
        ward_.add(entry_of(work));
        suspects_.emplace(work.id, std::move(work));
      } else if (auto lane = place(work)) {
        placed += lane == work.lane ? 1 : 0;
        by_lane[*lane].push_back(std::move(work));
      } else {
        send_back(work);
      }
    }
    bool all_given = give(by_lane);
    if (all_given && placed == batch.works.size()) return;
    // Not all is as the queue thinks.
    assign();
    pull();
  }

  /// Workers end one after the other, and nothing good is known of what is like it.
  [[nodiscard]] bool is_screened(const Work& work) const {
    return !work.resumed && model_->kinds.storms(front_->clock->now()) &&
           !model_->kinds.is_proven(work.kind);
  }

  /// Only here: its session knows nothing against it.
  static void put_on_trial(Work& work) {
    work.suspicion = 1;
    work.trial_until = Suspicion::kClearTokens;
    work.cohort_max = kScreenedTogether;
  }

  [[nodiscard]] Ward::Suspect entry_of(const Work& work) const {
    return {work.id, work.suspicion, work.cohort_max, model_->kinds.is_proven(work.kind)};
  }

  /// Where it runs: where the queue means it to, unless that has changed on its way.
  std::optional<LaneId> place(Work& work) {
    BatchAssembly::Place place{work.id, work.epoch};
    if (auto lane = lanes_.lane_of(place)) return lane;
    if (!work.lane || ward_.aside().contains(*work.lane)) return std::nullopt;
    work.ends = front_->clock->now() +
                lanes_.rooms().time_of(*work.lane, work.rows(), work.expected_left());
    LaneRooms::Need need = need_of(work, lanes_.rooms(), newest());
    need.blocks = work.blocks;
    need.weights = work.weights;
    return lanes_.assign_to(*work.lane, place, need) ? work.lane : std::nullopt;
  }

  /// Its session offers it to the queue again, where it keeps its order.
  void send_back(const Work& work) {
    life_.leases->remove(work.id, work.epoch);
    caf::anon_send(work.session, HolderLost{work.id, work.epoch, model_->batcher.role});
  }

  /// An older epoch that waits for its trial would run for nobody. False: it is the same that
  /// waits; it was given twice, as its giver was not sure.
  bool forget_older(const Work& work) {
    auto suspect = suspects_.find(work.id);
    if (suspect == suspects_.end()) return true;
    if (suspect->second.epoch >= work.epoch) return false;
    suspects_.erase(suspect);
    ward_.remove(work.id);
    return true;
  }

  void on_lane_up(const LaneUp& up) {
    lost_.erase(up.lane);
    lanes_.lane_up(up.lane, up.credit, up.held, up.weights);
    ward_.lane_up(up.lane, up.on_trial);
    publish_slots();
    assign();
    pull();
  }

  void on_lane_pace(const LanePace& pace) {
    if (pace.step_base_us > 0)
      lanes_.set_pace(pace.lane, {pace.step_base_us, pace.step_per_row_us});
    if (lanes_.set_limits(pace.lane, pace.limit, pace.closed_from)) pull();
  }

  void on_lane_gate(const LaneGate& gate) {
    lanes_.set_gate(gate.lane, {gate.weight, gate.permits});
    publish_slots();
    assign();
    pull();
  }

  void on_lane_down(LaneId lane, bool final) {
    lanes_.lane_down(lane);
    lanes_.set_gate(lane, {0.0, 0});
    ward_.lane_down(lane, final);
    publish_slots();
    if (final) lost_.insert(lane);
    if (no_lane_is_left()) {
      give_up();
    } else {
      end_orphans();
    }
    pull();
  }

  [[nodiscard]] bool no_lane_is_left() const { return lost_.size() >= model_->lanes.size(); }

  /// Nobody will ever take what waits here.
  void give_up() {
    for (const auto& [id, work] : suspects_) {
      ward_.remove(id);
      fail(work);
    }
    suspects_.clear();
    publish_waiting();
  }

  /// No lane is on its way that might bring other weights than those that are up.
  [[nodiscard]] bool all_are_known() const {
    return lanes_.rooms().lanes().size() + lost_.size() >= model_->lanes.size();
  }

  /// What has begun on weights that no lane runs any more cannot go on: others would continue it
  /// with another text.
  void end_orphans() {
    if (!all_are_known()) return;
    std::erase_if(suspects_, [&](const auto& entry) {
      const Work& work = entry.second;
      if (work.weights == 0 || lanes_.rooms().runs(work.weights)) return false;
      ward_.remove(entry.first);
      fail(work, kWeightsReplaced);
      return true;
    });
  }

  void fail(const Work& work, const char* why = kNoLaneLeft) {
    life_.leases->remove(work.id, work.epoch);
    caf::anon_send(work.session,
                   SequenceFailed{work.id, work.epoch, {ErrorCode::unavailable, why}});
  }

  void on_began(const Began& began) {
    for (const BatchAssembly::Place& place : began.places)
      lanes_.began(began.lane, place);
    pull();
  }

  void on_released(const Released& released) {
    FAULT_POINT("batcher.released");
    for (const BatchAssembly::Place& place : released.places) {
      lanes_.release(released.lane, place);
      ward_.left(place.id);
    }
    if (released.beyond_gate) {
      // Until the breaker has said it again; or the same work might go round and round.
      lanes_.set_gate(released.lane, {0.0, 0});
      front_->tell(Front::breaker_role(released.lane), SayGate{released.lane});
    }
    assign();
    pull();
  }

  void on_cleared(const Cleared& cleared) {
    for (SequenceId id : cleared.ids)
      ward_.cleared(id);
    assign();
    pull();
  }

  void on_drop(const Drop& drop) {
    auto suspect = suspects_.find(drop.id);
    if (suspect != suspects_.end() && suspect->second.epoch <= drop.epoch) {
      life_.leases->remove(drop.id, drop.epoch);
      ward_.remove(drop.id);
      suspects_.erase(suspect);
      assign();
      pull();
      return;
    }
    for (LaneId lane : model_->lanes)
      front_->tell(front_->executors.at(lane).role, drop);
  }

  void on_peer_up(const PeerUp& peer) {
    if (peer.role == model_->batcher.role && peer.incarnation == life_.number) {
      sweep(*life_.leases, model_->batcher.role, [this](SequenceId id) {
        return suspects_.contains(id);
      });
    } else if (peer.role == model_->queue.role) {
      pull();
    }
  }

  void on_peer_down(const PeerDown& peer) {
    for (LaneId lane : model_->lanes) {
      const Holder& executor = front_->executors.at(lane);
      if (executor.role != peer.role) continue;
      on_lane_down(lane, peer.final);
      // What was given to it just before is in nobody's hands, and this actor alone gives.
      if (peer.final) tell_holder_lost(*executor.leases, executor.role);
    }
  }

  /// Gives suspects to the lane whose turn it is.
  void assign() {
    while (!assign_once()) {
    }
    publish_waiting();
  }

  /// False: places are free again, for something was not wanted any more.
  bool assign_once() {
    if (suspects_.empty()) return true;
    end_orphans();
    std::map<LaneId, std::vector<Work>> by_lane;
    bool all_wanted = try_suspects(by_lane);
    return give(by_lane) && all_wanted;
  }

  /// Gives work to the lanes on which it has its place. False: some of it was not wanted.
  bool give(const std::map<LaneId, std::vector<Work>>& by_lane) {
    bool all_given = true;
    for (const auto& [lane, works] : by_lane) {
      auto kept = hand_over(front_->tree->registry(),
                            front_->executors.at(lane),
                            works,
                            [](const std::vector<Work>& given) { return Assign{given}; });
      for (const Work& work : kept) {
        lanes_.release(lane, {work.id, work.epoch});
        ward_.left(work.id);
        all_given = false;
      }
      FAULT_POINT("batcher.handed_over");
      for (const Work& work : works)
        life_.leases->remove(work.id, work.epoch);
    }
    return all_given;
  }

  /// False: a suspect whose turn it was is not wanted any more, or refused.
  bool try_suspects(std::map<LaneId, std::vector<Work>>& by_lane) {
    if (ward_.waiting() == 0) {
      suspects_since_.reset();
      return true;
    }
    std::uint64_t weights = need_of(suspects_.at(ward_.first()), lanes_.rooms(), newest()).weights;
    std::vector<Ward::Lane> lanes;
    for (const LaneRooms::Lane& lane : lanes_.rooms().lanes()) {
      bool runs_it = weights == 0 || weights == lane.weights;
      if (runs_it && lane.gate.weight > 0.0) lanes.push_back({lane.id, lane.held, lane.room()});
    }
    TimePoint now = front_->clock->now();
    bool storms = model_->kinds.storms(now);
    if (!suspects_since_) suspects_since_ = now;
    // A lane that starts again holds nothing; others had to let go of what they run.
    bool awaits = lanes.size() + lost_.size() < model_->lanes.size() &&
                  now - *suspects_since_ < kFreeLaneComes;
    auto trial = ward_.next(lanes, storms, awaits);
    if (!trial) {
      if (auto lane = ward_.to_clear(lanes))
        front_->tell(front_->executors.at(*lane).role, ClearLane{*lane});
      if (awaits)
        look_again_at(*suspects_since_ + kFreeLaneComes);
      else if (storms)
        look_again_at(model_->kinds.storms_until());  // afterwards another lane is as good
      return true;
    }
    suspects_since_.reset();
    bool all_wanted = true;
    for (SequenceId id : trial->ids) {
      auto suspect = suspects_.find(id);
      CHECK(suspect != suspects_.end());
      Work& work = suspect->second;
      bool wanted = work.is_wanted();
      if (!wanted || is_refused(work)) {
        if (wanted) caf::anon_send(work.session, KindRefused{id, work.epoch});
        life_.leases->remove(id, work.epoch);
        ward_.left(id);
        suspects_.erase(suspect);
        all_wanted = false;
        continue;
      }
      LaneRooms::Need need = need_of(work, lanes_.rooms(), newest());
      if (!lanes_.assign_to(trial->lane, {id, work.epoch}, need)) {
        // Not enough blocks beside the others of its cohort: with the next one.
        ward_.left(id);
        ward_.add(entry_of(work));
        continue;
      }
      work.blocks = need.blocks;
      by_lane[trial->lane].push_back(std::move(work));
      suspects_.erase(suspect);
    }
    return all_wanted;
  }

  /// Since it began to wait for its trial others like it were convicted.
  [[nodiscard]] bool is_refused(const Work& work) const {
    return !work.tries_kind && model_->kinds.look(work.kind, front_->clock->now()).verdict !=
                                   PoisonKinds::Verdict::free;
  }

  void look_again_at(TimePoint time) {
    if (looks_at_ && *looks_at_ <= time) return;
    looks_at_ = time;
    delayed_send(this, time - front_->clock->now(), Tick{});
  }

  [[nodiscard]] std::uint64_t newest() const { return front_->lanes.newest_weights(model_->name); }

  /// Tells the queue what the lanes can take now.
  void pull() {
    set_reserve();
    auto queue = front_->tree->registry().find(model_->queue.role);
    if (!queue) return;
    if (queue->incarnation > asked_) {
      asked_ = queue->incarnation;
      batches_ = 0;
    }
    caf::anon_send(queue->handle,
                   Pull{asked_,
                        batches_,
                        lanes_.rooms(),
                        ward_.aside(),
                        newest(),
                        all_are_known(),
                        no_lane_is_left(),
                        demand_.is_low()});
  }

  void set_reserve() {
    demand_.set(lanes_.rooms().core_share(), front_->clock->now());
    lanes_.set_reserve(reserve_of(*front_->quotas, demand_.is_low()));
  }

  void publish_waiting() const {
    model_->unplaced.store(suspects_.size(), std::memory_order_relaxed);
  }
  void publish_slots() {
    model_->slots.store(lanes_.rooms().slots_total(), std::memory_order_relaxed);
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  Incarnation life_;
  BatchAssembly lanes_;
  CoreDemand demand_;
  Ward ward_;                                ///< which suspect runs when
  std::map<SequenceId, Work> suspects_;      ///< those that wait for their trial
  std::set<LaneId> lost_;                    ///< lanes that nobody is to wait for
  std::optional<TimePoint> suspects_since_;  ///< they have waited for a trial
  std::optional<TimePoint> looks_at_;        ///< at the suspects again, at the latest
  std::uint64_t asked_ = 0;                  ///< the incarnation of the queue that gives
  std::uint64_t batches_ = 0;                ///< of that one, that have come
};

}  // namespace

caf::actor spawn_batcher(caf::actor_system& system,
                         std::shared_ptr<Front> front,
                         std::shared_ptr<ServedModel> model,
                         const Incarnation& life) {
  return system.spawn<Batcher>(std::move(front), std::move(model), life);
}

}  // namespace sluice
