#include "actors/batcher.h"

#include "actors/pulse.h"
#include "actors/thrown.h"
#include "actors/work_line.h"
#include "admission/lane_reservations.h"
#include "admission/poison.h"
#include "base/check.h"
#include "base/fault_point.h"
#include "base/yield_point.h"
#include "kernels/ops.h"

#include <caf/event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace sluice {
namespace {

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
        [this](Batch& batch) { on_batch(batch.works); },
        [this](const LaneUp& up) { on_lane_up(up); },
        [this](const LaneDown& down) { on_lane_down(down.lane, down.final); },
        [this](const LaneGate& gate) { on_lane_gate(gate); },
        [this](const LanePace& pace) {
          lanes_.set_pace(pace.lane, {pace.step_base_us, pace.step_per_row_us});
        },
        [this](const Cleared& cleared) { on_cleared(cleared); },
        [this](const Released& released) { on_released(released); },
        [this](const Drop& drop) { on_drop(drop); },
        answers_pulse(),
        [this](const PeerUp& peer) { on_peer_up(peer); },
        [this](const PeerDown& peer) { on_peer_down(peer); },
    };
  }

  void on_exit() override {
    waiting_.clear();
    suspects_.clear();
    publish_waiting();
  }

 private:
  void on_batch(std::vector<Work>& works) {
    FAULT_POINT("batcher.batch");
    outstanding_ -= std::min<std::uint64_t>(outstanding_, works.size());
    for (Work& work : works) {
      if (!life_.leases->holds(work.id, work.epoch)) continue;
      YIELD_POINT("batcher.held");
      if (!work.is_wanted()) {
        life_.leases->remove(work.id, work.epoch);
        continue;
      }
      if (!forget_older(work)) continue;
      if (work.suspicion == 0) {
        waiting_.push_back(std::move(work));
        continue;
      }
      ward_.add({work.id, work.suspicion, work.cohort_max});
      suspects_.emplace(work.id, std::move(work));
    }
    // The queue may have given it before it heard that no lane is left.
    if (no_lane_is_left()) give_up();
    assign();
    pull();  // for what was not taken, or is not wanted any more
  }

  /// What waits here of the same sequence under an older epoch would run for nobody.
  /// False: what waits here is the same; it was given twice, as its giver was not sure.
  bool forget_older(const Work& work) {
    const Work* known = waiting_.find(work.id);
    auto suspect = suspects_.find(work.id);
    if (suspect != suspects_.end()) known = &suspect->second;
    if (!known) return true;
    if (known->epoch >= work.epoch) return false;
    if (suspect == suspects_.end()) {
      waiting_.remove(work.id);
    } else {
      suspects_.erase(suspect);
      ward_.remove(work.id);
    }
    return true;
  }

  void on_lane_up(const LaneUp& up) {
    // Whatever the queue has given up, from now on it need not.
    if (no_lane_is_left()) front_->tell(model_->queue.role, Pull{0});
    lost_.erase(up.lane);
    lanes_.lane_up(up.lane, up.credit, up.held, up.weights);
    ward_.lane_up(up.lane, up.on_trial);
    publish_slots();
    assign();
    pull();
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
    ward_.lane_down(lane);
    publish_slots();
    if (!final) return;
    lost_.insert(lane);
    if (!no_lane_is_left()) {
      end_orphans();
      return;
    }
    give_up();
    front_->tell(model_->queue.role, NoLaneLeft{});
  }

  [[nodiscard]] bool no_lane_is_left() const { return lost_.size() >= model_->lanes.size(); }

  /// Nobody will ever take what waits here.
  void give_up() {
    for (const auto& [work, passed] : waiting_)
      fail(work);
    for (const auto& [id, work] : suspects_) {
      ward_.remove(id);
      fail(work);
    }
    waiting_.clear();
    suspects_.clear();
    publish_waiting();
  }

  /// What has begun on weights that no lane runs any more cannot go on: others would continue it
  /// with another text. While a lane is on its way, it may bring any.
  void end_orphans() {
    if (lanes_.lanes_up() + lost_.size() < model_->lanes.size()) return;
    auto ended = [this](const Work& work) {
      if (work.weights == 0 || lanes_.runs(work.weights)) return false;
      fail(work, "the model's weights were replaced after it had begun");
      return true;
    };
    for (auto next = waiting_.begin(); next != waiting_.end();) {
      if (ended(next->work))
        waiting_.take(next);
      else
        ++next;
    }
    std::erase_if(suspects_, [&](const auto& entry) {
      return ended(entry.second) && (ward_.remove(entry.first), true);
    });
  }

  void fail(const Work& work, const char* why = "no lane of the model is left") {
    life_.leases->remove(work.id, work.epoch);
    caf::anon_send(work.session,
                   SequenceFailed{work.id, work.epoch, {ErrorCode::unavailable, why}});
  }

  void on_released(const Released& released) {
    FAULT_POINT("batcher.released");
    for (const BatchAssembly::Place& place : released.places) {
      lanes_.release(released.lane, place);
      ward_.left(place.id);
    }
    assign();
    pull();
  }

  void on_cleared(const Cleared& cleared) {
    for (SequenceId id : cleared.ids)
      ward_.cleared(id);
    assign();
  }

  void on_drop(const Drop& drop) {
    const Work* found = waiting_.find(drop.id);
    if (found && found->epoch <= drop.epoch) {
      life_.leases->remove(drop.id, drop.epoch);
      waiting_.remove(drop.id);
      assign();  // what stood behind it may fit
      pull();
      return;
    }
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
        return suspects_.contains(id) || waiting_.contains(id);
      });
    } else if (peer.role == model_->queue.role) {
      outstanding_ = 0;  // a new queue knows nothing of what was asked of the old one
      if (no_lane_is_left()) front_->tell(model_->queue.role, NoLaneLeft{});
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

  /// Gives waiting work to lanes, suspects first. What fits nowhere has one lane kept for it
  /// (admission/lane_reservations.h), and the line behind it goes on.
  void assign() {
    while (!assign_once()) {
    }
    publish_waiting();
  }

  /// False: places are free again, for something was not wanted any more.
  bool assign_once() {
    if (waiting_.empty() && suspects_.empty()) return true;
    end_orphans();
    newest_ = front_->lanes.newest_weights(model_->name);
    std::map<LaneId, std::vector<Work>> by_lane;
    bool all_given = try_suspects(by_lane);
    LaneReservations reservations(ward_.aside());
    for (auto next = waiting_.begin(); next != waiting_.end() && lanes_.free_slots() > 0;) {
      const Work& work = next->work;
      if (!work.is_wanted()) {
        life_.leases->remove(work.id, work.epoch);
        waiting_.take(next);
        continue;
      }
      BatchAssembly::Need need = need_of(work);
      std::set<LaneId> closed = reservations.closed_to(work.class_index);
      auto lane = lanes_.assign({work.id, work.epoch}, need, closed);
      if (lane) {
        reservations.took(*lane);
        Work taken = waiting_.take(next);
        taken.blocks = need.blocks;
        by_lane[*lane].push_back(std::move(taken));
        continue;
      }
      if (auto wait_for = lanes_.soonest(need, closed))
        reservations.keep(*wait_for, work.class_index, next->passed);
      ++next;
    }
    for (auto& [lane, works] : by_lane) {
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

  /// False: a suspect whose turn it was is not wanted any more.
  bool try_suspects(std::map<LaneId, std::vector<Work>>& by_lane) {
    if (ward_.waiting() == 0) return true;
    std::uint64_t weights = need_of(suspects_.at(ward_.first())).weights;
    std::vector<Ward::Lane> lanes;
    for (const BatchAssembly::Room& room : lanes_.rooms())
      if (weights == 0 || weights == room.weights) lanes.push_back({room.id, room.held, room.free});
    auto trial = ward_.next(lanes);
    if (!trial) return true;
    bool all_wanted = true;
    for (SequenceId id : trial->ids) {
      auto suspect = suspects_.find(id);
      CHECK(suspect != suspects_.end());
      Work& work = suspect->second;
      if (!work.is_wanted()) {
        life_.leases->remove(id, work.epoch);
        ward_.left(id);
        suspects_.erase(suspect);
        all_wanted = false;
        continue;
      }
      BatchAssembly::Need need = need_of(work);
      if (!lanes_.assign_to(trial->lane, {id, work.epoch}, need)) {
        // Not enough blocks beside the others of its cohort: with the next one.
        ward_.left(id);
        ward_.add({id, work.suspicion, work.cohort_max});
        continue;
      }
      work.blocks = need.blocks;
      by_lane[trial->lane].push_back(std::move(work));
      suspects_.erase(suspect);
    }
    return all_wanted;
  }

  BatchAssembly::Need need_of(const Work& work) const {
    std::size_t emitted = work.emitted ? work.emitted->size() : 0;
    std::size_t left = work.plan->max_tokens > emitted ? work.plan->max_tokens - emitted : 0;
    // What has not begun runs on the newest weights; lanes with older ones finish what they have.
    std::uint64_t weights = work.weights != 0 ? work.weights : newest_;
    return {blocks(work), work.known_tokens(), left, work.avoid, weights};
  }

  /// KV blocks a sequence will probably need: what is known, and half of what it may still
  /// generate. If more sequences grow beyond that than there are blocks, the engine preempts, so
  /// this is no promise to keep.
  std::uint32_t blocks(const Work& work) const {
    std::size_t known = work.known_tokens();
    std::size_t emitted = work.emitted ? work.emitted->size() : 0;
    std::size_t left = work.plan->max_tokens > emitted ? work.plan->max_tokens - emitted : 0;
    std::size_t needed = (known + left / 2 + kBlockTokens) / kBlockTokens;
    return static_cast<std::uint32_t>(
        std::min<std::size_t>(needed, std::max(1U, lanes_.blocks_max())));
  }

  /// Asks the queue for as much as there are free slots that nothing is on its way to.
  void pull() {
    std::uint64_t expected = outstanding_ + waiting_.size() + ward_.waiting();
    std::uint64_t free = lanes_.free_slots();
    if (free <= expected) return;
    auto queue = front_->tree->registry().find(model_->queue.role);
    if (!queue) return;
    caf::anon_send(queue->handle, Pull{static_cast<std::uint32_t>(free - expected)});
    outstanding_ += free - expected;
  }

  void publish_waiting() const {
    model_->unplaced.store(waiting_.size() + suspects_.size(), std::memory_order_relaxed);
  }
  void publish_slots() { model_->slots.store(lanes_.slots_total(), std::memory_order_relaxed); }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  Incarnation life_;
  BatchAssembly lanes_;
  WorkLine waiting_;
  Ward ward_;                            ///< which suspect runs when
  std::map<SequenceId, Work> suspects_;  ///< those that wait for their trial
  std::uint64_t outstanding_ = 0;        ///< asked of the queue and not arrived
  std::set<LaneId> lost_;                ///< lanes that nobody is to wait for
  std::uint64_t newest_ = 0;             ///< weights of what begins now; 0: any
};

}  // namespace

caf::actor spawn_batcher(caf::actor_system& system,
                         std::shared_ptr<Front> front,
                         std::shared_ptr<ServedModel> model,
                         const Incarnation& life) {
  return system.spawn<Batcher>(std::move(front), std::move(model), life);
}

}  // namespace sluice
