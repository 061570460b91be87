#include "tests/sim/sim_worker.h"

#include "base/check.h"
#include "tests/sim/coverage.h"
#include "worker/start_up.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration kBeatEvery = 50ms;
constexpr std::size_t kHistoryKept = 64;
constexpr Duration kStuckWait = 1ms;

/// The front's end of a simulated worker.
class SimLink final : public WorkerLink {
 public:
  explicit SimLink(std::shared_ptr<SimWorker> worker) : worker_(std::move(worker)) {}
  ~SimLink() override { worker_->silence(); }
  void send(wire::ToWorker message) override { worker_->send(message); }
  void kill() override { worker_->kill_by_front("killed by signal 9"); }
  [[nodiscard]] bool is_stopped() const override { return worker_->stopped(); }
  [[nodiscard]] std::int64_t pid() const override { return worker_->pid(); }
  [[nodiscard]] std::size_t backlog_bytes() const override { return worker_->backlog_bytes(); }

 private:
  std::shared_ptr<SimWorker> worker_;
};

}  // namespace

SimWorker::SimWorker(SimHost& host,
                     std::uint32_t lane,
                     std::uint64_t number,
                     std::uint32_t dialect,
                     std::int64_t pid,
                     std::shared_ptr<WorkerListener> listener)
    : host_(host),
      lane_(lane),
      number_(number),
      dialect_(dialect),
      pid_(pid),
      listener_(std::move(listener)),
      chance_(host.seed(), "worker " + std::to_string(pid)),
      front_saboteur_(chance_),
      worker_saboteur_(chance_),
      front_writer_(0, &front_saboteur_),
      worker_writer_(0, &worker_saboteur_),
      orders_(host.options().device),
      clock_(host.environment().clock()) {}

// --- the front's end -----------------------------------------------------------------------------

void SimWorker::start() {
  // Its own pipes hold it weakly: events of a dead worker find nobody.
  std::weak_ptr<SimWorker> weak = weak_from_this();
  to_front_ = std::make_shared<Pipe>(host_.environment(), chance_, [weak](std::string_view bytes) {
    if (auto self = weak.lock()) self->hear_worker(bytes);
  });
  to_worker_ = std::make_shared<Pipe>(host_.environment(), chance_, [weak](std::string_view bytes) {
    if (auto self = weak.lock()) self->hear_front(bytes);
  });
  work_after(chance_.duration(1ms, 6ms), [this] {
    speaks_ = true;
    say(wire::Hello{.pid = pid_, .version = "sim"});
    say(wire::Phase{wire::Phase::Name::load});
    work_after(kBeatEvery, [this] { beat(); });
    work_after(host_.load_time(), [this] { load(); });
  });
}

void SimWorker::send(const wire::ToWorker& message) {
  if (dead_) return;
  std::string bytes;
  front_writer_.append(message, bytes);
  to_worker_->send(std::move(bytes));
}

void SimWorker::kill_by_front(std::string why) {
  end({0, 9, std::move(why), true, false});
}

void SimWorker::silence() {
  listener_.reset();
  kill_by_front("killed by signal 9");
}

void SimWorker::hear_worker(std::string_view bytes) {
  if (!listener_) return;
  front_reader_.feed(bytes);
  for (;;) {
    auto frame = front_reader_.next();
    if (!frame) return kill_by_front("sent a broken frame: " + frame.error().message);
    if (!*frame) return;
    auto message = wire::decode_to_front(**frame);
    if (!message) return kill_by_front("sent a broken frame: " + message.error().message);
    if (auto listener = listener_) listener->on_message(*std::move(message));
  }
}

// --- the process ---------------------------------------------------------------------------------

void SimWorker::work_after(Duration delay, std::function<void()> work) {
  host_.environment().after(
      delay, Source::worker, [weak = weak_from_this(), work = std::move(work)]() mutable {
        auto self = weak.lock();
        if (!self || self->dead_) return;
        if (self->stopped_) {
          self->postponed_.push_back(std::move(work));
        } else {
          work();
        }
      });
}

void SimWorker::resume() {
  stopped_ = false;
  ++signals_;
  auto self = shared_from_this();
  for (auto& work : std::exchange(postponed_, {}))
    if (!dead_) work();
}

void SimWorker::heal() {
  DeviceOrders fresh = host_.options().device;
  fresh.hung = orders_.hung;
  fresh.crashed = orders_.crashed;
  fresh.rows = orders_.rows;
  orders_ = fresh;
  front_saboteur_.relent();
  worker_saboteur_.relent();
  mangles_.clear();
  to_front_->heal();
  to_worker_->heal();
}

void SimWorker::load() {
  auto engine =
      Engine::create(make_sim_device(&orders_, &clock_, &chance_, dialect_, host_.weights),
                     host_.options().engine,
                     clock_);
  CHECK(engine.has_value());
  engine_ = *std::move(engine);
  say(wire::Phase{wire::Phase::Name::warm_up});
  work_after(chance_.duration(1ms, 5ms), [this] {
    say(wire::Phase{wire::Phase::Name::self_test});
    auto golden = self_test(*engine_, host_.options().engine);
    Duration took = clock_.stop();
    if (orders_.crashed) return end({0, 11, "killed by signal 11", false, false});
    if (!golden && golden.error().code == ErrorCode::device_lost)
      return exit_with(WorkerEnd::device_lost);
    if (!golden) {
      say(wire::Bye{golden.error().code, golden.error().message});
      return exit_with(WorkerEnd::self_test_failed);
    }
    if (std::exchange(orders_.hung, false)) return;  // in its start-up: the phase runs out of time
    work_after(took, [this, hash = *golden] {
      say(ready_of(*engine_, host_.options().engine, hash, "sim"));
      serve();
    });
  });
}

void SimWorker::serve() {
  progress_.end_step(engine_->stats());
  loop_ = std::make_unique<WorkerLoop>(*engine_, clock_, progress_);
  poll();
}

/// Between two steps: reads what has come, and takes a turn if there is anything to do.
void SimWorker::poll() {
  if (!loop_ || step_since_ || stopped_) return;
  unread_ = 0;
  for (;;) {
    auto frame = worker_reader_.next();
    if (frame && !*frame) break;
    auto command = frame ? wire::decode_to_worker(**frame) : Result<wire::ToWorker>(frame.error());
    if (!command) {
      say(wire::Bye{command.error().code, command.error().message});
      return exit_with(WorkerEnd::link_broken);
    }
    commands_.push_back(*std::move(command));
  }
  if (Duration wait = loop_->may_wait(); commands_.empty() && wait > kStuckWait) {
    if (wait != Duration::max()) work_after(wait, [this] { poll(); });
    return;
  }
  std::uint64_t preempted = engine_->stats().preemptions;
  before_step_ = progress_.at(clock_.now());
  orders_.rows = 0;
  auto how = loop_->turn(commands_, out_);
  Duration took = clock_.stop();
  if (engine_->stats().preemptions > preempted) mark(Mark::preempted);
  if (engine_->stats().paused > 0) mark(Mark::generation_paused);
  before_step_.running = static_cast<std::uint32_t>(engine_->stats().running);
  before_step_.waiting = static_cast<std::uint32_t>(engine_->stats().waiting);
  before_step_.commands = progress_.at(clock_.now()).commands;
  step_since_ = host_.environment().now();
  if (orders_.hung) return;  // for ever
  if (orders_.crashed) {
    if (orders_.poisoned) mark(Fault::poison);
    work_after(took, [this] { end({0, 11, "killed by signal 11", false, false}); });
    return;
  }
  if (took == Duration::zero() && loop_->stuck()) took = kStuckWait;
  if (took == Duration::zero()) return step_done(how);
  work_after(took, [this, how] { step_done(how); });
}

void SimWorker::step_done(std::optional<WorkerEnd> how) {
  step_since_.reset();
  for (wire::ToFront& message : out_) {
    if (auto* tokens = std::get_if<wire::Tokens>(&message)) {
      host_.history.push_back({lane_, *tokens});
      if (host_.history.size() > kHistoryKept) host_.history.pop_front();
      for (auto mangle = mangles_.begin(); mangle != mangles_.end();)
        mangle = (*mangle)(*tokens) ? mangles_.erase(mangle) : mangle + 1;
    }
    say(message);
  }
  if (how) return exit_with(*how);
  // Outputs that were mangled must not go back into the engine's memory: they are copies already.
  poll();
}

void SimWorker::beat() {
  work_after(kBeatEvery, [this] { beat(); });
  wire::Heartbeat beat = before_step_;
  if (step_since_) {
    auto age = host_.environment().now() - *step_since_;
    beat.step_age_ms = std::max<std::int64_t>(
        1, std::chrono::duration_cast<std::chrono::milliseconds>(age).count());
    beat.step_rows = static_cast<std::uint32_t>(orders_.rows);
  } else {
    if (!engine_) progress_.loaded({.bytes = ++loaded_});
    beat = progress_.at(clock_.now());
  }
  say(beat);
}

void SimWorker::hear_front(std::string_view bytes) {
  worker_reader_.feed(bytes);
  unread_ += bytes.size();
  poll();
}

void SimWorker::say(const wire::ToFront& message) {
  if (dead_ || !speaks_) return;
  std::string bytes;
  worker_writer_.append(message, bytes);
  to_front_->send(std::move(bytes));
}

void SimWorker::exit_with(WorkerEnd how) {
  int code = static_cast<int>(how);
  end({code, 0, "exited with code " + std::to_string(code), false, false});
}

void SimWorker::end(WorkerExit exit) {
  if (std::exchange(dead_, true)) return;
  to_worker_->cut();
  postponed_.clear();
  // What it said before its end is heard first.
  TimePoint when = std::max(to_front_->last_arrival(), host_.environment().now() + 1ms);
  when += chance_.duration(0ms, 2ms);
  host_.environment().at(
      when, Source::worker, [self = shared_from_this(), exit = std::move(exit)]() mutable {
        self->to_front_->flush();
        if (auto listener = std::exchange(self->listener_, nullptr))
          listener->on_exit(std::move(exit));
      });
}

std::size_t SimWorker::running() const {
  if (!serves()) return 0;
  EngineStats stats = engine_->stats();
  return static_cast<std::size_t>(stats.running + stats.waiting + stats.paused);
}

// --- the host ------------------------------------------------------------------------------------

Result<std::unique_ptr<WorkerLink>> SimHost::launch(const WorkerSpec& spec,
                                                    std::shared_ptr<WorkerListener> listener) {
  if (environment_.now() < no_spawns_until) {
    mark(Fault::spawn_failure);
    return Error{ErrorCode::unavailable, "cannot start sluice: no processes left"};
  }
  auto number = [&](std::size_t i) {
    return static_cast<std::uint32_t>(std::stoul(spec.arguments.at(i)));
  };
  auto worker = std::make_shared<SimWorker>(*this,
                                            number(0),
                                            number(3),
                                            number(1),
                                            static_cast<std::int64_t>(1000 + ++started_),
                                            std::move(listener));
  workers_.push_back(worker);
  all_[{worker->lane(), worker->number()}] = worker;
  worker->start();
  return std::unique_ptr<WorkerLink>(std::make_unique<SimLink>(worker));
}

std::shared_ptr<SimWorker> SimHost::find(std::uint32_t lane, std::uint64_t number) const {
  auto found = all_.find({lane, number});
  return found == all_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<SimWorker>> SimHost::alive() {
  std::erase_if(workers_, [](const auto& worker) { return !worker->alive(); });
  std::stable_sort(workers_.begin(), workers_.end(), [](const auto& a, const auto& b) {
    return a->lane() < b->lane();
  });
  return workers_;
}

Duration SimHost::load_time() const {
  if (environment_.now() >= slow_loads_until) return options_.load;
  mark(Fault::slow_load);
  return options_.load * 10;
}

}  // namespace sluice::sim
