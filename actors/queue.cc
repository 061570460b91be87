#include "actors/queue.h"

#include "actors/pulse.h"
#include "actors/thrown.h"
#include "admission/class_queue.h"
#include "base/check.h"
#include "base/fault_point.h"
#include "base/yield_point.h"

#include <caf/event_based_actor.hpp>

#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

class Queue : public caf::event_based_actor {
 public:
  Queue(caf::actor_config& config,
        std::shared_ptr<Front> front,
        std::shared_ptr<ServedModel> model,
        Incarnation life)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        model_(std::move(model)),
        life_(std::move(life)),
        order_(ClassQueue::Options{}) {}

  const char* name() const override { return "sluice.queue"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    tell_holder_lost(*life_.leases, model_->queue.role);
    auto self = caf::actor_cast<caf::actor>(this);
    front_->tree->registry().subscribe(model_->queue.role, self);
    front_->tree->registry().subscribe(model_->batcher.role, self);
    return {
        [this](Enqueue& enqueue) { on_enqueue(std::move(enqueue.work)); },
        [this](Pull pull) {
          no_lane_left_ = false;
          credit_ += pull.count;
          feed();
          publish();
        },
        [this](const Drop& drop) {
          on_drop(drop);
          publish();
        },
        answers_pulse(),
        [this](NoLaneLeft) {
          on_no_lane_left();
          publish();
        },
        [this](const PeerUp& peer) {
          if (peer.role == model_->queue.role && peer.incarnation == life_.number) {
            sweep(*life_.leases, model_->queue.role, [this](SequenceId id) {
              return works_.contains(id);
            });
          }
        },
        [this](const PeerDown& peer) {
          // A new batcher counts its lanes anew and asks again.
          if (peer.role == model_->batcher.role) credit_ = 0;
        },
    };
  }

  void on_exit() override {
    works_.clear();
    publish();
  }

 private:
  void on_enqueue(Work work) {
    FAULT_POINT("queue.enqueue");
    if (!life_.leases->holds(work.id, work.epoch)) return;
    YIELD_POINT("queue.held");
    if (!work.is_wanted()) {
      life_.leases->remove(work.id, work.epoch);
      return;
    }
    if (no_lane_left_) {
      fail(work, ErrorCode::unavailable, "no lane of the model is left");
      return;
    }
    auto known = works_.find(work.id);
    if (known != works_.end()) {
      if (known->second.epoch >= work.epoch) return;
      order_.remove(work.id);
      works_.erase(known);
    }
    ClassQueue::Item item;
    item.id = work.id;
    item.class_index = work.class_index;
    item.resumed = work.resumed;
    item.priority = work.priority;
    item.arrival = work.arrival;
    item.cost_tokens = work.known_tokens() + work.plan->max_tokens;
    CHECK(order_.push(item));
    works_.emplace(work.id, std::move(work));
    feed();
    publish();
  }

  /// Gives the batcher as much as it has asked for. What nobody wants any more does not count.
  void feed() {
    for (;;) {
      std::vector<Work> works;
      while (credit_ > works.size() && !order_.empty()) {
        auto id = order_.pop();
        auto found = works_.find(*id);
        CHECK(found != works_.end());
        works.push_back(std::move(found->second));
        works_.erase(found);
      }
      if (works.empty()) return;
      auto kept = hand_over(
          front_->tree->registry(), model_->batcher, works, [](const std::vector<Work>& given) {
            return Batch{given};
          });
      credit_ -= works.size() - kept.size();
      FAULT_POINT("queue.handed_over");
      for (const Work& work : works)
        life_.leases->remove(work.id, work.epoch);
    }
  }

  void on_drop(const Drop& drop) {
    auto found = works_.find(drop.id);
    if (found != works_.end() && found->second.epoch <= drop.epoch) {
      order_.remove(drop.id);
      works_.erase(found);
      life_.leases->remove(drop.id, drop.epoch);
    } else {
      front_->tell(model_->batcher.role, drop);
    }
  }

  void on_no_lane_left() {
    no_lane_left_ = true;
    for (auto& [id, work] : works_) {
      order_.remove(id);
      fail(work, ErrorCode::unavailable, "no lane of the model is left");
    }
    works_.clear();
  }

  void publish() const { model_->queued.store(works_.size(), std::memory_order_relaxed); }

  void fail(const Work& work, ErrorCode code, const char* why) {
    life_.leases->remove(work.id, work.epoch);
    caf::anon_send(work.session, SequenceFailed{work.id, work.epoch, {code, why}});
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  Incarnation life_;
  ClassQueue order_;
  std::unordered_map<SequenceId, Work> works_;
  bool no_lane_left_ = false;
  std::uint64_t credit_ = 0;  ///< how many more the batcher takes
};

}  // namespace

caf::actor spawn_queue(caf::actor_system& system,
                       std::shared_ptr<Front> front,
                       std::shared_ptr<ServedModel> model,
                       const Incarnation& life) {
  return system.spawn<Queue>(std::move(front), std::move(model), life);
}

}  // namespace sluice
