#include "actors/breaker.h"

#include "actors/lane_messages.h"
#include "actors/pulse.h"
#include "actors/pulse_messages.h"
#include "actors/thrown.h"
#include "base/yield_point.h"

#include <caf/event_based_actor.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace sluice {
namespace {

/// Generations and probes of a later incarnation are larger than all of the earlier ones.
CircuitBreakerOptions numbered(CircuitBreakerOptions options, std::uint64_t incarnation) {
  options.numbers_from = incarnation << 32;
  return options;
}

class Breaker : public caf::event_based_actor {
 public:
  Breaker(caf::actor_config& config,
          std::shared_ptr<Front> front,
          std::shared_ptr<ServedModel> model,
          LaneId lane,
          const Incarnation& life)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        model_(std::move(model)),
        lane_(lane),
        executor_role_(front_->executors.at(lane).role),
        prober_role_(Front::prober_role(lane)),
        born_(front_->clock->now()),
        breaker_(numbered(front_->options.breaker, life.number), *front_->random, [this] {
          return front_->lanes.may_eject(lane_);
        }) {
    // What an operator wanted still holds.
    for (const LaneStatus& status : front_->lanes.snapshot())
      if (status.lane == lane_ && status.breaker.held) force_open(*status.breaker.held);
  }

  const char* name() const override { return "sluice.breaker"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    auto self = caf::actor_cast<caf::actor>(this);
    for (const std::string& role : {executor_role_, model_->batcher.role, prober_role_})
      front_->tree->registry().subscribe(role, self);
    act();
    return {
        [this](const LaneServes& serves) { on_serves(serves); },
        [this](const LaneDied& died) { on_died(died); },
        [this](const LaneEvidence& evidence) {
          breaker_.evidence(evidence.generation, evidence.counts, now());
          if (evidence.doubtful) breaker_.want_probe();
          act();
        },
        [this](const LaneSuspect& suspect) {
          if (suspect.worker != serves_.worker) return;
          breaker_.suspend(suspect.suspected);
          act();
        },
        [this](const LaneDraining& draining) {
          if (!serving_ || draining.worker != serves_.worker) return;
          breaker_.drain();
          act();
        },
        [this](const ForceOpen& force) {
          auto until = force.lasts ? std::optional(now() + *force.lasts) : std::nullopt;
          force_open({force.reason, until});
          act();
        },
        [this](SayGate) { tell_gate(gate()); },
        [this](ResetBreaker) {
          breaker_.release(now());
          act();
        },
        [this](const ProbeDone& done) { on_probe_done(done); },
        [this](Tick) {
          if (now() < armed_) return;  // superfluous: an earlier one was armed since
          armed_ = TimePoint::max();
          act();
        },
        [this](const PeerUp& peer) { on_peer_up(peer); },
        [this](const PeerDown& peer) {
          if (peer.role == executor_role_) went_down("its executor ended", Down::planned);
        },
        answers_pulse(),
    };
  }

  void on_exit() override {
    if (probe_) record(probe_->number, trace::Probe::Step::expired);
    BreakerStatus status;
    status.reason = "its breaker ended";
    if (breaker_.by_hand()) status.held = held_;
    status.since = now();
    front_->lanes.update_breaker(lane_, status, now());
  }

 private:
  using Down = CircuitBreaker::Down;
  using Kind = CircuitBreaker::ProbeResult::Kind;

  [[nodiscard]] TimePoint now() const { return front_->clock->now(); }

  void force_open(BreakerHold hold) {
    held_ = std::move(hold);
    breaker_.force_open("forced open: " + held_.reason, now(), held_.until);
  }

  void on_serves(const LaneServes& serves) {
    // Told twice: both of us looked for each other.
    if (serving_ && serves.worker == serves_.worker) return;
    serves_ = serves;
    serving_ = true;
    breaker_.ready(serves.slots, now());
    act();
  }

  void on_died(const LaneDied& died) {
    if (died.worker < serves_.worker) return;
    switch (died.kind) {
      case LaneDied::Kind::fatal:
        went_down(died.why, Down::fatal);
        break;
      case LaneDied::Kind::poison:
        went_down(died.why, Down::poison);
        break;
      case LaneDied::Kind::planned:
        went_down(died.why, Down::planned);
        break;
      case LaneDied::Kind::outside:
        went_down(died.why, Down::outside);
        break;
    }
  }

  void went_down(const std::string& why, Down kind) {
    serving_ = false;
    breaker_.down(why, kind, now());
    act();
  }

  void on_probe_done(const ProbeDone& done) {
    CircuitBreaker::ProbeResult result{Kind::failed, done.duration, done.why};
    if (done.kind == ProbeDone::Kind::golden) result.kind = Kind::golden;
    if (done.kind == ProbeDone::Kind::wrong) result.kind = Kind::wrong;
    if (breaker_.probe_done({done.generation, done.number}, result, now())) {
      record(done.number, trace::Probe::Step::returned);
      probe_.reset();
    }
    act();
  }

  void on_peer_up(const PeerUp& peer) {
    if (peer.role == prober_role_) {
      // Its predecessor took the probe with it; the permit still stands.
      if (probe_) caf::anon_send(peer.handle, *probe_);
    } else {
      caf::anon_send(peer.handle, gate());
    }
  }

  /// Does what the breaker wants, and sees to it that it is asked again in time.
  void act() {
    CircuitBreaker::Look look = breaker_.look(now());
    if (look.expired) {
      record(*look.expired, trace::Probe::Step::expired);
      probe_.reset();
    }
    if (look.changed) publish();
    if (look.ask == CircuitBreaker::Ask::restart) {
      front_->tell(executor_role_, RestartWorker{serves_.worker});
    } else if (look.ask == CircuitBreaker::Ask::quarantine) {
      front_->tell(executor_role_, QuarantineLane{breaker_.reason()});
    }
    if (look.probe) {
      probe_ = ProbeLane{serves_, look.probe->generation, look.probe->number};
      record(probe_->number, trace::Probe::Step::leased);
      front_->tell(prober_role_, *probe_);
    }
    TimePoint next = breaker_.next_look();
    if (next >= armed_) return;
    armed_ = next;
    delayed_send(this, std::max(Duration::zero(), next - now()), Tick{});
  }

  void publish() {
    CircuitBreaker::State state = breaker_.state();
    if (std::exchange(shown_, state) != state) {
      bool well = state == CircuitBreaker::State::closed || state == CircuitBreaker::State::ramping;
      spdlog::log(well ? spdlog::level::debug : spdlog::level::info,
                  "lane {} of model {}: breaker {}: {}",
                  lane_.value,
                  model_->name,
                  to_string(state),
                  breaker_.reason());
    }
    front_->lanes.update_breaker(lane_,
                                 {state,
                                  breaker_.weight(),
                                  breaker_.permits(),
                                  breaker_.generation(),
                                  breaker_.suspended(),
                                  breaker_.reason(),
                                  breaker_.by_hand() ? std::optional(held_) : std::nullopt,
                                  std::max(breaker_.since(), born_),
                                  std::nullopt},
                                 now());
    YIELD_POINT("breaker.published");
    tell_gate(gate());
  }

  /// The executor gives back what the batcher gave it beyond the gate. So that this stays rare and
  /// never repeats, the one who is to give less hears it first, or the one who is to take more.
  void tell_gate(const LaneGate& gate) {
    std::uint32_t permits = gate.weight > 0 ? gate.permits : 0;
    bool narrower = permits < std::exchange(told_permits_, permits);
    if (narrower) front_->tell(model_->batcher.role, gate);
    YIELD_POINT("breaker.told");
    front_->tell(executor_role_, gate);
    if (!narrower) front_->tell(model_->batcher.role, gate);
  }

  [[nodiscard]] LaneGate gate() const {
    return {lane_,
            serving_ ? serves_.worker : 0,
            breaker_.generation(),
            breaker_.weight(),
            breaker_.permits(),
            breaker_.state() == CircuitBreaker::State::closed};
  }

  void record(std::uint64_t number, trace::Probe::Step step) {
    front_->record(trace::Probe{lane_, number, step});
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  LaneId lane_;
  std::string executor_role_;
  std::string prober_role_;
  TimePoint born_;
  CircuitBreaker breaker_;
  BreakerHold held_;                ///< the last one
  LaneServes serves_;               ///< the last worker that served
  bool serving_ = false;            ///< it still does
  std::optional<ProbeLane> probe_;  ///< whose permit is out
  TimePoint armed_ = TimePoint::max();
  std::optional<CircuitBreaker::State> shown_;
  std::uint32_t told_permits_ = 0;  ///< of the gate that executor and batcher know
};

}  // namespace

caf::actor spawn_breaker(caf::actor_system& system,
                         std::shared_ptr<Front> front,
                         std::shared_ptr<ServedModel> model,
                         LaneId lane,
                         const Incarnation& life) {
  return system.spawn<Breaker>(std::move(front), std::move(model), lane, life);
}

}  // namespace sluice
