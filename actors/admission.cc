#include "actors/admission.h"

#include "actors/pulse.h"
#include "actors/pulse_messages.h"
#include "actors/request_messages.h"
#include "actors/thrown.h"
#include "actors/work_messages.h"
#include "base/fault_point.h"
#include "base/yield_point.h"

#include <caf/event_based_actor.hpp>

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

/// How often deadlines are looked at while requests are inside. A deadline is late by at most this.
constexpr Duration kTick = std::chrono::milliseconds(50);
/// A stream is silent for longer than the keep-alive by at most one turn. Each turn is a message to
/// everybody who waits, so a crowd of 150,000 is not asked every second.
constexpr int kTurnsOfKeepAlive = 3;

class Admission : public caf::event_based_actor {
 public:
  Admission(caf::actor_config& config, std::shared_ptr<Front> front, Incarnation life)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        life_(std::move(life)),
        controller_(front_->options.admission) {}

  const char* name() const override { return "sluice.admission"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    front_->record(trace::AdmissionBorn{});
    tell_holder_lost(*life_.leases, front_->admission.role);
    front_->tree->registry().subscribe(front_->admission.role, caf::actor_cast<caf::actor>(this));
    if (front_->draining) controller_.drain();
    return {
        [this](Submit& submit) { on_submit(submit); },
        [this](const Register& again) { on_register(again); },
        [this](const Ended& ended) { on_ended(ended); },
        answers_pulse(),
        [this](Tick) { on_tick(); },
        [this](const PeerUp& peer) {
          if (peer.incarnation != life_.number) return;
          sweep(*life_.leases, front_->admission.role, [this](SequenceId id) {
            return sessions_.contains(id.value);
          });
        },
        [](const PeerDown&) {},
    };
  }

  void on_exit() override { sessions_.clear(); }

 private:
  struct Inside {
    caf::actor session;
    TimePoint since;
  };
  /// When a request is attended next.
  struct Turn {
    TimePoint due;
    std::uint64_t request;
    TimePoint since;  ///< when it entered: it may have entered again
  };

  void on_submit(Submit& submit) {
    FAULT_POINT("admission.submit");
    SequenceId lease{submit.demand.request.value};
    if (submit.works.empty() || !life_.leases->holds(lease, submit.works.front().epoch)) return;
    YIELD_POINT("admission.held");
    TimePoint now = front_->clock->now();
    if (front_->draining) controller_.drain();
    count_slots();
    auto model = front_->find_model(submit.model);
    Decision decision = decide(submit, now, model ? forecast(submit, *model, now) : Forecast{});
    if (model) count_arrival(submit, *model, now);
    const Quotas::Claim& claim = submit.claim;
    front_->decided({.at = now,
                     .request_id = std::move(submit.request_id),
                     .tenant = claim.tenant,
                     .priority_class = claim.priority_class,
                     .model = std::move(submit.asked),
                     .tokens = claim.tokens,
                     .decision = decision,
                     .degraded = submit.degraded});
    if (!decision.admitted() || !model) {
      life_.leases->remove(lease, submit.works.front().epoch);
      front_->record(trace::Refused{submit.demand.request, decision.message});
      caf::anon_send(submit.works.front().session, Refused{std::move(decision)});
      return;
    }
    front_->counters.accepted += 1;
    const auto& demand = submit.demand;
    front_->record(
        trace::Accepted{demand.request, demand.sequences, demand.tokens, demand.deadline});
    life_.leases->accept(lease, submit.works.front().epoch);
    enter(submit.demand.request, submit.works.front().session, now);
    FAULT_POINT("admission.accepted");
    bool rests = model->queued.load(std::memory_order_relaxed) == 0;
    for (Work& work : submit.works) {
      work.counted = true;
      model->waits.enter(work.class_index, work.tenant, work.tenant_weight, work.cost, now, rests);
      auto kept = hand_over(front_->tree->registry(),
                            model->queue,
                            {std::move(work)},
                            [](const std::vector<Work>& works) { return Enqueue{works.front()}; });
      for (const Work& unwanted : kept)
        model->waits.leave(unwanted.class_index, unwanted.tenant, unwanted.cost);
    }
  }

  using Forecast = AdmissionController::Forecast;

  /// Also says of each sequence what it will take of a lane.
  static Forecast forecast(Submit& submit, const ServedModel& model, TimePoint now) {
    Forecast forecast;
    for (Work& work : submit.works) {
      work.cost = model.waits.cost(work.rows(), work.expected);
      work.run = model.waits.run(work.rows(), work.expected);
      forecast.run = std::max(forecast.run, work.run);
    }
    const Work& first = submit.works.front();
    forecast.wait = model.waits.wait({first.class_index, first.tenant, first.core}, now);
    return forecast;
  }

  /// Once each, whatever is decided.
  static void count_arrival(const Submit& submit, ServedModel& model, TimePoint now) {
    if (submit.works.front().epoch > 0) return;
    Duration cost{};
    for (const Work& work : submit.works)
      cost += work.cost;
    model.arrivals.arrived(submit.works.front().class_index, cost, now);
  }

  /// Checks all, then takes all: what is refused has cost nothing.
  Decision decide(const Submit& submit, TimePoint now, const Forecast& forecast) {
    const Quotas::Claim& claim = submit.claim;
    // One that is inside has been let in by an incarnation that did not live to say so.
    bool is_new = !front_->quotas->holds(claim.request);
    Decision decision = front_->quotas->check(claim, now);
    if (decision.admitted()) {
      decision = controller_.submit(submit.demand, now, forecast);
      if (!decision.admitted()) return decision;
      // Other limits may have come since.
      decision = front_->quotas->take(claim, now);
      if (!decision.admitted()) controller_.end(claim.request, now);
    }
    if (is_new) record_claim(claim, decision, now);
    YIELD_POINT("admission.taken");
    FAULT_POINT("admission.taken");
    // Its session may have ended and settled a claim that was not taken yet.
    if (!life_.leases->holds(SequenceId{claim.request.value}, submit.works.front().epoch)) {
      front_->record(trace::Settled{claim.request, 0});
      front_->quotas->settle(claim.request, 0);
    }
    return decision;
  }

  void record_claim(const Quotas::Claim& claim, const Decision& decision, TimePoint now) const {
    using Answer = trace::Claimed::Answer;
    auto answer_of = [](Refusal refusal) {
      switch (refusal) {
        case Refusal::token_bucket:
          return Answer::shared_limit;
        case Refusal::core_reserve:
          return Answer::reserve;
        case Refusal::tenant_share:
          return Answer::share;
        case Refusal::too_many_tokens:
          return Answer::never;
        default:
          return Answer::own_limit;
      }
    };
    front_->record(
        trace::Claimed{claim.request,
                       claim.tenant ? claim.tenant->number : trace::Claimed::kNobody,
                       now,
                       claim.priority_class == PriorityClass::low,
                       claim.tokens,
                       decision.admitted() ? Answer::taken : answer_of(*decision.refused)});
  }

  void on_register(const Register& again) {
    TimePoint now = front_->clock->now();
    controller_.restore(again.demand, now);
    front_->record(
        trace::Registered{again.demand.request, again.demand.sequences, again.demand.tokens});
    enter(again.demand.request, again.session, now);
  }

  void on_ended(const Ended& ended) {
    FAULT_POINT("admission.ended");
    if (controller_.end(ended.request, front_->clock->now()))
      front_->record(trace::Released{ended.request});
    life_.leases->remove(SequenceId{ended.request.value});
    sessions_.erase(ended.request.value);
  }

  void enter(RequestNumber request, const caf::actor& session, TimePoint now) {
    sessions_.insert_or_assign(request.value, Inside{session, now});
    young_.push_back({now + front_->options.keepalive, request.value, now});
    if (!ticking_) {
      ticking_ = true;
      delayed_send(this, kTick, Tick{});
      front_->tell(Front::kDegradationRole, RequestsInside{});
    }
  }

  void on_tick() {
    TimePoint now = front_->clock->now();
    for (RequestNumber request : controller_.take_expired(now)) {
      auto inside = sessions_.find(request.value);
      if (inside != sessions_.end()) caf::anon_send(inside->second.session, DeadlinePassed{});
    }
    attend(young_, now);
    attend(old_, now);
    // With nobody inside the timer rests, so an idle server does nothing.
    ticking_ = !sessions_.empty();
    if (ticking_) {
      delayed_send(this, kTick, Tick{});
    } else {
      young_.clear();
      old_.clear();
    }
  }

  /// Looks after those whose turn it is. Each comes again the same time later, so what arrived at
  /// different times is attended at different times, not all at once.
  void attend(std::deque<Turn>& line, TimePoint now) {
    // Those that ended stand in line until then; more of them than of the living are cleared away.
    if (line.size() > 2 * sessions_.size() + 1024)
      std::erase_if(line, [this](const Turn& turn) { return !is_inside(turn); });
    while (!line.empty() && line.front().due <= now) {
      Turn turn = line.front();
      line.pop_front();
      if (!is_inside(turn)) continue;
      caf::anon_send(sessions_.at(turn.request).session, Attend{});
      turn.due = now + front_->options.keepalive / kTurnsOfKeepAlive;
      old_.push_back(turn);
    }
  }

  [[nodiscard]] bool is_inside(const Turn& turn) const {
    auto inside = sessions_.find(turn.request);
    return inside != sessions_.end() && inside->second.since == turn.since;
  }

  void count_slots() {
    std::size_t slots = 0;
    for (const auto& model : front_->models)
      slots += model->slots.load(std::memory_order_relaxed);
    controller_.set_slots(slots);
  }

  std::shared_ptr<Front> front_;
  Incarnation life_;
  AdmissionController controller_;
  std::unordered_map<std::uint64_t, Inside> sessions_;  ///< by request number
  // Both in order of `due`, for each adds the same time to a time that grows.
  std::deque<Turn> young_;  ///< not as old as the keep-alive
  std::deque<Turn> old_;    ///< attended again and again
  bool ticking_ = false;
};

}  // namespace

caf::actor spawn_admission(caf::actor_system& system,
                           std::shared_ptr<Front> front,
                           const Incarnation& life) {
  return system.spawn<Admission>(std::move(front), life);
}

}  // namespace sluice
