#include "supervision/supervisor.h"

#include "base/yield_point.h"
#include "supervision/messages.h"

#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>
#include <caf/typed_response_promise.hpp>

#include <algorithm>
#include <exception>
#include <list>
#include <optional>
#include <utility>
#include <vector>

namespace sluice {
namespace {

/// How long a killed actor may take to be gone. One that sits in an endless handler never is, and
/// is not waited for.
constexpr Duration kKillTime = std::chrono::seconds(1);

bool is_abnormal(const caf::error& why) {
  return why && why != caf::exit_reason::normal && why != caf::exit_reason::user_shutdown;
}

std::string describe(const caf::error& why) {
  return why ? caf::to_string(why) : "normal";
}

struct Child {
  Child(const ChildSpec& from, const Budget& shared)
      : spec(from),
        backoff(from.backoff),
        quarantine(from.budget ? from.budget->quarantine : shared.quarantine) {
    if (spec.budget) intensity.emplace(spec.budget->restarts, spec.budget->period);
  }

  ChildSpec spec;
  Backoff backoff;
  std::optional<RestartIntensity> intensity;  // of its own budget
  Quarantine quarantine;                      // of its own, not of one it is tied to
  caf::actor handle;                          // of the current life; empty: it is not alive
  ChildStatus status;
  TimePoint not_before;     // when it may be started
  TimePoint stop_deadline;  // while stopping: when patience ends
  ChildState after_stop = ChildState::down;
  std::uint64_t tries = 0;
  bool stop_wanted = false;
  bool killed = false;
  bool announced = false;    // the registry knows this life
  bool holds_start = false;  // a place in the start bucket
  bool deleted = false;      // it goes, and is forgotten
  /// Of whoever has added it, until it is up.
  std::optional<caf::typed_response_promise<void>> added;
  std::vector<caf::typed_response_promise<void>> deleters;

  [[nodiscard]] bool alive() const { return static_cast<bool>(handle); }
  /// Whether it belongs among the running when nothing is the matter.
  [[nodiscard]] bool wanted() const {
    return status.state != ChildState::finished && status.state != ChildState::quarantined &&
           status.state != ChildState::disabled;
  }
  [[nodiscard]] bool begins() const { return status.state == ChildState::starting && tries == 1; }
};

/// All decisions are made by `pump`, which looks at the children's states and does what comes next:
/// stop one, start one, or wait. Handlers only change states. So nothing blocks, and a shutdown
/// overtakes a restart by changing what is wanted.
class Supervisor : public caf::event_based_actor {
 public:
  Supervisor(caf::actor_config& config,
             std::string path,
             std::shared_ptr<const SupervisorSpec> spec,
             std::shared_ptr<Tree> tree)
      : event_based_actor(config),
        path_(std::move(path)),
        spec_(std::move(spec)),
        tree_(std::move(tree)),
        intensity_(spec_->budget.restarts, spec_->budget.period) {
    for (const ChildSpec& child : spec_->children)
      if (!tree_->is_deleted(path_ + "/" + child.id)) append(child);
    for (const ChildSpec& child : tree_->added_children(path_))
      append(child);
  }

  const char* name() const override { return "sluice.supervisor"; }

  caf::behavior make_behavior() override {
    set_down_handler([this](caf::down_msg& down) { on_down(down); });
    set_exit_handler([this](caf::exit_msg& exit) { end(exit.reason); });
    await_orphans();
    pump();
    return {
        [this](ReadyCheck) -> caf::result<void> {
          auto promise = make_response_promise<void>();
          if (settled_)
            promise.deliver();
          else
            ready_.push_back(promise);
          return promise;
        },
        [this](StopTree) -> caf::result<void> {
          auto promise = make_response_promise<void>();
          stopped_.push_back(promise);
          end(caf::exit_reason::user_shutdown);
          return promise;
        },
        [this](StartChild& start) { return on_start_child(start); },
        [this](const DeleteChild& order) { return on_delete_child(order); },
        [this](const Revive& revive) { on_revive(revive); },
        [this](Wake) {
          armed_ = TimePoint::max();
          check_stops();
          pump();
        },
    };
  }

  // However the supervisor ends, its children do not outlive it.
  void on_exit() override {
    for (Child& child : children_) {
      if (!child.alive()) continue;
      caf::anon_send_exit(child.handle, caf::exit_reason::kill);
      announce_down(child, false, "its supervisor ended");
      release_start(child);
      child.handle = nullptr;
      enter(child, ChildState::stopping);  // whoever follows waits until it is gone
    }
  }

 private:
  Child& append(const ChildSpec& spec) {
    Child& child = children_.emplace_back(spec, spec_->budget);
    child.status.path = path_ + "/" + spec.id;
    child.status.role = spec.role;
    child.status.is_supervisor = spec.supervisor != nullptr;
    return child;
  }

  /// A supervisor that was killed could not wait for its children, who may still be at work.
  void await_orphans() {
    for (Child& child : children_) {
      auto [orphan, last] = tree_->last_born(child.status.path);
      child.status.incarnation = last.incarnation;
      if (orphan) {
        child.handle = std::move(orphan);
        monitor(child.handle);
        child.stop_wanted = true;
      } else if (last.state == ChildState::stopping) {
        enter(child, ChildState::down);
      }
    }
  }

  // --- what comes next ---------------------------------------------------------------------------

  void pump() {
    again_ = true;
    if (pumping_) return;  // called from within a step below: the loop goes round once more
    pumping_ = true;
    while (std::exchange(again_, false) && !ended_) {
      if (stop_next()) continue;
      forget_deleted();
      if (ending_)
        finish_when_empty();
      else
        start_next();
    }
    pumping_ = false;
  }

  /// Stops the rightmost child that must go. True: one is on its way out, nothing else may happen.
  bool stop_next() {
    for (const Child& child : children_)
      if (child.status.state == ChildState::stopping) return true;
    for (auto each = children_.rbegin(); each != children_.rend(); ++each) {
      Child& child = *each;
      if (!child.stop_wanted) continue;
      if (child.alive()) {
        begin_stop(child);
        return true;
      }
      left(child);
    }
    return false;
  }

  /// Starts the leftmost child that may start now. The first start of each child waits until its
  /// left neighbours are up; later ones wait only where the strategy ties them together.
  void start_next() {
    bool tied = spec_->strategy != Strategy::one_for_one;
    TimePoint now = clock().now();
    begin_trials(now);
    for (Child& child : children_) {
      if (!child.wanted() || child.status.state == ChildState::up) continue;
      if (child.begins()) return;
      if (child.status.state == ChildState::starting) {
        if (tied) break;
        continue;
      }
      if (child.not_before > now) {
        wake_at(child.not_before);
        if (child.tries == 0) return;  // held back by the start bucket
        if (tied) break;
        continue;
      }
      start(child);
      again_ = true;
      return;
    }
    settled_ = true;
    for (auto& promise : std::exchange(ready_, {}))
      promise.deliver();
  }

  /// Lets out of quarantine whose time has come, and those that its strategy ties to it.
  void begin_trials(TimePoint now) {
    for (Child& child : children_) {
      auto due = child.quarantine.trial_at();
      if (child.status.state != ChildState::quarantined || !due) continue;
      if (*due > now) {
        wake_at(*due);
        continue;
      }
      child.quarantine.begin_trial();
      let_out(child);
      for (Child* sibling : tied_to(child))
        if (sibling->status.state == ChildState::quarantined && !sibling->quarantine.rests())
          let_out(*sibling);
    }
  }

  void let_out(Child& child) {
    child.backoff.reset();
    child.not_before = TimePoint{};
    enter(child, ChildState::down);
  }

  void finish_when_empty() {
    for (const Child& child : children_)
      if (child.alive()) return;
    ended_ = true;
    if (!stopped_.empty()) tree_->abandon_leases(path_);  // asked to stop for good
    for (auto& promise : std::exchange(stopped_, {}))
      promise.deliver();
    quit(end_reason_);
  }

  // --- starting ----------------------------------------------------------------------------------

  void start(Child& child) {
    TimePoint now = clock().now();
    if (child.spec.bucket) {
      Duration wait = child.spec.bucket->take(now);
      if (wait > Duration::zero()) {
        child.not_before = now + wait;
        return;
      }
      child.holds_start = true;
    }
    ++child.tries;
    Incarnation life;
    life.path = child.status.path;
    life.number = tree_->next_incarnation(life.path);
    life.tree = tree_;
    if (child.spec.holds_leases) life.leases = tree_->leases(life.path);
    child.status.incarnation = life.number;
    child.killed = false;
    std::string failure = "its factory gave no actor";
    try {
      child.handle = child.spec.supervisor
                         ? system().spawn<Supervisor>(life.path, child.spec.supervisor, tree_)
                         : child.spec.start(system(), life);
    } catch (const std::exception& thrown) {
      failure = std::string("its factory threw: ") + thrown.what();
    } catch (...) {
      failure = "its factory threw something";
    }
    if (!child.alive()) {
      on_ended(child, caf::make_error(caf::sec::runtime_error, failure));
      return;
    }
    tree_->born(life.path, child.handle);
    monitor(child.handle);
    if (!child.spec.answers_ready) {
      on_up(child);
      return;
    }
    enter(child, ChildState::starting);
    auto asked = [this, path = life.path, number = life.number]() -> Child* {
      Child* same = find(path);
      bool is_current =
          same && same->status.incarnation == number && same->status.state == ChildState::starting;
      return is_current ? same : nullptr;
    };
    request(child.handle, child.spec.start_time, ReadyCheck{})
        .then(
            [this, asked] {
              if (Child* ready = asked()) on_up(*ready);
            },
            [this, asked](const caf::error& why) {
              Child* failed = asked();
              if (!failed) return;
              demonitor(failed->handle);
              caf::anon_send_exit(failed->handle, caf::exit_reason::kill);
              on_ended(*failed, why);
            });
  }

  void on_up(Child& child) {
    release_start(child);
    child.backoff.healthy(clock().now());
    child.quarantine.pass(clock().now());
    enter(child, ChildState::up);
    YIELD_POINT("supervision.up");
    if (!child.spec.role.empty()) {
      child.announced = true;
      tree_->registry().announce_up(child.spec.role, child.status.incarnation, child.handle);
    }
    if (auto added = std::exchange(child.added, std::nullopt)) added->deliver();
    pump();
  }

  // --- ending by themselves ----------------------------------------------------------------------

  void on_down(const caf::down_msg& down) {
    for (Child& child : children_)
      if (child.alive() && child.handle.address() == down.source) {
        on_ended(child, down.reason);
        return;
      }
    // Stale: replaced, or given up.
  }

  void on_ended(Child& child, const caf::error& why) {
    YIELD_POINT("supervision.ended");
    child.handle = nullptr;
    child.status.last_reason = describe(why);
    release_start(child);
    if (auto added = std::exchange(child.added, std::nullopt)) {
      added->deliver(refusal(child.status.path + " could not be started: " + describe(why)));
      forget(child);
    }
    if (child.status.state == ChildState::stopping || child.stop_wanted || ending_) {
      announce_down(child, ending_ && !end_reason_is_failure(), child.status.last_reason);
      left(child);
    } else if (child.spec.restart == Restart::permanent ||
               (child.spec.restart == Restart::transient && is_abnormal(why))) {
      restart(child, why);
    } else {
      announce_down(child, true, child.status.last_reason);
      enter(child, ChildState::finished);
      tree_->abandon_leases(child.status.path);
    }
    pump();
  }

  void restart(Child& child, const caf::error& why) {
    TimePoint now = clock().now();
    RestartIntensity& intensity = child.intensity ? *child.intensity : intensity_;
    if (child.quarantine.is_strict(now) || !intensity.allow(now)) {
      exhausted(child, intensity, why);
      return;
    }
    announce_down(child, false, child.status.last_reason);
    ++child.status.restarts;
    child.status.delay = child.backoff.next(now, tree_->random());
    child.not_before = now + child.status.delay;
    enter(child, ChildState::waiting);
    // Right ones wait for the left ones anyway; with one_for_all the left ones wait, too.
    for (Child* sibling : tied_to(child)) {
      if (!sibling->wanted()) continue;
      sibling->stop_wanted = sibling->alive();
      if (spec_->strategy == Strategy::one_for_all)
        sibling->not_before = std::max(sibling->not_before, child.not_before);
    }
  }

  void exhausted(Child& child, const RestartIntensity& intensity, const caf::error& why) {
    const Budget& budget = child.spec.budget ? *child.spec.budget : spec_->budget;
    if (budget.on_exhausted == OnExhausted::escalate) {
      auto seconds = std::chrono::duration<double>(intensity.period()).count();
      announce_down(child, false, child.status.last_reason);
      enter(child, ChildState::down);
      end(caf::make_error(caf::sec::runtime_error,
                          child.status.path + " ended more than " +
                              std::to_string(intensity.restarts()) + " times in " +
                              std::to_string(static_cast<int>(seconds)) +
                              " s; at last: " + describe(why)));
      return;
    }
    bool all_off = budget.on_exhausted == OnExhausted::disable;
    if (!all_off) child.quarantine.enter(clock().now());
    ChildState parked = all_off ? ChildState::disabled : ChildState::quarantined;
    announce_down(child, true, child.status.last_reason);
    park(child, parked);
    for (Child& sibling : children_)
      if (&sibling != &child && sibling.wanted() && all_off) park(sibling, parked);
    if (!all_off)
      for (Child* sibling : tied_to(child))
        if (sibling->wanted()) park(*sibling, parked);
  }

  /// The siblings that the strategy restarts with `child`.
  std::vector<Child*> tied_to(const Child& child) {
    std::vector<Child*> tied;
    bool is_right = false;
    for (Child& sibling : children_) {
      if (&sibling == &child)
        is_right = true;
      else if (spec_->strategy == Strategy::one_for_all ||
               (spec_->strategy == Strategy::rest_for_one && is_right))
        tied.push_back(&sibling);
    }
    return tied;
  }

  // --- being stopped -----------------------------------------------------------------------------

  /// Takes the child out for good: at once if it is not alive, else when it has been stopped.
  void park(Child& child, ChildState parked) {
    child.after_stop = parked;
    if (child.alive())
      child.stop_wanted = true;
    else
      left(child);
  }

  void begin_stop(Child& child) {
    release_start(child);
    bool final = child.after_stop != ChildState::down || (ending_ && !end_reason_is_failure());
    announce_down(child, final, "stopped");
    enter(child, ChildState::stopping);
    Duration patience = child.spec.shutdown_time;
    child.killed = patience == Duration::zero();
    caf::anon_send_exit(child.handle,
                        child.killed ? caf::exit_reason::kill : caf::exit_reason::user_shutdown);
    if (child.killed) patience = kKillTime;
    bool endless = patience == ChildSpec::kUnlimited;
    child.stop_deadline = endless ? TimePoint::max() : clock().now() + patience;
    if (!endless) wake_at(child.stop_deadline);
  }

  void check_stops() {
    TimePoint now = clock().now();
    for (Child& child : children_) {
      if (child.status.state != ChildState::stopping) continue;
      if (child.stop_deadline > now) {
        if (child.stop_deadline != TimePoint::max()) wake_at(child.stop_deadline);
      } else if (!child.killed) {
        child.killed = true;
        child.stop_deadline = now + kKillTime;
        caf::anon_send_exit(child.handle, caf::exit_reason::kill);
        wake_at(child.stop_deadline);
      } else {
        demonitor(child.handle);
        on_ended(child, caf::make_error(caf::sec::runtime_error, "does not end, left behind"));
        return check_stops();  // children may have gone
      }
    }
  }

  /// A child that had to go is gone.
  void left(Child& child) {
    child.stop_wanted = false;
    ChildState next = std::exchange(child.after_stop, ChildState::down);
    if (next == ChildState::down && child.spec.restart == Restart::temporary)
      next = ChildState::finished;
    enter(child, next);
    YIELD_POINT("supervision.left");
    if (next == ChildState::down) return;
    announce_final(child.spec, child.status.last_reason);
    tree_->abandon_leases(child.status.path);
  }

  void end(caf::error reason) {
    if (ending_) return;
    ending_ = true;
    end_reason_ = std::move(reason);
    for (Child& child : children_) {
      child.stop_wanted = child.alive();
      if (child.status.state == ChildState::waiting) enter(child, ChildState::down);
    }
    pump();
  }

  [[nodiscard]] bool end_reason_is_failure() const { return is_abnormal(end_reason_); }

  // --- children that come and go -----------------------------------------------------------------

  static caf::error refusal(std::string why) {
    return caf::make_error(caf::sec::runtime_error, std::move(why));
  }

  Child* find(const std::string& path) {
    for (Child& child : children_)
      if (child.status.path == path) return &child;
    return nullptr;
  }

  /// The child under which a path lies, if that is a supervisor's.
  Child* find_above(const std::string& path) {
    for (Child& child : children_)
      if (child.spec.supervisor && path.starts_with(child.status.path + "/")) return &child;
    return nullptr;
  }

  /// Lets a supervisor below answer.
  template <class Order>
  void pass_on(Child& child, Order order, caf::typed_response_promise<void> promise) {
    if (!child.alive()) return promise.deliver(refusal(child.status.path + " is not up"));
    request(child.handle, caf::infinite, std::move(order))
        .then([promise]() mutable { promise.deliver(); },
              [promise](caf::error& why) mutable { promise.deliver(std::move(why)); });
  }

  caf::result<void> on_start_child(StartChild& start) {
    auto promise = make_response_promise<void>();
    if (start.supervisor != path_) {
      Child* below = find(start.supervisor);
      if (!below || !below->spec.supervisor) below = find_above(start.supervisor);
      if (below)
        pass_on(*below, std::move(start), promise);
      else
        promise.deliver(refusal("there is no supervisor " + start.supervisor));
      return promise;
    }
    const ChildSpec& spec = start.child;
    if (spec.id.empty() || spec.id.find('/') != std::string::npos)
      promise.deliver(refusal("\"" + spec.id + "\" cannot be the id of a child"));
    else if (static_cast<bool>(spec.start) == (spec.supervisor != nullptr))
      promise.deliver(refusal(path_ + "/" + spec.id + " must be either an actor or a supervisor"));
    else if (ending_)
      promise.deliver(refusal(path_ + " is stopping"));
    else if (find(path_ + "/" + spec.id))
      promise.deliver(refusal(path_ + "/" + spec.id + " is there already"));
    else
      add(spec, promise);
    return promise;
  }

  void add(const ChildSpec& spec, const caf::typed_response_promise<void>& promise) {
    tree_->add_child(path_, spec);
    append(spec).added = promise;
    pump();
  }

  caf::result<void> on_delete_child(const DeleteChild& order) {
    auto promise = make_response_promise<void>();
    if (Child* child = find(order.path)) {
      child->deleters.push_back(promise);
      if (auto added = std::exchange(child->added, std::nullopt))
        added->deliver(refusal(order.path + " was deleted before it was up"));
      forget(*child);
      if (child->alive())
        child->stop_wanted = child->status.state != ChildState::stopping;
      else if (child->status.state != ChildState::finished)
        left(*child);
      pump();
    } else if (Child* below = find_above(order.path)) {
      pass_on(*below, order, promise);
    } else {
      promise.deliver(refusal("there is no child " + order.path));
    }
    return promise;
  }

  /// It is not to come back.
  static void forget(Child& child) {
    child.deleted = true;
    child.after_stop = ChildState::finished;
    child.spec.restart = Restart::temporary;
  }

  /// Lets go of those that are to be forgotten and are gone.
  void forget_deleted() {
    for (auto child = children_.begin(); child != children_.end();) {
      if (!child->deleted || child->alive()) {
        ++child;
        continue;
      }
      tree_->delete_child(path_, child->spec.id);
      for (auto& promise : child->deleters)
        promise.deliver();
      child = children_.erase(child);
    }
  }

  // --- the operator ------------------------------------------------------------------------------

  void on_revive(const Revive& revive) {
    if (ending_) return;
    for (Child& child : children_) {
      const std::string& path = child.status.path;
      if (!child.wanted() && (revive.path == path || revive.path == path_)) {
        (child.intensity ? *child.intensity : intensity_).reset();
        child.quarantine =
            Quarantine((child.spec.budget ? *child.spec.budget : spec_->budget).quarantine);
        let_out(child);
      } else if (child.spec.supervisor && child.alive() &&
                 (revive.path == path || revive.path.starts_with(path + "/"))) {
        caf::anon_send(child.handle, revive);
      }
    }
    pump();
  }

  // --- small things ------------------------------------------------------------------------------

  void enter(Child& child, ChildState state) {
    child.status.state = state;
    child.status.since = clock().now();
    if (state == ChildState::quarantined && child.quarantine.trial_at())
      child.status.delay = *child.quarantine.trial_at() - child.status.since;
    else if (state != ChildState::waiting)
      child.status.delay = Duration::zero();
    tree_->update(child.status);
  }

  void announce_down(Child& child, bool final, const std::string& reason) {
    if (!std::exchange(child.announced, false)) return;
    tree_->registry().announce_down(child.spec.role, child.status.incarnation, final, reason);
  }

  /// Whoever waits for a role of the child, or for one below it, hears that nobody will play it.
  void announce_final(const ChildSpec& spec, const std::string& reason) {
    if (!spec.role.empty()) tree_->registry().announce_final(spec.role, reason);
    if (!spec.supervisor) return;
    for (const ChildSpec& child : spec.supervisor->children)
      announce_final(child, reason);
  }

  void release_start(Child& child) {
    if (std::exchange(child.holds_start, false)) child.spec.bucket->done();
  }

  /// Timers are hints: a late or superfluous one finds nothing due.
  void wake_at(TimePoint when) {
    if (when >= armed_) return;
    armed_ = when;
    scheduled_send(this, when, Wake{});
  }

  std::string path_;
  std::shared_ptr<const SupervisorSpec> spec_;
  std::shared_ptr<Tree> tree_;
  RestartIntensity intensity_;
  std::list<Child> children_;  // stay where they are while others come and go
  std::vector<caf::typed_response_promise<void>> ready_;
  std::vector<caf::typed_response_promise<void>> stopped_;
  caf::error end_reason_;
  TimePoint armed_ = TimePoint::max();
  bool settled_ = false;
  bool ending_ = false;
  bool ended_ = false;
  bool pumping_ = false;
  bool again_ = false;
};

}  // namespace

caf::actor spawn_supervisor(caf::actor_system& system,
                            std::string id,
                            std::shared_ptr<const SupervisorSpec> spec,
                            std::shared_ptr<Tree> tree) {
  return system.spawn<Supervisor>(std::move(id), std::move(spec), std::move(tree));
}

}  // namespace sluice
