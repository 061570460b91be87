#include "actors/request_sequence.h"

#include <algorithm>
#include <utility>

namespace sluice {

RequestSequence::RequestSequence(SequenceId id,
                                 std::shared_ptr<const Plan> plan,
                                 Choice choice,
                                 Limits limits,
                                 std::optional<StreamCredit> credit)
    : id_(id),
      plan_(std::move(plan)),
      choice_(std::move(choice)),
      limits_(limits),
      credit_(credit) {
  if (credit_) granted_ = credit_->next(results(), 0);
}

// --- where it is -------------------------------------------------------------------------------

void RequestSequence::renew(trace::Why why, Epoch replaces) {
  offered_ = {why, replaces};
  fence_->advance(++epoch_);
  resumed_ = resumed_ || lane_.has_value();
  lane_.reset();
}

RequestSequence::Next RequestSequence::resume(trace::Why why, Epoch lost) {
  if (++resumptions_ > limits_.resumptions_max) return Next::give_up;
  renew(why, lost);
  return Next::offer;
}

RequestSequence::Next RequestSequence::lose_holder(Epoch epoch, Holder holder) {
  if (!is_current(epoch)) return Next::nothing;
  // While a lane runs it, only that lane's loss counts.
  if (lane_ && holder != Holder::its_lane) return Next::nothing;
  // Its queue has given it to a lane, and charged its tenant. That is not to be paid twice.
  if (holder != Holder::queue) resumed_ = true;
  return resume(lane_ ? trace::Why::lane_lost : trace::Why::holder_lost, epoch);
}

RequestSequence::Next RequestSequence::lose_lane(Epoch epoch, LaneId lane) {
  if (!is_current(epoch)) return Next::nothing;
  lane_ = lane;
  return resume(trace::Why::lane_lost, epoch);
}

RequestSequence::Next RequestSequence::lose_trial(Epoch epoch) {
  return is_current(epoch) ? resume(trace::Why::holder_lost, epoch) : Next::nothing;
}

RequestSequence::Next RequestSequence::give_way(Epoch epoch, LaneId lane) {
  if (!is_current(epoch)) return Next::nothing;
  lane_ = lane;
  preempted_ += 1;
  renew(trace::Why::preempted, epoch);
  return Next::offer;
}

// --- its tokens --------------------------------------------------------------------------------

RequestSequence::Taken RequestSequence::take(const SequenceOutput& output,
                                             std::uint64_t weights,
                                             ChoiceDelta& delta,
                                             bool& has_delta) {
  if (finished()) return Taken::nothing;
  if (output.epoch != epoch_) return Taken::old_epoch;
  if (weights_ != 0 && weights != weights_) return Taken::other_weights;
  switch (choice_.accept(output, delta, has_delta)) {
    case Choice::Verdict::duplicate:
      // Its end cannot be known already.
      return output.finish == Finish::none ? Taken::nothing : Taken::impossible;
    case Choice::Verdict::gap:
      return Taken::impossible;
    case Choice::Verdict::accepted:
      break;
  }
  if (finished()) close();
  return Taken::news;
}

void RequestSequence::cut(std::string reason, ChoiceDelta& delta) {
  close();
  choice_.cut(std::move(reason), delta);
}

// --- how far it may run ahead of its reader ----------------------------------------------------

std::uint32_t RequestSequence::results() const {
  // Nothing is told of the prompt's first position, and yet it is counted.
  std::uint32_t prompt = plan_->prompt_logprobs ? std::max(1U, prompt_logprobs_known()) : 0U;
  return prompt + emitted_size();
}

std::optional<std::uint32_t> RequestSequence::granted_tokens() const {
  if (!credit_) return std::nullopt;
  auto prompt = plan_->prompt_logprobs ? static_cast<std::uint32_t>(plan_->prompt.size()) : 0U;
  return granted_ - std::min(granted_, prompt);
}

bool RequestSequence::grant_more() {
  if (!may_be_granted_more()) return false;
  std::uint32_t granted = credit_->next(results(), granted_);
  return std::exchange(granted_, granted) != granted;
}

void RequestSequence::park() {
  fence_->advance(++epoch_);
  lane_.reset();
  resumed_ = parked_ = true;
}

RequestSequence::Next RequestSequence::unpark() {
  if (!std::exchange(parked_, false)) return Next::nothing;
  // Nobody held it while its reader was away.
  renew(trace::Why::reader_back, 0);
  return Next::offer;
}

// --- failures of its own -----------------------------------------------------------------------

bool RequestSequence::fail(TimePoint now, std::string why) {
  failed_at_ = now;
  failure_ = std::move(why);
  if (retries_ + 1 >= limits_.attempts_max) return false;
  avoid_ = lane_;
  return true;
}

bool RequestSequence::wait_for_retry() {
  return std::exchange(retry_, Retry::waits) == Retry::none;
}

void RequestSequence::retry() {
  retry_ = Retry::has_place;
  retries_ += 1;
  renew(trace::Why::retry, epoch_);
}

bool RequestSequence::end_retry() {
  return std::exchange(retry_, Retry::none) != Retry::none;
}

// --- what it is suspected of -------------------------------------------------------------------

bool RequestSequence::blame(TimePoint now, Worker worker, std::uint32_t together, bool alone) {
  lane_ = worker.lane;
  bool guilty = suspicion_.blame(now, emitted_size(), together, alone);
  // The last one, which it ended alone, is not charged to its lane anyway.
  if (!guilty) blamed_on_.push_back(worker);
  return guilty;
}

}  // namespace sluice
