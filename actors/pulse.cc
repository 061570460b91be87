#include "actors/pulse.h"

#include "actors/front_metrics.h"
#include "actors/thrown.h"

#include <caf/event_based_actor.hpp>
#include <spdlog/spdlog.h>

#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

class Pulse : public caf::event_based_actor {
 public:
  Pulse(caf::actor_config& config, std::shared_ptr<Front> front)
      : caf::event_based_actor(config), front_(std::move(front)) {
    add(front_->admission.role);
    for (const auto& model : front_->models) {
      add(model->queue.role);
      add(model->batcher.role);
      for (LaneId lane : model->lanes) {
        add(Front::breaker_role(lane));
        add(front_->executors.at(lane).role);
      }
    }
  }

  const char* name() const override { return "sluice.pulse"; }

  caf::behavior make_behavior() override {
    set_exception_handler(ends_by_throw);
    // One that cannot even take a ping is found like any other: it does not answer.
    set_error_handler([](const caf::error&) {});
    auto self = caf::actor_cast<caf::actor>(this);
    for (const Target& target : targets_)
      front_->tree->registry().subscribe(target.role, self);
    beat();
    return {
        [this](Pong pong) { on_pong(pong); },
        [this](Tick) { beat(); },
        [this](const PeerUp& peer) {
          if (Target* target = find(peer.role)) renew(*target, peer.handle);
        },
        [this](const PeerDown& peer) {
          if (Target* target = find(peer.role)) renew(*target, nullptr);
        },
    };
  }

  void on_exit() override {
    for (Target& target : targets_)
      target.handle = nullptr;
    front_->pulse.stuck = 0;
    front_->pulse.end();
  }

 private:
  struct Target {
    std::string role;
    caf::actor handle;        ///< null: nobody plays the role
    std::uint64_t asked = 0;  ///< number of the last ping
    bool waiting = false;     ///< for its answer
    bool stuck = false;
    TimePoint since;  ///< when it was asked
    Histogram* answers = nullptr;
  };

  void add(std::string role) {
    Target target;
    target.answers = &front_->metrics->actor_answers(role.substr(0, role.find('.')));
    target.role = std::move(role);
    targets_.push_back(std::move(target));
  }

  Target* find(const std::string& role) {
    for (Target& target : targets_)
      if (target.role == role) return &target;
    return nullptr;
  }

  void beat() {
    TimePoint now = front_->clock->now();
    front_->pulse.beat(now);
    if (auto account = front_->decisions.take_account(now)) tell(*account);
    for (std::uint32_t i = 0; i < targets_.size(); ++i) {
      Target& target = targets_[i];
      if (!target.handle) continue;
      if (target.waiting) {
        front_->pulse.waited(now - target.since, now);
        if (!target.stuck && now - target.since > front_->options.pulse_alarm) {
          target.stuck = true;
          front_->pulse.stuck += 1;
          spdlog::error("{} has not answered for {} ms", target.role, age(target, now));
        }
        continue;  // asking again would only fill its mailbox
      }
      target.waiting = true;
      target.since = now;
      send(target.handle, Ping{i, ++target.asked});
    }
    delayed_send(this, front_->options.pulse, Tick{});
  }

  static void tell(const DecisionLog::Account& account) {
    if (!spdlog::should_log(spdlog::level::info)) return;
    spdlog::info("admission has refused {} requests in {} ms: {}",
                 account.refused.all(),
                 std::chrono::duration_cast<std::chrono::milliseconds>(account.period).count(),
                 account.refused.text());
  }

  void on_pong(Pong pong) {
    if (pong.target >= targets_.size()) return;
    Target& target = targets_[pong.target];
    if (!target.waiting || target.asked != pong.number) return;
    TimePoint now = front_->clock->now();
    front_->pulse.waited(now - target.since, now);
    target.answers->observe(std::chrono::duration<double>(now - target.since).count());
    if (target.stuck)
      spdlog::warn("{} answers again, after {} ms", target.role, age(target, front_->clock->now()));
    settle(target);
  }

  void settle(Target& target) {
    target.waiting = false;
    if (std::exchange(target.stuck, false)) front_->pulse.stuck -= 1;
  }

  /// Another plays the role: what the one before owed is void.
  void renew(Target& target, caf::actor handle) {
    settle(target);
    ++target.asked;
    target.handle = std::move(handle);
  }

  static std::int64_t age(const Target& target, TimePoint now) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now - target.since).count();
  }

  std::shared_ptr<Front> front_;
  std::vector<Target> targets_;  ///< never grows or shrinks
};

}  // namespace

caf::actor spawn_pulse(caf::actor_system& system,
                       std::shared_ptr<Front> front,
                       const Incarnation&) {
  return system.spawn<Pulse>(std::move(front));
}

}  // namespace sluice
