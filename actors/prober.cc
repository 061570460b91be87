#include "actors/prober.h"

#include "actors/hand_over.h"
#include "actors/lane_messages.h"
#include "actors/pulse_messages.h"
#include "actors/thrown.h"
#include "actors/work_messages.h"
#include "worker/golden.h"

#include <caf/event_based_actor.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

/// How soon a probe is tried again that found all places of its lane taken.
constexpr Duration kRetryAfter = std::chrono::milliseconds(100);

class Prober : public caf::event_based_actor {
 public:
  Prober(caf::actor_config& config, std::shared_ptr<Front> front, LaneId lane)
      : caf::event_based_actor(config), front_(std::move(front)), lane_(lane) {}

  const char* name() const override { return "sluice.prober"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    return {
        [this](const ProbeLane& probe) { on_probe(probe); },
        [this](const TokensArrived& arrived) { on_tokens(arrived.output); },
        [this](const SequenceFailed& failed) { on_failed(failed); },
        [this](const HolderLost& lost) {
          if (is_current(lost.id)) done(ProbeDone::Kind::failed, "the lane lost it");
        },
        [this](const LaneLost& lost) {
          if (is_current(lost.id)) done(ProbeDone::Kind::failed, "the lane lost it");
        },
        [this](const Running& running) {
          if (!is_current(running.id)) drop(running.id);
        },
        [this](Tick) { on_tick(); },
    };
  }

  void on_exit() override { give_up(); }

 private:
  struct Probe {
    ProbeLane permit;
    SequenceId id;
    TimePoint since;
    TimePoint until;                 ///< the end of its lease
    std::optional<TimePoint> retry;  ///< it found no place; try again then
    std::vector<TokenId> tokens;
  };

  void on_probe(const ProbeLane& permit) {
    give_up();
    TimePoint now = front_->clock->now();
    probe_ = Probe{permit, {}, now, now + front_->options.breaker.probe_lease, {}, {}};
    send();
    delayed_send(this, front_->options.breaker.probe_lease, Tick{});
  }

  void send() {
    const LaneServes& worker = probe_->permit.worker;
    probe_->id = SequenceId{front_->next_sequence.fetch_add(1)};
    probe_->since = front_->clock->now();
    probe_->retry.reset();
    probe_->tokens.clear();
    Work work;
    work.id = probe_->id;
    work.session = caf::actor_cast<caf::actor>(this);
    work.plan = std::make_shared<const Plan>(
        golden_plan(worker.vocabulary, worker.context, static_cast<std::int32_t>(worker.blocks)));
    work.probe = true;
    work.arrival = probe_->since;
    work.deadline = probe_->until;
    hand_over(front_->tree->registry(),
              front_->executors.at(lane_),
              {std::move(work)},
              [](const std::vector<Work>& works) { return Assign{works}; });
  }

  void on_tokens(const SequenceOutput& output) {
    if (!is_current(output.id) || output.first_index < probe_->tokens.size()) return;
    if (output.first_index > probe_->tokens.size()) {
      done(ProbeDone::Kind::wrong, "a token is missing");
      return;
    }
    probe_->tokens.insert(probe_->tokens.end(), output.tokens.begin(), output.tokens.end());
    if (output.finish == Finish::none) return;
    if (golden_hash(probe_->tokens) == probe_->permit.worker.golden)
      done(ProbeDone::Kind::golden, "");
    else
      done(ProbeDone::Kind::wrong, "its tokens differ from those of the worker's self-test");
  }

  void on_failed(const SequenceFailed& failed) {
    if (!is_current(failed.id)) return;
    if (failed.error.code == ErrorCode::resource_exhausted) {
      // A full lane says nothing about its soundness.
      probe_->retry = front_->clock->now() + kRetryAfter;
      delayed_send(this, kRetryAfter, Tick{});
      return;
    }
    // Numbers that are not finite are wrong bytes.
    bool wrong = failed.error.code == ErrorCode::data_loss;
    done(wrong ? ProbeDone::Kind::wrong : ProbeDone::Kind::failed, failed.error.message);
  }

  void on_tick() {
    if (!probe_) return;
    TimePoint now = front_->clock->now();
    if (now >= probe_->until)
      give_up();  // the breaker takes the permit back by itself
    else if (probe_->retry && now >= *probe_->retry)
      send();
  }

  [[nodiscard]] bool is_current(SequenceId id) const { return probe_ && probe_->id == id; }

  void done(ProbeDone::Kind kind, std::string why) {
    front_->tell(Front::breaker_role(lane_),
                 ProbeDone{probe_->permit.generation,
                           probe_->permit.number,
                           kind,
                           front_->clock->now() - probe_->since,
                           std::move(why)});
    give_up();
  }

  void give_up() {
    if (probe_) drop(probe_->id);
    probe_.reset();
  }

  /// The lease goes at once: one that stayed behind would keep this actor, and with it the front.
  void drop(SequenceId id) {
    front_->executors.at(lane_).leases->remove(id, 0);
    front_->tell(front_->executors.at(lane_).role, Drop{id, 0});
  }

  std::shared_ptr<Front> front_;
  LaneId lane_;
  std::optional<Probe> probe_;
};

}  // namespace

caf::actor spawn_prober(caf::actor_system& system,
                        std::shared_ptr<Front> front,
                        LaneId lane,
                        const Incarnation&) {
  return system.spawn<Prober>(std::move(front), lane);
}

}  // namespace sluice
