// The way of work through one lane: to its worker, back from it, and who hears of that.
#pragma once

#include "actors/front.h"
#include "actors/hand_over.h"
#include "actors/lane_load.h"
#include "actors/lane_messages.h"
#include "actors/lane_work.h"
#include "actors/work_messages.h"
#include "supervision/command_watch.h"
#include "supervision/end_cause.h"
#include "supervision/lane_health.h"
#include "worker/link.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace sluice {

/// Takes work from the batcher as far as the lane's gate lets it, tells the worker of it, passes
/// its results on to the sessions, and tells the batcher what has left the lane. It sends
/// Running, TokensArrived, SequenceFailed, LaneLost, Preempted and HolderLost to sessions; LaneUp,
/// LanePace, Began, Released and Cleared to the batcher. Owner: the executor.
class LaneDispatcher {
 public:
  ///   holder  of the leases of what is taken
  ///   health  of the lane's worker: hears what is sent to it and what its work comes to. It must
  ///           outlive the dispatcher
  LaneDispatcher(std::shared_ptr<Front> front,
                 std::shared_ptr<ServedModel> model,
                 LaneId lane,
                 Holder holder,
                 LaneHealth& health);

  // --- the worker -------------------------------------------------------------------------------

  struct Worker {
    WorkerLink* link = nullptr;  ///< null: none serves
    std::uint64_t number = 0;
    BatchAssembly::Credit credit;
    std::uint64_t weights = 0;
  };
  /// A worker serves from now on. Its link must live until `stop`.
  void serve(const Worker& worker);
  /// It does so no longer: nothing is sent any more, and nothing is taken.
  void stop();
  /// The worker is lost: sessions hear so of what ran there, and what runs on trial speaks against
  /// its kind.
  void lose(const EndVerdict& verdict);
  /// Drops everything without a word: leases stay, for the executor's next incarnation.
  void forget();

  /// As much of users' work is taken as the breaker says.
  void open_gate(const LaneGate& gate);
  /// There is no worker that it could be open for.
  void close_gate();
  [[nodiscard]] const LaneGate& gate() const { return gate_; }

  // --- work comes and goes ----------------------------------------------------------------------

  void assign(const std::vector<Work>& works);
  void drop(const Drop& drop);
  void grant(const Grant& grant);
  void make_room(const MakeRoom& make);
  /// Whatever is not on trial goes on elsewhere, or here when the trials are over: it may run for
  /// minutes, and nothing new is given to the lane before.
  void clear(const ClearLane& clear);
  /// What nobody wants any more is let go.
  void drop_unwanted();

  // --- what the worker says ---------------------------------------------------------------------

  /// A step's results.
  void tokens(wire::Tokens& tokens);
  /// A sequence cannot go on.
  void failed(const wire::Failed& failed);
  /// A heartbeat: what was held back may begin, and less urgent work gives way while KV blocks run
  /// short.
  ///   preemptions  of its engine, since it serves
  void beat(std::uint32_t blocks_free, std::uint64_t preemptions);

  // --- what the batcher hears -------------------------------------------------------------------

  /// The lane serves. Sent once to each batcher for each worker: it may have given work to the lane
  /// after the first message, and a second one would count those places twice.
  void announce();
  /// About once a second: what the lane may run is judged anew, and told.
  void update_pace();
  /// What its steps take, and what it may run.
  void tell_pace();

  [[nodiscard]] const LaneWork& work() const { return work_; }
  /// What the batcher was told last.
  [[nodiscard]] const LaneLoad::Limits& told() const { return told_; }
  /// As `LaneLoad::pace`.
  [[nodiscard]] Duration pace() const { return load_.pace(); }

 private:
  [[nodiscard]] bool serves() const { return worker_.link != nullptr; }
  void assign(const Work& work);
  [[nodiscard]] bool takes(const Work& work, bool known) const;
  void give_a_probes_place();
  void start(const Work& work);
  void start_held_back();
  void return_held_back();
  bool forget_held_back(SequenceId id, Epoch epoch);
  void fail(SequenceId id, const LaneWork::Held& held, Error why);
  void preempt(const std::vector<SequenceId>& victims);
  void let_go(SequenceId id);
  void give_back(const Work& work);
  void release(SequenceId id, Epoch epoch, bool probe);
  void cancel(SequenceId id, Epoch epoch);
  void send(wire::ToWorker message, CommandWatch::Command command);
  void blame_kinds(bool convicts);
  void note_step(const wire::Tokens& tokens) const;
  template <class Message>
  void tell_batcher(Message message) {
    front_->tell(model_->batcher.role, std::move(message));
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  LaneId lane_;
  Holder holder_;
  LaneHealth& health_;
  Worker worker_;  ///< the last one
  LaneGate gate_;
  LaneWork work_;
  std::vector<Work> held_back_;  ///< has its place, and waits until the worker has heard everything
  LaneLoad load_;
  LaneLoad::Limits told_;  ///< to the batcher, last
  /// The batcher's incarnation and the worker it was last told of.
  std::pair<std::uint64_t, std::uint64_t> announced_{};
};

}  // namespace sluice
