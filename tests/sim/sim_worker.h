// Workers without processes: the real engine and the real worker loop behind the launcher's port,
// on virtual time.
#pragma once

#include "engine/engine.h"
#include "tests/sim/environment.h"
#include "tests/sim/sim_device.h"
#include "tests/sim/sim_link.h"
#include "worker/link.h"
#include "worker/worker_loop.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::sim {

class SimHost;

/// One incarnation: a process that loads, tests itself, serves, and may be stopped or killed.
/// Owner: shared by its link and by events that have not happened yet.
class SimWorker : public std::enable_shared_from_this<SimWorker> {
 public:
  ///   number   counts the workers of the lane
  ///   dialect  of the model it serves
  SimWorker(SimHost& host,
            std::uint32_t lane,
            std::uint64_t number,
            std::uint32_t dialect,
            std::int64_t pid,
            std::shared_ptr<WorkerListener> listener);

  // --- the front's end ---------------------------------------------------------------------------

  void start();
  void send(const wire::ToWorker& message);
  void kill_by_front(std::string why);
  /// The link was destroyed: nothing is heard any more.
  void silence();
  [[nodiscard]] std::int64_t pid() const { return pid_; }
  [[nodiscard]] std::size_t backlog_bytes() const { return to_worker_->in_flight() + unread_; }

  // --- what faults do to it ----------------------------------------------------------------------

  void kill_from_outside() { end({0, 9, "killed by signal 9", false, true}); }
  void stop() {
    stopped_ = true;
    ++signals_;
  }
  void resume();
  /// Something was done to it that may end it as if from inside.
  void strike() { struck_ = true; }
  [[nodiscard]] bool struck() const { return struck_; }
  /// Faults of devices and links end; what hangs or is stopped stays so.
  void heal();
  [[nodiscard]] DeviceOrders& orders() { return orders_; }
  [[nodiscard]] Pipe& to_front() { return *to_front_; }
  [[nodiscard]] Pipe& to_worker() { return *to_worker_; }
  [[nodiscard]] Saboteur& front_saboteur() { return front_saboteur_; }
  [[nodiscard]] Saboteur& worker_saboteur() { return worker_saboteur_; }
  /// Changes the next outputs that leave. True: it has had its effect.
  using Mangle = std::function<bool(wire::Tokens&)>;
  void mangle(Mangle mangle) { mangles_.push_back(std::move(mangle)); }
  /// Says something out of turn.
  void say(const wire::ToFront& message);

  [[nodiscard]] std::uint32_t lane() const { return lane_; }
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] bool alive() const { return !dead_; }
  [[nodiscard]] bool serves() const { return !dead_ && loop_ != nullptr; }
  [[nodiscard]] bool stopped() const { return stopped_; }
  /// Changes with every SIGSTOP and SIGCONT.
  [[nodiscard]] std::uint32_t signals() const { return signals_; }
  /// Sequences in its engine.
  [[nodiscard]] std::size_t running() const;

 private:
  void work_after(Duration delay, std::function<void()> work);
  void load();
  void serve();
  void poll();
  void step_done(std::optional<WorkerEnd> how);
  void beat();
  void hear_front(std::string_view bytes);
  void hear_worker(std::string_view bytes);
  void exit_with(WorkerEnd how);
  void end(WorkerExit exit);

  SimHost& host_;
  std::uint32_t lane_;
  std::uint64_t number_;
  std::uint32_t dialect_;
  std::int64_t pid_;
  std::shared_ptr<WorkerListener> listener_;
  Chance chance_;

  // the link
  Saboteur front_saboteur_;
  Saboteur worker_saboteur_;
  LinkWriter front_writer_;
  LinkWriter worker_writer_;
  LinkReader front_reader_;
  LinkReader worker_reader_;
  std::shared_ptr<Pipe> to_front_;
  std::shared_ptr<Pipe> to_worker_;
  std::size_t unread_ = 0;

  // the process
  DeviceOrders orders_;
  StepClock clock_;
  Progress progress_;
  std::uint64_t loaded_ = 0;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<WorkerLoop> loop_;
  std::vector<wire::ToWorker> commands_;
  std::vector<wire::ToFront> out_;
  std::vector<Mangle> mangles_;
  std::deque<std::function<void()>> postponed_;  ///< until SIGCONT
  std::optional<TimePoint> step_since_;
  wire::Heartbeat before_step_;
  bool speaks_ = false;  ///< its heart beats
  std::uint32_t signals_ = 0;
  bool stopped_ = false;
  bool dead_ = false;
  bool struck_ = false;
};

/// Starts simulated workers and keeps those that live.
class SimHost final : public WorkerLauncher {
 public:
  struct Options {
    Engine::Options engine;
    DeviceOrders device;
    Duration load = std::chrono::milliseconds(60);
  };
  SimHost(Environment& environment, std::uint64_t seed, Options options)
      : environment_(environment), seed_(seed), options_(std::move(options)) {}

  /// `spec.arguments` are the lane's number and the model's dialect; the executor adds the number
  /// of the worker.
  Result<std::unique_ptr<WorkerLink>> launch(const WorkerSpec& spec,
                                             std::shared_ptr<WorkerListener> listener) override;

  /// One that was started, alive or not; null if there was none.
  [[nodiscard]] std::shared_ptr<SimWorker> find(std::uint32_t lane, std::uint64_t number) const;
  /// Those that live, in the order of their lanes.
  [[nodiscard]] std::vector<std::shared_ptr<SimWorker>> alive();
  [[nodiscard]] Environment& environment() { return environment_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] Duration load_time() const;

  // --- faults ------------------------------------------------------------------------------------
  std::uint64_t weights = 0;  ///< that lie on the disk: whoever loads now gets these
  TimePoint no_spawns_until;
  TimePoint slow_loads_until;
  struct Said {
    std::uint32_t lane = 0;
    wire::Tokens tokens;
  };
  std::deque<Said> history;  ///< what workers have said, the latest last

 private:
  Environment& environment_;
  std::uint64_t seed_;
  Options options_;
  std::uint64_t started_ = 0;
  std::vector<std::shared_ptr<SimWorker>> workers_;  ///< that live
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::shared_ptr<SimWorker>> all_;
};

}  // namespace sluice::sim
