// One sequence as its request owns it: what is true of it, and what each word about it means.
#pragma once

#include "actors/stream_credit.h"
#include "admission/poison.h"
#include "api/choice.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/plan.h"
#include "engine/engine.h"
#include "supervision/fence.h"
#include "trace/event.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// The truth of one sequence, from its first offer to its end. Holders come and go, and with each
/// offer begins another epoch; what was emitted stays. Each event of its life is a method, which
/// says what the session has to do; to do it, to send and to record, is the session's part. Words
/// of an old epoch, and all that come after its end, change nothing.
///
/// It is called after its request because the `Sequence` of engine/sequence.h is another thing:
/// what a worker computes of it under one epoch.
///
/// Pure: time is a parameter. Only the fence is seen by other threads. Owner: the session.
class RequestSequence {
 public:
  struct Limits {
    std::uint32_t resumptions_max = 100;  ///< before it is given up
    std::uint32_t attempts_max = 3;       ///< of what fails by itself, the first included
  };

  /// What the session has to do next.
  enum class Next : std::uint8_t {
    nothing,
    offer,    ///< nobody holds it any more; it has a new epoch, and is offered as `offered` says
    give_up,  ///< it has been lost too often: its request ends
  };

  /// Who lost it, or gives it back unused.
  enum class Holder : std::uint8_t {
    queue,
    its_lane,  ///< the one that is known to run it
    other,     ///< a batcher, or a lane that has not said that it runs it
  };

  /// What an output means.
  enum class Taken : std::uint8_t {
    news,           ///< it is part of the truth now
    nothing,        ///< known already, or too late
    old_epoch,      ///< its sender has not heard that it runs the sequence no longer
    other_weights,  ///< the answer has begun on others
    impossible,     ///< no sound worker sends it
  };

  /// Why it is offered under the current epoch.
  struct Offered {
    trace::Why why = trace::Why::first;
    Epoch replaces = 0;  ///< as `trace::Offered::replaces`
  };

  /// A worker that ended with it: number `number` of the lane.
  struct Worker {
    LaneId lane;
    std::uint64_t number = 0;
  };

  ///   credit  of a stream: it is granted what its reader has room for; none: everything
  RequestSequence(SequenceId id,
                  std::shared_ptr<const Plan> plan,
                  Choice choice,
                  Limits limits,
                  std::optional<StreamCredit> credit);
  RequestSequence(RequestSequence&&) = default;  // no copies: one truth, one fence

  // --- what is true of it ------------------------------------------------------------------------

  [[nodiscard]] SequenceId id() const { return id_; }
  [[nodiscard]] const std::shared_ptr<const Plan>& plan() const { return plan_; }
  [[nodiscard]] Epoch epoch() const { return epoch_; }
  [[nodiscard]] const Offered& offered() const { return offered_; }
  /// Follows the epoch; closed when nobody wants it any more.
  [[nodiscard]] std::shared_ptr<const Fence> fence() const { return fence_; }
  /// Where it runs; none: queue or batcher hold it, or nobody.
  [[nodiscard]] std::optional<LaneId> lane() const { return lane_; }
  /// Every token that is known, the stop token included.
  [[nodiscard]] const std::vector<TokenId>& emitted() const { return choice_.emitted(); }
  [[nodiscard]] std::uint32_t prompt_logprobs_known() const {
    return choice_.prompt_logprobs_known();
  }
  [[nodiscard]] bool finished() const { return choice_.finished(); }
  /// Its text has ended, and its worker does not know.
  [[nodiscard]] bool ended_early() const { return choice_.ended_early(); }
  /// It goes on, and under this epoch.
  [[nodiscard]] bool is_current(Epoch epoch) const { return !finished() && epoch == epoch_; }
  /// It has begun on these weights; 0: on none yet.
  [[nodiscard]] std::uint64_t weights() const { return weights_; }
  /// It has had its turn: a lane lost it or did not take it, or it gave way.
  [[nodiscard]] bool resumed() const { return resumed_; }
  /// Times that it gave way.
  [[nodiscard]] std::uint32_t preempted() const { return preempted_; }
  /// Where it failed last by itself.
  [[nodiscard]] std::optional<LaneId> avoid() const { return avoid_; }
  /// A holder should have it, and nobody has said that it runs: it may have been lost on the way.
  [[nodiscard]] bool is_on_its_way() const {
    return !finished() && !lane_ && retry_ == Retry::none && !parked_;
  }
  /// False: nobody holds it until it has a place for its retry, or its reader is back.
  [[nodiscard]] bool is_given_out() const { return retry_ != Retry::waits && !parked_; }

  // --- where it is -------------------------------------------------------------------------------

  /// The lane runs it.
  void run_on(LaneId lane) { lane_ = lane; }
  /// Whoever holds it holds nothing from now on: it has a new epoch, under which it is offered.
  void renew(trace::Why why) { renew(why, epoch_); }
  Next lose_holder(Epoch epoch, Holder holder);
  /// Its lane, which may not have said yet that it runs it, does so no longer.
  Next lose_lane(Epoch epoch, LaneId lane);
  /// It was to be tried, and requests like it are refused by now.
  Next lose_trial(Epoch epoch);
  /// More urgent work has its place now. Nothing was lost, so it counts as no resumption.
  Next give_way(Epoch epoch, LaneId lane);
  /// Nobody wants it any more.
  void close() { fence_->close(); }

  // --- its tokens --------------------------------------------------------------------------------

  /// Takes the output of one step. Of `news`, `delta` holds what may be shown, if `has_delta`.
  ///   weights  that have computed it
  Taken take(const SequenceOutput& output,
             std::uint64_t weights,
             ChoiceDelta& delta,
             bool& has_delta);
  /// Tokens of its request have come of these weights: it takes none of others.
  void bind(std::uint64_t weights) { weights_ = weights; }
  /// Ends it from outside with what there is, for this reason.
  void cut(std::string reason, ChoiceDelta& delta);

  // --- how far it may run ahead of its reader ----------------------------------------------------

  /// Results its reader has room for, in all; see StreamCredit.
  [[nodiscard]] std::uint32_t granted() const { return granted_; }
  /// The tokens of those; none: it has no reader to wait for.
  [[nodiscard]] std::optional<std::uint32_t> granted_tokens() const;
  [[nodiscard]] bool may_be_granted_more() const { return credit_ && !finished(); }
  /// Its reader keeps up. False: what it was granted is enough for now.
  bool grant_more();
  /// Its lane does not know of the last grant. While nobody runs it the grant waits for whoever
  /// will.
  [[nodiscard]] bool owes_grant() const { return lane_ && told_ != granted_; }
  /// What it is granted, as its holder is told now.
  std::uint32_t tell_grant() { return told_ = granted_; }
  /// It has given what it was granted.
  [[nodiscard]] bool is_paused() const { return may_be_granted_more() && results() >= granted_; }
  /// It holds its place on a lane, and was granted no more than that since.
  [[nodiscard]] bool is_still_paused(Epoch epoch, std::uint32_t granted) const {
    return is_current(epoch) && lane_ && granted == granted_;
  }
  /// It has left its lane until it is granted more.
  void park();
  /// It was granted more.
  Next unpark();

  // --- failures of its own -----------------------------------------------------------------------

  /// It failed by itself. False: it has no attempt left.
  bool fail(TimePoint now, std::string why);
  [[nodiscard]] TimePoint failed_at() const { return failed_at_; }
  [[nodiscard]] const std::string& failure() const { return failure_; }
  /// There is no place for its retry. False: it waits already.
  bool wait_for_retry();
  /// It has a place, and is offered.
  void retry();
  /// How often it was tried again.
  [[nodiscard]] std::uint32_t retries() const { return retries_; }
  /// It needs no place any more. False: it had none, and waited for none.
  bool end_retry();

  // --- what it is suspected of -------------------------------------------------------------------

  [[nodiscard]] const Suspicion& suspicion() const { return suspicion_; }
  [[nodiscard]] bool on_trial() const { return suspicion_.on_trial(emitted_size()); }
  /// Many of its kind are guilty.
  void presume(TimePoint now) { suspicion_.presume(now); }
  /// The worker that ran it ended from inside, maybe by it. True: it is guilty.
  ///   together  suspects of this end; alone: nothing else ran there
  bool blame(TimePoint now, Worker worker, std::uint32_t together, bool alone);
  /// One that is equal to it was blamed.
  void follow(const RequestSequence& equal) { suspicion_.follow(equal.suspicion_, emitted_size()); }
  /// Workers whose ends were charged to their lanes, and of which it is suspected.
  [[nodiscard]] const std::vector<Worker>& blamed_on() const { return blamed_on_; }

 private:
  enum class Retry : std::uint8_t { none, waits, has_place };

  [[nodiscard]] std::uint32_t emitted_size() const {
    return static_cast<std::uint32_t>(emitted().size());
  }
  /// That it has given, as they are granted.
  [[nodiscard]] std::uint32_t results() const;
  void renew(trace::Why why, Epoch replaces);
  ///   lost  the epoch under which nobody holds it any more
  Next resume(trace::Why why, Epoch lost);

  SequenceId id_;
  std::shared_ptr<const Plan> plan_;
  Choice choice_;
  Limits limits_;
  Epoch epoch_ = 0;
  std::shared_ptr<Fence> fence_ = std::make_shared<Fence>();
  Offered offered_;
  std::optional<LaneId> lane_;
  std::uint64_t weights_ = 0;
  bool resumed_ = false;
  std::uint32_t resumptions_ = 0;
  std::uint32_t preempted_ = 0;

  std::optional<StreamCredit> credit_;
  std::uint32_t granted_ = kNoLimit;
  std::uint32_t told_ = kNoLimit;  ///< of `granted_`, to its holder
  bool parked_ = false;

  Retry retry_ = Retry::none;
  std::uint32_t retries_ = 0;
  TimePoint failed_at_{};
  std::string failure_;
  std::optional<LaneId> avoid_;

  Suspicion suspicion_;
  std::vector<Worker> blamed_on_;
};

}  // namespace sluice
