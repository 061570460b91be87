// What runs on one lane: who owns it, what it is suspected of, and what the trace is told.
#pragma once

#include "actors/front.h"
#include "actors/work.h"
#include "admission/poison_kinds.h"
#include "supervision/lease_table.h"

#include "scheduling/batch_assembly.h"
#include "scheduling/kv_pressure.h"
#include "scheduling/preemption.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

namespace sluice {

/// The sequences an executor has given to its worker. Leases, the front's count of what runs and
/// the trace follow every change. Owner: the lane's dispatcher.
class LaneWork {
 public:
  struct Held {
    Epoch epoch = 0;
    caf::actor session;
    std::shared_ptr<const Fence> fence;
    LaneRooms::Taken taken = {};
    TimePoint ends;                   ///< probably
    std::uint32_t preempted = 0;      ///< times, of its request
    std::uint32_t prompt_size = 0;    ///< tokens
    std::uint32_t generated_max = 0;  ///< likewise
    std::uint64_t number = 0;         ///< in the order in which the lane took them
    bool probe = false;
    std::uint32_t suspicion = 0;  ///< workers that ended with it
    bool on_trial = false;        ///< suspected, and not cleared of that
    std::uint32_t trial_until = 0;
    PoisonKinds::Kind kind = {};
    std::uint32_t granted = kNoLimit;   ///< results it may give, as of `Sequence::granted`
    std::uint32_t reported = 0;         ///< results it has given
    std::uint32_t prompt_reported = 0;  ///< of those, positions of the prompt
    bool started = false;               ///< its worker has been told of it

    /// As `Work::is_wanted`.
    [[nodiscard]] bool is_wanted() const { return !fence || fence->admits(epoch); }
  };

  LaneWork(std::shared_ptr<Front> front, LaneId lane, std::shared_ptr<LeaseTable> leases)
      : front_(std::move(front)), lane_(lane), leases_(std::move(leases)) {}
  ~LaneWork() { forget(); }
  LaneWork(const LaneWork&) = delete;
  LaneWork& operator=(const LaneWork&) = delete;

  /// It has a place here from now on; an older epoch of it runs no longer.
  void take(const Work& work);
  /// It runs in worker number `worker`; it must have been taken.
  void start(const Work& work, std::uint64_t worker);
  /// The entry of a sequence under this epoch; null: it does not run here, or under another.
  Held* find(SequenceId id, Epoch epoch);
  /// The epoch under which it runs here, if it does.
  [[nodiscard]] std::optional<Epoch> epoch_of(SequenceId id) const;
  /// It left the worker: lease and place return. `id` must be held.
  void let_go(SequenceId id);
  /// If `known` tokens clear it of what it is suspected of, it is no longer on trial. True: it has
  /// just been cleared.
  bool clear(SequenceId id, Held& held, std::size_t known);

  /// Counts what an output of a held sequence brings. True: these are its first results here.
  static bool count(Held& held, const SequenceOutput& output);
  /// A user's sequence has not given all that was granted: its worker has something to do.
  [[nodiscard]] bool may_run() const;

  /// A suspect runs here that was to run alone, and does: the end of the worker convicts it.
  [[nodiscard]] bool is_last_trial() const;
  /// What all that run on trial have in common, if there are `least` and more. If their worker ends
  /// from inside, that tells something of their kind. Of one alone its conviction will, but in a
  /// storm of such ends its client may have gone by then.
  [[nodiscard]] std::optional<PoisonKinds::Kind> kind_on_trial(std::size_t least) const;
  /// The worker is gone: tells the session of everything that ran there.
  ///   inside  the worker ended from inside. Those on trial are suspects then, if there are any:
  ///           the others have shown themselves harmless or were not there before
  void lose(std::uint64_t worker, bool inside, const std::string& role);
  /// Drops everything without a word: leases stay, for the next incarnation of the executor.
  void forget();

  /// The probe that runs here, if one does.
  [[nodiscard]] std::optional<SequenceId> probe() const;
  /// What runs for users, with its blocks.
  [[nodiscard]] std::vector<BatchAssembly::Held> of_users() const;
  /// What runs for nobody: its session has ended, or offers it under a newer epoch.
  [[nodiscard]] std::vector<SequenceId> unwanted() const;
  struct Owned {
    SequenceId id;
    Epoch epoch = 0;
    caf::actor session;
  };
  /// What runs for users and is not on trial.
  [[nodiscard]] std::vector<Owned> beside_trials() const;
  /// What runs on trial.
  [[nodiscard]] std::vector<SequenceId> on_trial() const;
  /// Of users, by class.
  [[nodiscard]] KvPressure::Running by_class() const;
  /// KV blocks reserved for users.
  [[nodiscard]] std::uint32_t blocks() const;
  /// What runs for users and is not on trial.
  [[nodiscard]] std::vector<Preemption::Candidate> candidates() const;
  /// How many sequences have a place for users, and in all.
  [[nodiscard]] std::uint32_t users() const { return users_; }
  [[nodiscard]] std::size_t size() const { return held_.size(); }
  /// How many of them the worker has been told of.
  [[nodiscard]] std::size_t started() const;
  [[nodiscard]] bool contains(SequenceId id) const { return held_.contains(id); }

 private:
  void remove(std::unordered_map<SequenceId, Held>::iterator entry);

  std::shared_ptr<Front> front_;
  LaneId lane_;
  std::shared_ptr<LeaseTable> leases_;
  std::unordered_map<SequenceId, Held> held_;
  std::uint32_t users_ = 0;  ///< of `held_`, without probes
  std::uint64_t taken_ = 0;  ///< so far
};

}  // namespace sluice
