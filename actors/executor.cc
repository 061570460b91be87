#include "actors/executor.h"

#include "supervision/restart_intensity.h"

#include <caf/event_based_actor.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <variant>

namespace sluice {
namespace {

/// Carries what the link says to the executor's mailbox.
class MailboxListener final : public WorkerListener {
 public:
  MailboxListener(const caf::actor& executor, std::uint64_t life)
      : executor_(caf::actor_cast<caf::weak_actor_ptr>(executor)), life_(life) {}

  void on_message(wire::ToFront message) override { send(FromWorker{life_, std::move(message)}); }
  void on_exit(WorkerExit exit) override { send(WorkerGone{life_, std::move(exit)}); }

 private:
  template <class Message>
  void send(Message message) {
    // Weak: the link must not keep an executor alive that its supervisor has given up.
    if (auto executor = caf::actor_cast<caf::actor>(executor_))
      caf::anon_send(executor, std::move(message));
  }

  caf::weak_actor_ptr executor_;
  std::uint64_t life_;
};

class Executor : public caf::event_based_actor {
 public:
  Executor(caf::actor_config& config,
           std::shared_ptr<Front> front,
           std::shared_ptr<ServedModel> model,
           LaneId lane,
           Incarnation life)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        model_(std::move(model)),
        holder_(front_->executors.at(lane)),
        life_(std::move(life)),
        backoff_(front_->options.lane_backoff),
        intensity_(front_->options.lane_restarts_max, front_->options.lane_restarts_period) {
    status_.lane = lane;
    status_.model = model_->name;
  }

  const char* name() const override { return "sluice.executor"; }

  caf::behavior make_behavior() override {
    tell_holder_lost(*life_.leases, holder_.role);
    auto self = caf::actor_cast<caf::actor>(this);
    front_->tree->registry().subscribe(holder_.role, self);
    front_->tree->registry().subscribe(model_->batcher.role, self);
    caf::anon_send(self, StartWorker{worker_life_});
    return {
        [this](Assign& assign) { on_assign(assign.works); },
        [this](const Drop& drop) { on_drop(drop); },
        [this](FromWorker& from) {
          if (from.life == worker_life_)
            std::visit([this](auto& message) { on_worker(message); }, from.message);
        },
        [this](const WorkerGone& gone) {
          if (gone.life == worker_life_) on_worker_gone(gone.exit.why);
        },
        [this](StartWorker start) {
          if (start.life == worker_life_ && !link_) start_worker();
        },
        [this](PhaseTimeout timeout) {
          if (timeout.life == worker_life_ && timeout.phase == phase_) {
            lose_worker("start-up phase '" + status_.phase + "' took too long");
          }
        },
        [this](RestartWorker) {
          if (link_) lose_worker("restart was asked for");
        },
        [this](const PeerUp& peer) { on_peer_up(peer); },
        [](const PeerDown&) {},
    };
  }

  void on_exit() override {
    release_start();
    link_.reset();
    held_.clear();
    status_.state = LaneStatus::State::down;
    publish();
  }

 private:
  // --- the worker's life
  // ---------------------------------------------------------------------------------------------

  void start_worker() {
    Duration wait = front_->start_bucket.take(front_->clock->now());
    if (wait > Duration::zero()) {
      delayed_send(this, wait, StartWorker{worker_life_});
      return;
    }
    starting_ = true;
    ++worker_life_;
    status_.incarnation += 1;
    auto listener =
        std::make_shared<MailboxListener>(caf::actor_cast<caf::actor>(this), worker_life_);
    auto link =
        front_->launcher->launch(front_->worker_specs.at(status_.lane), std::move(listener));
    if (!link) {
      on_worker_gone(link.error().message);
      return;
    }
    link_ = std::move(*link);
    status_.pid = link_->pid();
    status_.state = LaneStatus::State::starting;
    enter_phase("hello", front_->options.hello_timeout);
  }

  void enter_phase(const char* phase, Duration timeout) {
    status_.phase = phase;
    ++phase_;
    publish();
    delayed_send(this, timeout, PhaseTimeout{worker_life_, phase_});
  }

  /// Kills the worker and goes on as if it had died by itself; its real end is stale by then.
  void lose_worker(const std::string& why) {
    if (link_) link_->kill();
    on_worker_gone(why);
  }

  void on_worker_gone(const std::string& why) {
    release_start();
    link_.reset();
    ++worker_life_;
    ++phase_;
    bool served = status_.state == LaneStatus::State::ready;
    status_.last_exit = why;
    status_.pid = 0;
    status_.phase.clear();
    status_.running = status_.waiting = 0;
    status_.step_age_ms = 0;
    held_.clear();
    TimePoint now = front_->clock->now();
    bool again = intensity_.allow(now);
    status_.state = again ? LaneStatus::State::waiting : LaneStatus::State::quarantined;
    if (served || !again) tell_batcher(LaneDown{status_.lane, !again});
    tell_holder_lost(*life_.leases, holder_.role);
    if (!again) {
      spdlog::error(
          "lane {} of model {}: {}; {} restarts in {} s are used up, the lane is quarantined",
          status_.lane.value,
          model_->name,
          why,
          intensity_.restarts(),
          std::chrono::duration_cast<std::chrono::seconds>(intensity_.period()).count());
      publish();
      return;
    }
    status_.restarts += 1;
    Duration delay = backoff_.next(now, *front_->random);
    spdlog::warn("lane {} of model {}: worker {}; next start in {} ms",
                 status_.lane.value,
                 model_->name,
                 why,
                 std::chrono::duration_cast<std::chrono::milliseconds>(delay).count());
    publish();
    delayed_send(this, delay, StartWorker{worker_life_});
  }

  void release_start() {
    if (std::exchange(starting_, false)) front_->start_bucket.done();
  }

  // --- what the worker says
  // ------------------------------------------------------------------------------------------

  void on_worker(wire::Hello& hello) {
    if (hello.protocol != wire::kProtocolVersion) {
      lose_worker("speaks protocol " + std::to_string(hello.protocol) + ", not " +
                  std::to_string(wire::kProtocolVersion));
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
    release_start();
    ++phase_;
    std::uint64_t expected = model_->fingerprint.load();
    if (expected != 0 && expected != ready.fingerprint && front_->lanes.ready(model_->name) > 0) {
      // A stream may move between the lanes of a model only if they give the same bits.
      lose_worker("has another numerics fingerprint than the model's other lanes");
      return;
    }
    model_->fingerprint = ready.fingerprint;
    model_->kv_tokens = std::uint64_t{ready.blocks} * ready.block_tokens;
    credit_ = {ready.slots, ready.blocks};
    status_.state = LaneStatus::State::ready;
    status_.load_failed = false;
    status_.phase.clear();
    status_.level = ready.level;
    status_.fingerprint = ready.fingerprint;
    status_.slots = ready.slots;
    status_.blocks = status_.blocks_free = ready.blocks;
    backoff_.healthy(front_->clock->now());
    spdlog::info(
        "lane {} of model {} is ready: worker {}, {} kernels, {} slots, {} blocks of {} tokens",
        status_.lane.value,
        model_->name,
        status_.pid,
        ready.level,
        ready.slots,
        ready.blocks,
        ready.block_tokens);
    publish();
    announce_lane();
  }

  void on_worker(wire::Tokens& tokens) {
    std::vector<SequenceId> released;
    for (SequenceOutput& output : tokens.outputs) {
      auto held = held_.find(output.id);
      // Of an older epoch, or dropped while the frame was on its way.
      if (held == held_.end() || held->second.epoch != output.epoch) continue;
      bool finished = output.finish != Finish::none;
      caf::anon_send(held->second.session, TokensArrived{status_.lane, std::move(output)});
      if (finished) {
        released.push_back(held->first);
        let_go(held);
      }
    }
    if (!released.empty()) tell_batcher(Released{status_.lane, std::move(released)});
  }

  void on_worker(wire::Failed& failed) {
    auto held = held_.find(failed.id);
    if (held == held_.end() || held->second.epoch != failed.epoch) return;
    caf::anon_send(held->second.session,
                   SequenceFailed{failed.id, failed.epoch, {failed.code, failed.message}});
    let_go(held);
    tell_batcher(Released{status_.lane, {failed.id}});
  }

  void on_worker(wire::Heartbeat& beat) {
    status_.running = beat.running;
    status_.waiting = beat.waiting;
    status_.blocks_free = beat.blocks_free;
    status_.steps = beat.steps;
    status_.preemptions = beat.preemptions;
    status_.step_age_ms = beat.step_age_ms;
    publish();
  }

  void on_worker(wire::Bye& bye) {
    // The process ends next; its reason is better than its exit status.
    status_.load_failed =
        bye.code != ErrorCode::none && status_.state == LaneStatus::State::starting;
    if (bye.code != ErrorCode::none) lose_worker(bye.message);
  }

  // --- work
  // ----------------------------------------------------------------------------------------------------------

  void on_assign(std::vector<Work>& works) {
    for (Work& work : works) {
      if (!life_.leases->holds(work.id, work.epoch)) continue;
      if (status_.state != LaneStatus::State::ready) {
        // Given before the loss of the worker was known: back to the session at once.
        life_.leases->remove(work.id);
        caf::anon_send(work.session, HolderLost{work.id, work.epoch, holder_.role});
        continue;
      }
      auto known = held_.find(work.id);
      if (known != held_.end() && known->second.epoch >= work.epoch) continue;
      wire::Start start;
      start.id = work.id;
      start.epoch = work.epoch;
      start.plan = *work.plan;
      if (work.emitted) start.emitted = *work.emitted;
      start.prompt_logprobs_from = work.prompt_logprobs_from;
      start.urgency = work.class_index;
      if (work.deadline != TimePoint::max()) {
        auto left =
            std::chrono::ceil<std::chrono::milliseconds>(work.deadline - front_->clock->now())
                .count();
        start.time_left_ms = std::max<std::int64_t>(1, left);
      }
      caf::anon_send(work.session, Running{work.id, work.epoch, status_.lane});
      held_.insert_or_assign(work.id, Held{work.epoch, work.session, work.blocks});
      link_->send(std::move(start));
    }
  }

  void on_drop(const Drop& drop) {
    auto held = held_.find(drop.id);
    if (held == held_.end() || held->second.epoch > drop.epoch) return;
    if (link_) link_->send(wire::Cancel{drop.id, held->second.epoch});
    let_go(held);
    tell_batcher(Released{status_.lane, {drop.id}});
  }

  struct Held {
    Epoch epoch;
    caf::actor session;
    std::uint32_t blocks;
  };

  void let_go(std::unordered_map<SequenceId, Held>::iterator held) {
    life_.leases->remove(held->first);
    held_.erase(held);
  }

  void on_peer_up(const PeerUp& peer) {
    if (peer.role == holder_.role && peer.incarnation == life_.number) {
      sweep(*life_.leases, holder_.role, [this](SequenceId id) { return held_.contains(id); });
    } else if (peer.role == model_->batcher.role && status_.state == LaneStatus::State::ready) {
      announce_lane();
    } else if (peer.role == model_->batcher.role &&
               status_.state == LaneStatus::State::quarantined) {
      tell_batcher(LaneDown{status_.lane, true});
    }
  }

  void announce_lane() {
    LaneUp up{status_.lane, credit_, {}};
    for (const auto& [id, held] : held_)
      up.held.push_back({id, held.blocks});
    tell_batcher(std::move(up));
  }

  template <class Message>
  void tell_batcher(Message message) {
    if (auto batcher = front_->tree->registry().find(model_->batcher.role)) {
      caf::anon_send(batcher->handle, std::move(message));
    }
  }

  void publish() {
    status_.leases = held_.size();
    front_->lanes.update(status_);
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  Holder holder_;
  Incarnation life_;
  Backoff backoff_;
  RestartIntensity intensity_;
  LaneStatus status_;
  BatchAssembly::Credit credit_;
  std::unique_ptr<WorkerLink> link_;
  std::uint64_t worker_life_ = 1;  ///< changes whenever a worker is started or lost
  std::uint32_t phase_ = 0;        ///< changes whenever a start-up phase ends
  bool starting_ = false;          ///< holds a place in the host's start bucket
  std::unordered_map<SequenceId, Held> held_;
};

}  // namespace

caf::actor spawn_executor(caf::actor_system& system,
                          std::shared_ptr<Front> front,
                          std::shared_ptr<ServedModel> model,
                          LaneId lane,
                          const Incarnation& life) {
  return system.spawn<Executor>(std::move(front), std::move(model), lane, life);
}

}  // namespace sluice
