// Requests that end their workers: suspects, trials in small company, and what is refused after a
// conviction.
#pragma once

#include "base/clock.h"
#include "base/ids.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace sluice {

/// What a sequence is suspected of, by itself or for what an equal one did. Pure; owner: its
/// session.
///   Rule: every worker that ends from inside makes suspects of what was on trial there, or, with
///   nobody on trial, of all that ran. A suspect runs again in a cohort of a quarter of those, the
///   second time alone; one that ends a worker alone is convicted.
class Suspicion {
 public:
  /// So many tokens beyond the point where the worker ended clear a suspect of that end.
  static constexpr std::uint32_t kClearTokens = 32;
  /// After so long without a further end it is as good as new.
  static constexpr Duration kForgetAfter = std::chrono::seconds(60);

  /// A worker ended with it.
  ///   emitted   tokens it had; together: suspects of this end
  ///   alone     nothing else ran there
  ///   returns   true: convicted
  bool blame(TimePoint now, std::uint32_t emitted, std::uint32_t together, bool alone);
  /// The same request as far as a worker can tell was blamed: what it did, this one may do.
  ///   emitted  tokens that this one has
  void follow(const Suspicion& equal, std::uint32_t emitted);

  /// Many of its kind are guilty: it runs alone from the start, and one end convicts it.
  void presume(TimePoint now);

  [[nodiscard]] std::uint32_t count() const { return count_; }
  /// It runs on trial until it has so many tokens.
  [[nodiscard]] std::uint32_t trial_until() const { return trial_until_; }
  [[nodiscard]] bool on_trial(std::uint32_t emitted) const {
    return count_ > 0 && emitted < trial_until_;
  }
  /// How many suspects may run with it, itself included.
  [[nodiscard]] std::uint32_t cohort_max() const { return cohort_max_; }

 private:
  std::uint32_t count_ = 0;
  std::uint32_t trial_until_ = 0;
  std::uint32_t cohort_max_ = 0;
  TimePoint since_{};
};

/// Fingerprints of convicted requests, each refused for a while. Bounded: the oldest makes room.
/// Thread-safe.
class PoisonList {
 public:
  struct Options {
    Duration keep = std::chrono::hours(1);
    std::size_t entries_max = 4096;
  };
  explicit PoisonList(Options options) : options_(options) {}
  PoisonList() : PoisonList(Options{}) {}

  void convict(std::uint64_t fingerprint, TimePoint now);
  [[nodiscard]] bool refuses(std::uint64_t fingerprint, TimePoint now);
  /// Costs one load: who asks can save himself the fingerprint.
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] std::size_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  Options options_;
  std::mutex mutex_;
  std::map<std::uint64_t, TimePoint> until_;
  std::atomic<std::size_t> size_{0};  ///< of `until_`
};

/// Where the suspects of one model run: on one lane at a time, without company that is not on
/// trial. Suspects wait here in order of arrival, those first whose kind is not proven. Pure;
/// owner: the batcher actor.
class Ward {
 public:
  struct Suspect {
    SequenceId id;
    std::uint32_t count = 1;       ///< 2 and more: alone
    std::uint32_t cohort_max = 1;  ///< 1 and more
    bool proven = false;           ///< others of its kind have got through lately
  };
  /// A lane that may take work, and how many sequences it holds.
  struct Lane {
    LaneId id;
    std::uint32_t held = 0;
    std::uint32_t free = 0;  ///< slots
  };
  /// Suspects to be started together now.
  struct Trial {
    LaneId lane;
    std::vector<SequenceId> ids;
  };

  /// Those of whose kind nothing good is known are tried first: the sooner the guilty one is found,
  /// the fewer others have to be tried.
  void add(const Suspect& suspect);
  /// False if it does not wait here.
  bool remove(SequenceId id);
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  /// Whose trial is next; there must be one.
  [[nodiscard]] SequenceId first() const { return waiting_.front().id; }

  /// Lanes set aside, which take no other work: none without suspects; one, where suspects run or
  /// are going to; more only while trials run that an earlier ward began.
  [[nodiscard]] std::set<LaneId> aside() const;
  /// Sets a lane aside if suspects wait, and gives the next trial if that lane is free for it.
  ///   lanes   those that may take work now
  ///   stays   trials go on where they were, even if that lane has to be waited for: suspects are
  ///           to end the workers of one lane and not of all
  ///   awaits  a lane is on its way, which will hold nothing: none that others use is set aside
  std::optional<Trial> next(std::span<const Lane> lanes, bool stays = false, bool awaits = false);
  /// The lane that is set aside, if the next trial waits for what runs there: it is to go
  /// elsewhere, for it may run for long, and nothing new begins there meanwhile.
  [[nodiscard]] std::optional<LaneId> to_clear(std::span<const Lane> lanes) const;
  /// A sequence got through its trial and runs on.
  void cleared(SequenceId id);
  /// A sequence left its lane.
  void left(SequenceId id);
  /// The lane serves, and these have been on trial there since before this ward was asked.
  void lane_up(LaneId lane, std::span<const SequenceId> on_trial);
  /// The lane is gone, with all that it held.
  ///   final  nobody is to wait for it
  void lane_down(LaneId lane, bool final = false);

 private:
  /// The trial of this one is over, if there was one. Returns where.
  std::optional<LaneId> end_trial(SequenceId id);
  void close_if_done();
  /// Of what the lane set aside holds, what may stay beside the next trial.
  [[nodiscard]] std::size_t company() const;

  std::deque<Suspect> waiting_;
  std::optional<LaneId> lane_;                     ///< where trials are, or were last
  std::map<LaneId, std::set<SequenceId>> trials_;  ///< that run; never empty sets
  std::set<SequenceId> cleared_;  ///< were on trial on `lane_`, and still run there
};

}  // namespace sluice
