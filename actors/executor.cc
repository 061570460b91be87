#include "actors/executor.h"

#include "actors/lane_dispatcher.h"
#include "actors/lane_messages.h"
#include "actors/lane_report.h"
#include "actors/link_mailbox.h"
#include "actors/pulse.h"
#include "actors/thrown.h"
#include "actors/work_messages.h"
#include "base/fault_point.h"
#include "base/yield_point.h"
#include "supervision/lane_health.h"
#include "supervision/worker_life.h"
#include "worker/worker_loop.h"

#include <caf/event_based_actor.hpp>

#include <string>
#include <utility>
#include <variant>

namespace sluice {
namespace {

class Executor : public caf::event_based_actor {
 public:
  Executor(caf::actor_config& config,
           std::shared_ptr<Front> front,
           std::shared_ptr<ServedModel> model,
           LaneId lane,
           Incarnation incarnation)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        model_(std::move(model)),
        lane_(lane),
        incarnation_(std::move(incarnation)),
        holder_{front_->executors.at(lane).role, incarnation_.leases},
        life_({front_->options.lane_backoff,
               front_->options.lane_restarts_max,
               front_->options.lane_restarts_period,
               front_->options.quarantine}),
        dispatcher_(front_, model_, lane, holder_, health_),
        report_(front_, model_->name, lane) {}

  const char* name() const override { return "sluice.executor"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    tell_holder_lost(*holder_.leases, holder_.role);
    auto self = caf::actor_cast<caf::actor>(this);
    Registry& registry = front_->tree->registry();
    registry.subscribe(holder_.role, self);
    registry.subscribe(model_->batcher.role, self);
    registry.subscribe(Front::breaker_role(lane_), self);
    restore_quarantine();
    if (life_.quarantine().rests())
      quarantine("it was quarantined before its executor ended");
    else
      caf::anon_send(self, StartWorker{life_.plan()});
    return {
        [this](const Assign& assign) { on_assign(assign); },
        [this](const Drop& drop) { dispatcher_.drop(drop); },
        [this](const Grant& grant) { dispatcher_.grant(grant); },
        [this](const MakeRoom& make) { dispatcher_.make_room(make); },
        [this](const ClearLane& clear) { dispatcher_.clear(clear); },
        [this](FromWorker& from) {
          if (!life_.is_current(from.worker)) return;
          health_.heard(front_->clock->now());
          std::visit([this](auto& message) { on_worker(message); }, from.message);
        },
        [this](const WorkerGone& gone) { on_exit_of_worker(gone); },
        [this](StartWorker start) {
          if (life_.may_start(start.plan)) start_worker();
        },
        [this](PhaseTimeout timeout) {
          if (life_.is_in_phase(timeout.phase)) on_phase_timeout();
        },
        [this](WatchTick tick) {
          if (health_.is_planned(tick.look)) on_watch_tick();
        },
        [this](const LaneGate& gate) { on_gate(gate); },
        [this](const QuarantineLane& quarantine) {
          life_.distrust(front_->clock->now());
          report_.quarantined(life_.quarantine(), quarantine.why);  // whatever becomes of the rest
          if (life_.has_worker())
            lose_worker(quarantine.why, EndCause::planned);
          else
            rest(quarantine.why);
        },
        // Once for each end, whoever is convicted of it, and not for one that an incarnation before
        // this one was charged for.
        [this](Forgive forgive) {
          if (life_.forgive(forgive.worker)) revive();
        },
        [this](RestartWorker restart) {
          // Several may ask for it, the last of them when the next worker is there.
          if (life_.is_current(restart.worker))
            lose_worker("restart was asked for", EndCause::planned);
        },
        [this](const RestartGently& restart) { restart_gently(restart.reason); },
        [this](const ReviveLane&) { revive(); },
        answers_pulse(),
        [this](const PeerUp& peer) { on_peer_up(peer); },
        [](const PeerDown&) {},
    };
  }

  void on_exit() override {
    release_start();
    if (life_.has_worker()) report_.abandoned(life_.worker());
    YIELD_POINT("executor.exit");
    dispatcher_.forget();
    link_.reset();
    life_.end();
    publish();
  }

 private:
  // --- the worker's life ------------------------------------------------------------------------

  void start_worker() {
    Duration wait = front_->start_bucket.take(front_->clock->now());
    if (wait > Duration::zero()) {
      delayed_send(this, wait, StartWorker{life_.plan()});
      return;
    }
    std::uint64_t worker = front_->tree->next_incarnation(incarnation_.path + "/worker");
    life_.start(worker);
    report_.starts(worker);
    health_.start();
    auto listener = std::make_shared<LinkMailbox>(caf::actor_cast<caf::actor>(this), worker);
    WorkerSpec spec = front_->worker_specs.at(lane_);
    spec.arguments.insert(spec.arguments.end(), {"--incarnation", std::to_string(worker)});
    for (const FileDigest& file : model_->weights.known_files())
      spec.arguments.insert(spec.arguments.end(), {"--known-file", to_string(file)});
    started_at_ = front_->clock->wall();
    auto link = front_->launcher->launch(spec, std::move(listener));
    if (!link) {
      on_loss(link.error().message, EndCause::link);
      return;
    }
    link_ = std::move(*link);
    report_.launched(link_->pid());
    enter_phase("hello", front_->options.hello_timeout);
  }

  void enter_phase(const char* name, Duration timeout) {
    life_.enter_phase(name, timeout, front_->clock->now());
    publish();
    delayed_send(this, timeout, PhaseTimeout{life_.phase_number()});
  }

  void on_phase_timeout() {
    TimePoint now = front_->clock->now();
    if (Duration left = life_.look_at_phase(now); left > Duration::zero())
      delayed_send(this, left, PhaseTimeout{life_.phase_number()});
    else
      lose_worker(life_.stalled(now), EndCause::link);
  }

  /// Kills the worker and goes on as if it had died by itself. Its successor waits until the
  /// process is really gone, for it may still hold the device.
  void lose_worker(const std::string& why, EndCause cause) {
    life_.kill();
    link_->kill();
    on_loss(why, cause);
    health_.killed(front_->clock->now());
    look_later();
  }

  void on_exit_of_worker(const WorkerGone& gone) {
    if (life_.is_exiting(gone.worker)) {
      link_.reset();
      life_.exited();
      health_.gone();
      start_later();
    } else if (life_.is_current(gone.worker)) {
      // What the launcher itself ended had a broken link.
      EndCause cause = gone.exit.outside        ? EndCause::outside
                       : gone.exit.killed_by_us ? EndCause::link
                                                : EndCause::inside;
      if (gone.exit.status != static_cast<int>(WorkerEnd::weights_changed)) {
        on_loss(gone.exit.why, cause);
        return;
      }
      // Not the lane's fault. But while a file is being written nothing can load it, so it waits.
      on_loss("found that somebody had written to its weights",
              life_.is_ready() ? EndCause::recycled : EndCause::link);
    }
  }

  /// SIGKILL had no effect: the process sits in the kernel, with its device.
  void on_wedged(const std::string& why) {
    report_.wedged(link_->pid(), why);
    link_.reset();
    health_.gone();
    life_.wedged();
    quarantine("its killed worker does not end");
  }

  /// The worker is lost, whether we kill it or it has ended: the next one is planned, and everybody
  /// hears what that means to him.
  void on_loss(const std::string& why, EndCause cause) {
    FAULT_POINT("executor.worker_gone");
    release_start();
    dispatcher_.stop();
    if (!life_.is_exiting()) link_.reset();
    health_.gone();
    TimePoint now = front_->clock->now();
    WorkerLife::Loss loss = life_.lose(cause, work().is_last_trial(), now, *front_->random);
    report_.lost(life_, loss, cause, why, work().users());
    dispatcher_.close_gate();
    publish();  // before anybody hears of it and asks
    report_.tell_breaker(LaneDied{lane_, life_.worker(), why, loss.verdict.kind});
    YIELD_POINT("executor.worker_gone");
    if (loss.served || !loss.restart) tell_batcher(LaneDown{lane_, life_.is_final()});
    dispatcher_.lose(loss.verdict);
    YIELD_POINT("executor.lost");
    // Those that had not reached this actor yet.
    tell_holder_lost(*holder_.leases, holder_.role);
    if (!loss.restart) {
      rest(why);
      return;
    }
    report_.restarts(why, *loss.restart);
    if (!life_.is_exiting()) start_later();
  }

  void start_later() {
    if (auto wait = life_.next_start(front_->clock->now()))
      delayed_send(this, *wait, StartWorker{life_.plan()});
  }

  void restore_quarantine() {
    for (const LaneStatus& lane : front_->lanes.snapshot())
      if (lane.lane == lane_) life_.restore(lane.quarantine);
  }

  void quarantine(const std::string& why) {
    report_.quarantined(life_.quarantine(), why);
    rest(why);
  }

  /// The lane rests until its trial, in which one worker has to pass the golden probes.
  void rest(const std::string& why) {
    if (life_.rest()) tell_batcher(LaneDown{lane_, true});
    start_later();
    report_.rests(why, life_.next_start(front_->clock->now()));
    publish();
  }

  // --- the operator -----------------------------------------------------------------------------

  /// Where others take what is new, what runs here may end; what is left after a while goes on
  /// elsewhere, like all of it where there is no other lane: a pause is shorter than that wait.
  void restart_gently(const std::string& reason) {
    if (!life_.has_worker() || life_.is_draining()) return;
    std::string why = "was restarted by an operator: " + reason;
    bool others = front_->lanes.ready(model_->name) > (dispatcher_.gate().weight > 0 ? 1U : 0U);
    if (!life_.is_ready() || work().users() == 0 || !others) {
      lose_worker(why, EndCause::recycled);
      return;
    }
    life_.drain(std::move(why), front_->clock->now());
    report_.tell_breaker(LaneDraining{lane_, life_.worker()});
    look_later();
  }

  void end_drain() {
    if (auto why = life_.drained(work().users(), front_->clock->now()))
      lose_worker(*why, EndCause::recycled);
  }

  void revive() {
    if (!life_.revive(front_->clock->now())) return;
    report_.revived();
    publish();
    start_later();
  }

  /// The golden probes have opened the gate.
  void pass_trial() {
    life_.pass_trial(front_->clock->now());
    report_.passed_its_trial();
    publish();
    announce_lane();
  }

  /// A worker that starts up holds a place in the host's start bucket.
  void release_start() {
    if (life_.is_starting()) front_->start_bucket.done();
  }

  // --- the worker's health ----------------------------------------------------------------------

  void on_watch_tick() {
    dispatcher_.drop_unwanted();
    TimePoint now = front_->clock->now();
    auto verdict = health_.look(life_.has_worker() ? link_->backlog_bytes() : 0, now);
    switch (verdict.what) {
      case LaneHealth::Verdict::What::nothing:
        break;
      case LaneHealth::Verdict::What::doubt:
      case LaneHealth::Verdict::What::trust:
        report_.tell_breaker(LaneSuspect{lane_, life_.worker(), !health_.doubt().empty()});
        publish();
        break;
      case LaneHealth::Verdict::What::stuck:
        lose_stuck_worker(std::move(verdict.why));
        return;
      case LaneHealth::Verdict::What::not_gone:
        on_wedged(verdict.why);
        return;
    }
    if (auto evidence = health_.take_evidence())
      report_.tell_breaker(
          LaneEvidence{lane_, dispatcher_.gate().generation, evidence->counts, evidence->doubtful});
    if (health_.pace_is_due(now)) dispatcher_.update_pace();
    retire_if_outdated();
    if (life_.has_worker()) end_drain();
    if (life_.has_worker() || life_.is_exiting()) look_later(work().size() == 0);
  }

  void look_later(bool idle = false) {
    LaneHealth::Look look = health_.plan_look(idle, front_->clock->now());
    delayed_send(this, look.after, WatchTick{look.number});
  }

  void lose_stuck_worker(std::string why) {
    if (link_->is_stopped())
      lose_worker(std::move(why) + ": it was stopped", EndCause::outside);
    else
      lose_worker(why, EndCause::inside);
  }

  /// A gate that was meant for another worker opens nothing.
  void on_gate(const LaneGate& gate) {
    if (gate.lane != lane_ || (gate.weight > 0 && gate.worker != life_.worker())) return;
    dispatcher_.open_gate(gate);
    if (gate.weight > 0 && life_.quarantine().on_trial()) pass_trial();
  }

  // --- what the worker says ---------------------------------------------------------------------

  void on_worker(wire::Hello& hello) {
    if (hello.protocol != wire::kProtocolVersion) {
      lose_worker("speaks protocol " + std::to_string(hello.protocol) + ", not " +
                      std::to_string(wire::kProtocolVersion),
                  EndCause::link);
      return;
    }
    enter_phase("load", front_->options.load_timeout);
  }

  void on_worker(wire::Phase& phase) {
    switch (phase.name) {
      case wire::Phase::Name::load:
        break;
      case wire::Phase::Name::warm_up:
        enter_phase("warm_up", front_->options.warm_up_timeout);
        break;
      case wire::Phase::Name::self_test:
        enter_phase("self_test", front_->options.warm_up_timeout);
        break;
    }
  }

  void on_worker(wire::Ready& ready) {
    if (!life_.is_starting()) return;  // said twice
    if (std::string why = model_->weights.refuse(ready, model_->card); !why.empty()) {
      lose_worker(why, EndCause::link);
      return;
    }
    release_start();
    note_weights(ready);
    model_->kv_tokens = std::uint64_t{ready.blocks} * ready.block_tokens;
    TimePoint now = front_->clock->now();
    life_.serve(now);
    dispatcher_.serve({link_.get(),
                       life_.worker(),
                       {ready.slots, ready.blocks, ready.step_rows},
                       ready.fingerprint});
    health_.serve(ready.vocabulary, now);
    report_.serves(life_.worker(), ready);
    publish();
    report_.tell_that_it_serves();
    announce_lane();
    look_later();
  }

  void note_weights(const wire::Ready& ready) {
    std::uint64_t before = model_->weights.last();
    model_->weights.remember(ready.files, started_at_);
    if (!model_->weights.serve(ready)) return;
    front_->counters.weights_changed += 1;
    report_.weights_changed(before, ready.fingerprint);
  }

  /// A worker with older weights than others is replaced when it has nothing to do.
  void retire_if_outdated() {
    if (!life_.is_ready() || work().users() > 0 || life_.is_final()) return;
    bool needed = model_->weights.bound(report_.status().weights) > 0;
    if (!front_->lanes.may_retire(lane_, needed)) return;
    lose_worker("runs weights that were replaced", life_.retire(front_->clock->now()));
  }

  void on_worker(wire::Tokens& tokens) {
    FAULT_POINT("executor.tokens");
    dispatcher_.tokens(tokens);
  }

  void on_worker(wire::Failed& failed) {
    if (failed.code == ErrorCode::device_lost) {
      // It should have ended at once; every other answer of it would be an error, too.
      lose_worker("goes on although its device is lost", EndCause::inside);
      return;
    }
    dispatcher_.failed(failed);
  }

  void on_worker(wire::Heartbeat& beat) {
    if (beat.load.bytes > report_.status().load.bytes) life_.progressed(front_->clock->now());
    report_.beats(beat);
    publish();
    if (end_leak(beat)) return;
    auto fault = health_.beat(
        {beat.step_rows, std::chrono::milliseconds(beat.step_age_ms)},
        {beat.steps, beat.commands, beat.running + beat.waiting, beat.paused, beat.step_age_ms > 0},
        {work().started(), work().may_run()},
        front_->clock->now());
    if (fault)
      lose_worker(fault->why, fault->cause);
    else
      dispatcher_.beat(beat.blocks_free, beat.preemptions);
  }

  /// Replaces a worker that leaks while it still serves well. The model's lanes one after the
  /// other, as long as the leak leaves time for that. True: it is done.
  bool end_leak(const wire::Heartbeat& beat) {
    if (!life_.is_ready()) return false;
    auto leak = health_.leak(beat.descriptors, beat.threads, front_->clock->now());
    if (!leak) return false;
    bool alone = model_->lanes.size() == 1;
    if (leak->can_wait && !alone && !front_->lanes.may_eject(lane_)) return false;
    lose_worker(leak->why, leak->cause);
    return true;
  }

  void on_worker(wire::Bye& bye) {
    // The process ends next; its reason is better than its exit status.
    report_.gives_up(bye.code != ErrorCode::none && life_.is_starting());
    if (bye.code != ErrorCode::none) lose_worker(bye.message, EndCause::inside);
  }

  // --- the others -------------------------------------------------------------------------------

  void on_assign(const Assign& assign) {
    dispatcher_.assign(assign.works);
    if (health_.looks_rarely() && work().size() > 0) look_later();
  }

  void on_peer_up(const PeerUp& peer) {
    if (peer.role == holder_.role && peer.incarnation == incarnation_.number) {
      sweep(*holder_.leases, holder_.role, [this](SequenceId id) { return work().contains(id); });
    } else if (peer.role == model_->batcher.role && life_.is_final()) {
      tell_batcher(LaneDown{lane_, true});
    } else if (peer.role == model_->batcher.role && life_.is_ready()) {
      announce_lane();
      dispatcher_.tell_pace();
    } else if (peer.role == Front::breaker_role(lane_) && life_.is_ready()) {
      report_.tell_that_it_serves();
    }
  }

  /// Not before a trial has been passed, for nobody is to wait for what may come of it.
  void announce_lane() {
    if (!life_.is_final()) dispatcher_.announce();
  }

  [[nodiscard]] const LaneWork& work() const { return dispatcher_.work(); }

  template <class Message>
  void tell_batcher(Message message) {
    front_->tell(model_->batcher.role, std::move(message));
  }

  void publish() { report_.publish(life_, health_, dispatcher_); }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  LaneId lane_;
  Incarnation incarnation_;  ///< of this executor
  Holder holder_;
  WorkerLife life_;
  LaneHealth health_;
  LaneDispatcher dispatcher_;
  LaneReport report_;
  std::unique_ptr<WorkerLink> link_;  ///< to the worker that lives, or was killed and exits
  std::chrono::system_clock::time_point started_at_;  ///< when the worker was started
};

}  // namespace

caf::actor spawn_executor(caf::actor_system& system,
                          std::shared_ptr<Front> front,
                          std::shared_ptr<ServedModel> model,
                          LaneId lane,
                          const Incarnation& incarnation) {
  return system.spawn<Executor>(std::move(front), std::move(model), lane, incarnation);
}

}  // namespace sluice
