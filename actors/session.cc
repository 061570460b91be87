#include "actors/session.h"

#include "actors/degrade.h"
#include "actors/poison_case.h"
#include "actors/request_messages.h"
#include "actors/request_sequence.h"
#include "actors/sequence_holders.h"
#include "actors/session_meter.h"
#include "actors/work_messages.h"
#include "api/answer_writer.h"
#include "api/choice.h"
#include "api/errors.h"
#include "base/fault_point.h"
#include "base/yield_point.h"

#include <caf/event_based_actor.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace sluice {
namespace {

class Session : public caf::event_based_actor {
 public:
  Session(caf::actor_config& config,
          std::shared_ptr<Front> front,
          std::shared_ptr<ServedModel> model,
          SessionStart start,
          std::unique_ptr<AnswerWriter> answer)
      : caf::event_based_actor(config),
        front_(std::move(front)),
        model_(std::move(model)),
        request_(std::move(start.request)),
        tenant_(std::move(start.tenant)),
        plan_(std::move(start.plan)),
        memory_(std::move(start.memory)),
        answer_(std::move(answer)),
        dependency_(std::move(start.dependency)),
        arrival_(start.arrival),
        meter_(*front_->metrics,
               *model_->metrics,
               request_.priority_class,
               request_.stream,
               arrival_,
               std::move(start.meter),
               tenant_ ? tenant_->figures.get() : nullptr),
        poison_(front_, model_, tenant_.get()) {
    front_->counters.sessions += 1;
    // A handler that throws ends this session, and on_exit gives the client its one answer.
    set_exception_handler([this](std::exception_ptr& thrown) -> caf::error {
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& exception) {
        spdlog::error("session {}: {}", request_.request_id, exception.what());
      } catch (...) {
        spdlog::error("session {}: unknown exception", request_.request_id);
      }
      return caf::make_error(caf::sec::runtime_error);
    });
  }

  const char* name() const override { return "sluice.session"; }

  caf::behavior make_behavior() override {
    if (!start()) return {};
    return {
        [this](const TokensArrived& arrived) { on_tokens(arrived); },
        [this](const Running& running) { on_running(running); },
        [this](const HolderLost& lost) { on_holder_lost(lost); },
        [this](const LaneLost& lost) { on_lane_lost(lost); },
        [this](const Preempted& preempted) { on_preempted(preempted); },
        [this](const KindRefused& refused) { on_kind_refused(refused); },
        [this](const Shed& shed) { on_shed(shed); },
        [this](const SequenceFailed& failed) { on_sequence_failed(failed); },
        [this](const TryAgain& again) { on_try_again(again); },
        [this](const StillPaused& paused) { on_still_paused(paused); },
        [this](const Refused& refused) { on_refused(refused.decision); },
        [this](const Settled& settled) { on_settled(settled.completed); },
        [this](const BehindChanged& changed) { on_behind_changed(changed.behind); },
        [this](DeadlinePassed) { on_deadline(); },
        [this](EndNow) { fail(errors::cut_by_shutdown(), trace::Outcome::shed); },
        [this](Attend) { answer_->attend(front_->clock->now(), arrival_); },
        [this](ClientGone) { on_client_gone(); },
        [this](ClientWritable) { on_client_writable(); },
    };
  }

  /// However the session ends: the client has its answer, holders let go, reservations return.
  void on_exit() override {
    settle();
    if (!answer_->ended()) tell_error(errors::internal_error(request_.request_id));
    for (RequestSequence& sequence : sequences_) {
      YIELD_POINT("session.drop");
      end_retry(sequence);
      if (!sequence.finished()) {
        holders_->drop(sequence);
      } else if (outcome_ == trace::Outcome::completed) {
        front_->lengths.add(kind(), static_cast<std::uint32_t>(sequence.emitted().size()));
      }
    }
    poison_.close(outcome_ == trace::Outcome::completed);
    if (weights() != 0) model_->weights.release(weights());
    if (was_submitted()) {
      if (!refused_) front_->record(trace::Ended{number_, outcome_});
      YIELD_POINT("session.ended");
      front_->tell(front_->admission.role, Ended{number_});
    }
    if (is_dependent_) front_->counters.dependent -= 1;
    if (dependency_) dependency_->end(outcome_ == trace::Outcome::completed);
    for (const RequestSequence& sequence : sequences_)
      move(sequence, SessionMeter::Place::nowhere);
    front_->counters.sessions -= 1;
    answer_.reset();
    sequences_.clear();
    memory_.reset();
  }

 private:
  // --- the beginning ----------------------------------------------------------------------------

  /// False: the request was answered already.
  bool start() {
    if (!plan_) {
      auto planned = plan_generation(
          request_, model_->card, model_->context(), model_->default_max_tokens, *front_->random);
      if (auto* error = std::get_if<ApiError>(&planned)) {
        tell_error(*error);
        return false;
      }
      plan_ = std::get<GenerationPlan>(std::move(planned));
    }
    // From here on the tokens are what is kept of the prompts.
    const GenerationPlan plan = *std::exchange(plan_, std::nullopt);
    std::vector<Prompt>().swap(request_.prompts);
    if (memory_ && !memory_->resize(plan.bytes())) {
      turn_away({Refusal::memory,
                 "The prompts of other requests fill the memory there is.",
                 std::chrono::seconds(1)});
      return false;
    }
    if (is_refused_as_lesser(plan)) return false;
    if (plan.trimmed || plan.localized || request_.degradation.cheaper) {
      usage_.degraded = request_.degradation;
      usage_.degraded->trims = plan.trimmed;
      usage_.degraded->localizes = plan.localized;
      answer_->degraded(*usage_.degraded);
    }
    if (auto error = poison_.refuse(plan, arrival_)) {
      turn_away({Refusal::poison, error->message, error->retry_after.value_or(Duration())}, *error);
      return false;
    }
    std::uint64_t first = front_->next_sequence.fetch_add(plan.plans.size());
    number_ = RequestNumber{first};
    usage_.prompt_tokens = plan.prompt_tokens;
    deadline_ = arrival_ + request_.timeout.value_or(front_->options.request_timeout);
    std::optional<StreamCredit> credit;
    if (request_.stream)
      credit.emplace(front_->options.stream_buffer, plan.plans.size(), request_.logprobs);
    const RequestSequence::Limits limits{front_->options.resumptions_max,
                                         front_->retries.options().attempts};
    sequences_.reserve(plan.plans.size());
    for (std::size_t i = 0; i < plan.plans.size(); ++i) {
      Choice::Options options;
      options.index = static_cast<std::uint32_t>(i);
      options.echo = request_.echo;
      options.begins_text = request_.begins_text;
      if (request_.echo) options.echo_text = plan.echo_texts[i / request_.n];
      options.stop = request_.stop;
      options.include_stop = request_.include_stop;
      options.skip_special_tokens = request_.skip_special_tokens;
      options.token_ids = request_.token_ids;
      sequences_.emplace_back(SequenceId{first + i},
                              plan.plans[i],
                              Choice(std::move(options), plan.plans[i], model_->card.tokenizer),
                              limits,
                              credit);
      if (poison_.kinds().is_trial()) sequences_.back().presume(arrival_);
    }
    // The exchange holds the session weakly: a client that stays must not keep a session that
    // ended.
    auto self = caf::actor_cast<caf::weak_actor_ptr>(this);
    answer_->on_gone([self] {
      if (auto session = caf::actor_cast<caf::actor>(self)) caf::anon_send(session, ClientGone{});
    });
    if (request_.stream) {
      answer_->on_writable([self] {
        if (auto session = caf::actor_cast<caf::actor>(self))
          caf::anon_send(session, ClientWritable{});
      });
    }
    holders_.emplace(*this, front_, model_, meter_, poison_.kinds(), in_common(plan));
    meter_.begin(sequences_.size(), plan.plans.front()->max_tokens, plan.prompt_tokens);
    if (dependency_) return wait_for_others();
    submit();
    return true;
  }

  /// What all of its sequences have in common.
  [[nodiscard]] SequenceHolders::Request in_common(const GenerationPlan& plan) const {
    auto sequences = static_cast<std::uint32_t>(sequences_.size());
    // A prompt counts once, however many choices it has: it is computed once.
    Quotas::Claim claim{number_, tenant_, request_.priority_class, plan.prompt_tokens};
    for (const auto& one : plan.plans)
      claim.tokens += one->max_tokens;
    Work work;
    work.class_index = static_cast<std::uint8_t>(request_.priority_class);
    work.priority = request_.priority;
    work.arrival = arrival_;
    work.deadline = deadline_;
    if (tenant_) {
      work.tenant = tenant_->number;
      work.tenant_weight = tenant_->policy.weight;
      work.core = tenant_->policy.core;
    }
    work.may_be_shed = sequences == 1 && !request_.partial_ok;
    return {{{number_, sequences, plan.total_tokens_max, deadline_, request_.priority_class},
             std::move(claim),
             model_->name,
             {},
             request_.request_id,
             asked_model(*front_, request_, *model_),
             usage_.degraded.value_or(Degradation{})},
            std::move(work),
            kind(),
            request_.n,
            dependency_};
  }

  [[nodiscard]] OutputLengths::Kind kind() const {
    return {number_of(tenant_.get()), model_->name, request_.fills_context};
  }

  [[nodiscard]] bool was_submitted() const { return holders_ && holders_->submissions() > 0; }

  void submit() { holders_->submit(sequences_); }

  /// Nothing more is asked of anybody, and what was reserved and not used returns. The fences come
  /// first: who holds or passes on our work while we go through the rest sees them.
  void settle() {
    for (RequestSequence& sequence : sequences_)
      sequence.close();
    YIELD_POINT("session.closed");
    if (!was_submitted() || std::exchange(is_settled_, true)) return;
    // In this order: admission, if it takes the claim only now, sees that the lease is gone.
    holders_->drop_lease();
    front_->record(trace::Settled{number_, used_tokens()});
    front_->quotas->settle(number_, used_tokens());
  }

  // --- requests that wait for others ------------------------------------------------------------

  /// False: the request was answered already.
  bool wait_for_others() {
    Duration cost{};
    for (const RequestSequence& sequence : sequences_)
      cost += model_->waits.cost(sequence.plan()->prompt.size(),
                                 front_->lengths.expected(kind(), sequence.plan()->max_tokens));
    dependency_->set_cost(cost);
    // Nobody else counts those that wait here.
    auto most = static_cast<std::int64_t>(front_->options.admission.queue_capacity);
    if (front_->counters.dependent.fetch_add(1) >= most) {
      front_->counters.dependent -= 1;
      turn_away(
          {Refusal::queue_full, "Too many requests wait for others.", std::chrono::seconds(1)});
      return false;
    }
    is_dependent_ = true;
    auto tell = [self = caf::actor_cast<caf::weak_actor_ptr>(this)](auto message) {
      if (auto session = caf::actor_cast<caf::actor>(self)) caf::anon_send(session, message);
    };
    dependency_->when_behind_changes([tell](Duration behind) { tell(BehindChanged{behind}); });
    dependency_->when_settled([tell](bool completed) { tell(Settled{completed}); });
    delayed_send(this, deadline_ - front_->clock->now(), DeadlinePassed{});
    return true;
  }

  void on_settled(bool completed) {
    if (std::exchange(is_dependent_, false)) front_->counters.dependent -= 1;
    if (completed)
      submit();
    else
      fail(errors::conflict("A request that this one depends on has not completed."));
  }

  void on_behind_changed(Duration behind) {
    for (const RequestSequence& sequence : sequences_)
      if (!sequence.finished() && !sequence.lane()) holders_->rank(sequence, behind);
  }

  /// Its answer would be less than what it asks for, and it wants none then.
  bool is_refused_as_lesser(const GenerationPlan& plan) {
    if (request_.allow_degraded || (!plan.trimmed && !plan.localized)) return false;
    Degradation lesser = request_.degradation;
    lesser.localizes = plan.localized;
    turn_away(DegradationEffects(front_->degradation).refuse_lesser(lesser, front_->clock->now()));
    return true;
  }

  /// It is not let in, which operators see as they see what admission decides.
  void turn_away(const Decision& decision) { turn_away(decision, errors::refused(decision)); }
  void turn_away(Decision decision, const ApiError& error) {
    front_->decided({.at = front_->clock->now(),
                     .request_id = request_.request_id,
                     .tenant = tenant_,
                     .priority_class = request_.priority_class,
                     .model = asked_model(*front_, request_, *model_),
                     .decision = std::move(decision)});
    tell_error(error);
  }

  // --- what the holders say ---------------------------------------------------------------------

  RequestSequence* find(SequenceId id) {
    std::uint64_t index = id.value - number_.value;
    return index < sequences_.size() ? &sequences_[index] : nullptr;
  }

  [[nodiscard]] std::size_t index_of(const RequestSequence& sequence) const {
    return sequence.id().value - number_.value;
  }

  void move(const RequestSequence& sequence, SessionMeter::Place place) {
    meter_.move(index_of(sequence), place);
  }

  /// Null: it has ended, or has another epoch.
  RequestSequence* find(SequenceId id, Epoch epoch) {
    RequestSequence* sequence = find(id);
    return sequence && sequence->is_current(epoch) ? sequence : nullptr;
  }

  void on_running(const Running& running) {
    RequestSequence* sequence = find(running.id, running.epoch);
    if (!sequence) {
      holders_->drop(running.lane, running.id, running.epoch);
      return;
    }
    sequence->run_on(running.lane);
    move(*sequence, SessionMeter::Place::running);
    entered_ = true;
    holders_->tell_grant(*sequence);
    watch_pause(*sequence);
  }

  void on_tokens(const TokensArrived& arrived) {
    FAULT_POINT("session.tokens");
    const SequenceOutput& output = arrived.output;
    RequestSequence* sequence = find(output.id);
    if (!sequence) return;
    bool has_delta = false;
    switch (sequence->take(output, arrived.weights, delta_, has_delta)) {
      case RequestSequence::Taken::nothing:
        return;
      case RequestSequence::Taken::old_epoch:
        holders_->drop(arrived.lane, output.id, output.epoch);
        return;
      case RequestSequence::Taken::other_weights:
        begin_elsewhere(*sequence, arrived);
        return;
      case RequestSequence::Taken::impossible:
        on_impossible(*sequence, arrived);
        return;
      case RequestSequence::Taken::news:
        break;
    }
    if (weights() == 0) bind(arrived.weights);
    // Tokens behind a stop string are not taken and do not count.
    const std::vector<TokenId>& emitted = sequence->emitted();
    if (usage_.completion_tokens == 0 && !emitted.empty()) note_first_token();
    usage_.completion_tokens += emitted.size() - output.first_index;
    meter_.take(index_of(*sequence), emitted.size() - output.first_index);
    if (front_->trace) {
      front_->record(trace::Emitted{
          sequence->id(),
          output.epoch,
          output.first_index,
          {emitted.begin() + static_cast<std::ptrdiff_t>(output.first_index), emitted.end()},
          sequence->finished()});
    }
    poison_.progress(sequences_);
    end_retry(*sequence);
    if (sequence->finished()) {
      move(*sequence, SessionMeter::Place::nowhere);
      if (has_delta && delta_.finish_reason == "length") meter_.reach_length();
    }
    if (sequence->ended_early()) holders_->drop(*sequence);
    if (has_delta) answer_->delta(delta_, usage_, all_finished());
    if (all_finished()) {
      complete();
    } else {
      grant_more(*sequence);
      if (sequence->is_paused()) meter_.paused();
      watch_pause(*sequence);
    }
  }

  /// For the ladder: the time it took, to what class realtime was promised and its own prompt
  /// takes.
  void note_first_token() {
    Duration promised = front_->options.admission.wait_max[0];
    if (!front_->options.degradation || promised == Duration::zero() ||
        request_.priority_class != PriorityClass::realtime)
      return;
    using Seconds = std::chrono::duration<double>;
    TimePoint now = front_->clock->now();
    Seconds fair = promised + model_->waits.cost(usage_.prompt_tokens, 0);
    front_->first_tokens.add(Seconds(now - arrival_) / fair, now);
  }

  // --- how far it may run ahead of its reader ---------------------------------------------------

  /// As long as the client reads, its sequences may go on; whoever is not granted more pauses.
  void grant_more(RequestSequence& sequence) {
    if (!sequence.may_be_granted_more() || !answer_->keeps_up()) return;
    if (!sequence.grant_more()) return;
    holders_->grant(sequence);
    follow(sequence, sequence.unpark());
  }

  /// Its place on the lane is not for ever.
  void watch_pause(const RequestSequence& sequence) {
    if (!sequence.is_paused()) return;
    delayed_send(this,
                 front_->options.pause_patience,
                 StillPaused{sequence.id(), sequence.epoch(), sequence.granted()});
  }

  /// Its reader has not come back. If somebody waits for its place it goes, and is offered again
  /// when there is something to do: else a few readers who read nothing would hold a whole model.
  void on_still_paused(const StillPaused& paused) {
    RequestSequence* sequence = find(paused.id);
    if (!sequence || !sequence->is_still_paused(paused.epoch, paused.granted)) return;
    if (!model_->is_waited_for()) {
      watch_pause(*sequence);
      return;
    }
    holders_->drop(*sequence);
    sequence->park();
    move(*sequence, SessionMeter::Place::nowhere);
  }

  void on_client_writable() {
    answer_->flush();
    for (RequestSequence& sequence : sequences_)
      grant_more(sequence);
  }

  /// From here on the whole answer comes from these weights.
  void bind(std::uint64_t weights) {
    for (RequestSequence& sequence : sequences_)
      sequence.bind(weights);
    model_->weights.bind(weights);
    name_author();
  }

  /// The choices of a request began at the same time on lanes with different weights, and another
  /// one was the first to get tokens.
  void begin_elsewhere(RequestSequence& sequence, const TokensArrived& arrived) {
    holders_->drop(arrived.lane, sequence.id(), sequence.epoch());
    follow(sequence, sequence.lose_lane(sequence.epoch(), arrived.lane));
  }

  /// Tokens are missing, or the end of the sequence comes with tokens that are known already.
  void on_impossible(RequestSequence& sequence, const TokensArrived& arrived) {
    spdlog::error(
        "session {}: lane {} sent token {} of sequence {}, {} are known; its worker is restarted",
        request_.request_id,
        arrived.lane.value,
        arrived.output.first_index,
        sequence.id().value,
        sequence.emitted().size());
    holders_->restart(arrived.lane, arrived.worker);
    // With its last frame a sequence leaves the lane: nobody else would tell of the loss.
    if (arrived.output.finish == Finish::none) return;
    follow(sequence, sequence.lose_lane(sequence.epoch(), arrived.lane));
  }

  void on_holder_lost(const HolderLost& lost) {
    if (lost.role == front_->admission.role) {
      on_admission_lost(lost.accepted);
      return;
    }
    if (RequestSequence* sequence = find(lost.id))
      follow(*sequence, sequence->lose_holder(lost.epoch, holder(*sequence, lost.role)));
  }

  [[nodiscard]] RequestSequence::Holder holder(const RequestSequence& sequence,
                                               const std::string& role) const {
    using Holder = RequestSequence::Holder;
    if (role == model_->queue.role) return Holder::queue;
    bool is_its_lane = sequence.lane() && role == front_->executors.at(*sequence.lane()).role;
    return is_its_lane ? Holder::its_lane : Holder::other;
  }

  void follow(RequestSequence& sequence, RequestSequence::Next next) {
    switch (next) {
      case RequestSequence::Next::nothing:
        return;
      case RequestSequence::Next::offer:
        holders_->offer(sequence);
        return;
      case RequestSequence::Next::give_up:
        fail(errors::backend_lost());
        return;
    }
  }

  void on_preempted(const Preempted& preempted) {
    if (RequestSequence* sequence = find(preempted.id))
      follow(*sequence, sequence->give_way(preempted.epoch, preempted.lane));
  }

  void on_shed(const Shed& shed) {
    if (find(shed.id, shed.epoch)) fail(errors::shed_after_accept(shed.why), trace::Outcome::shed);
  }

  /// The worker that ran the sequence is gone. If it ended from inside, the sequence may be why.
  void on_lane_lost(const LaneLost& lost) {
    RequestSequence* sequence = find(lost.id, lost.epoch);
    if (!sequence) return;
    if (lost.blamed) {
      if (auto end = poison_.blame(*sequence, lost, sequences_, *holders_, request_.request_id))
        return fail(end->error, end->outcome);
    }
    follow(*sequence, sequence->lose_lane(lost.epoch, lost.lane));
  }

  void on_kind_refused(const KindRefused& refused) {
    RequestSequence* sequence = find(refused.id, refused.epoch);
    if (!sequence) return;
    if (auto end = poison_.refuse_trial(*sequence, sequences_, *holders_))
      return fail(end->error, end->outcome);
    // The refusals have ended in the meantime.
    follow(*sequence, sequence->lose_trial(refused.epoch));
  }

  /// A request that was let in stays in: it registers again, and what has not been seen to run is
  /// offered to the queue anew, for it may have been lost on the way there. One that had not been
  /// let in yet asks again.
  ///   accepted  as the lease says
  void on_admission_lost(bool accepted) {
    if (!accepted && !entered_) {
      if (holders_->submissions() > front_->options.resumptions_max) {
        fail(errors::backend_lost());
        return;
      }
      for (RequestSequence& sequence : sequences_)
        sequence.renew(trace::Why::holder_lost);
      submit();
      return;
    }
    holders_->register_again(sequences_.front().epoch());
    for (RequestSequence& sequence : sequences_)
      if (sequence.is_on_its_way()) holders_->take_back(sequence, trace::Why::holder_lost);
  }

  void on_sequence_failed(const SequenceFailed& failed) {
    RequestSequence* sequence = find(failed.id, failed.epoch);
    if (!sequence) return;
    switch (failed.error.code) {
      case ErrorCode::deadline_exceeded:
        on_deadline();
        return;
      case ErrorCode::unavailable:
        fail(errors::backend_lost(failed.error.message));
        return;
      case ErrorCode::resource_exhausted:  // less room than was granted; another lane may have more
        retry(*sequence,
              failed.error,
              errors::overloaded(std::chrono::seconds(1), failed.error.message));
        return;
      case ErrorCode::data_loss:  // its numbers were not finite; another lane may compute right
        retry(*sequence, failed.error, errors::internal_error(request_.request_id));
        return;
      default:
        spdlog::error("session {}: {}", request_.request_id, failed.error.message);
        fail(errors::internal_error(request_.request_id));
        return;
    }
  }

  /// A sequence that failed by itself runs again, elsewhere if it can, as long as it has attempts
  /// left; otherwise the request ends with `otherwise`.
  void retry(RequestSequence& sequence, const Error& why, const ApiError& otherwise) {
    end_retry(sequence);
    if (sequence.fail(front_->clock->now(), why.message))
      try_again(sequence);
    else
      give_up(sequence, otherwise);
  }

  /// Retries of all requests share a small budget. Whoever finds it spent waits for a while: the
  /// client notices a pause, where an error would only make it send everything anew.
  void try_again(RequestSequence& sequence) {
    std::uint32_t running = front_->running;
    auto wake = [self = caf::actor_cast<caf::weak_actor_ptr>(this),
                 again = TryAgain{sequence.id(), sequence.epoch()}] {
      if (auto session = caf::actor_cast<caf::actor>(self)) caf::anon_send(session, again);
    };
    move(sequence, SessionMeter::Place::nowhere);
    std::uint32_t active = front_->retries.begin(sequence.id(), running, std::move(wake));
    if (active == 0) {
      bool begins_to_wait = sequence.wait_for_retry();
      TimePoint end = sequence.failed_at() + front_->options.retry_patience;
      Duration left = end - front_->clock->now();
      if (left <= Duration::zero())
        give_up(sequence,
                errors::overloaded(std::chrono::seconds(1),
                                   "Too many requests that failed are being tried again."));
      else if (begins_to_wait)
        delayed_send(this, left, TryAgain{sequence.id(), sequence.epoch()});
      return;
    }
    sequence.retry();
    trace::Offered again = holders_->offered(sequence);
    again.attempt = sequence.retries();
    again.retries_active = active;
    again.running = running;
    holders_->offer(sequence, again);
  }

  void give_up(const RequestSequence& sequence, const ApiError& error) {
    spdlog::error("session {}: sequence {} failed and is not tried again: {}",
                  request_.request_id,
                  sequence.id().value,
                  sequence.failure());
    fail(error);
  }

  void on_try_again(const TryAgain& again) {
    if (RequestSequence* sequence = find(again.id, again.epoch)) try_again(*sequence);
  }

  void end_retry(RequestSequence& sequence) {
    if (sequence.end_retry()) front_->retries.end(sequence.id(), front_->running);
  }

  // --- what the client gets ---------------------------------------------------------------------

  /// Prompts count once each, as they were reserved: also those that no worker has seen.
  [[nodiscard]] std::uint64_t used_tokens() const {
    return usage_.prompt_tokens + usage_.completion_tokens;
  }

  [[nodiscard]] bool all_finished() const {
    return std::all_of(sequences_.begin(), sequences_.end(), [](const RequestSequence& sequence) {
      return sequence.finished();
    });
  }

  /// That compute the answer; 0: nothing has come yet.
  [[nodiscard]] std::uint64_t weights() const {
    return sequences_.empty() ? 0 : sequences_.front().weights();
  }

  /// Who computes the answer; without a token, whoever would have.
  void name_author() {
    answer_->head(model_->name,
                  fingerprint_text(weights() != 0 ? weights() : model_->weights.last()));
  }

  void complete(trace::Outcome outcome = trace::Outcome::completed) {
    if (usage_.degraded) meter_.lessened(*usage_.degraded);
    if (outcome == trace::Outcome::completed)
      meter_.complete();
    else
      meter_.finish({200, EndReason::deadline});
    settle();  // the answer says what its tenant may use now
    answer_->done(usage_);
    outcome_ = outcome;
    if (outcome == trace::Outcome::completed) front_->counters.completed += 1;
    quit();
  }

  void on_deadline() {
    front_->counters.deadline += 1;
    if (request_.partial_ok && !request_.stream && entered_) {
      if (weights() == 0) name_author();
      for (RequestSequence& sequence : sequences_) {
        if (sequence.finished()) continue;
        sequence.cut("deadline", delta_);
        holders_->drop(sequence);
        answer_->delta(delta_, usage_, all_finished());
      }
      complete(trace::Outcome::deadline);
      return;
    }
    fail(errors::deadline_exceeded(
             entered_ ? "generation" : "queue", deadline_ - arrival_, request_.client_deadline),
         trace::Outcome::deadline);
  }

  void on_client_gone() {
    answer_->abandon();
    meter_.finish({kClientGone, EndReason::cancelled});
    outcome_ = trace::Outcome::cancelled;
    front_->counters.cancelled += 1;
    quit();
  }

  /// Admission says no, which it does only to a request that it has never let in.
  void on_refused(const Decision& decision) {
    refused_ = true;
    fail(errors::refused(decision), trace::Outcome::shed);
  }

  void fail(const ApiError& error, trace::Outcome outcome = trace::Outcome::error) {
    outcome_ = outcome;
    tell_error(error);
    front_->counters.failed += 1;
    quit();
  }

  void tell_error(const ApiError& error) {
    meter_.finish(RequestEnd::of(error));
    answer_->error(error);
  }

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  GenerationRequest request_;  ///< without its prompts, once they are tokens
  std::shared_ptr<const Tenant> tenant_;
  std::optional<GenerationPlan> plan_;  ///< until the sequences have it
  std::shared_ptr<BodyShare> memory_;   ///< of the prompts, as text or as tokens
  std::unique_ptr<AnswerWriter> answer_;
  Dependency::Ptr dependency_;  ///< null: it waits for nobody, and nobody for it
  bool is_dependent_ = false;   ///< waits for others, before it asks to be let in
  TimePoint arrival_;
  TimePoint deadline_;
  RequestNumber number_;
  std::vector<RequestSequence> sequences_;
  Usage usage_;
  ChoiceDelta delta_;                               ///< of the output at hand
  trace::Outcome outcome_ = trace::Outcome::error;  ///< until it is known better
  bool refused_ = false;                            ///< never accepted
  bool entered_ = false;                            ///< some sequence has been seen to run
  bool is_settled_ = false;
  SessionMeter meter_;
  PoisonCase poison_;
  std::optional<SequenceHolders> holders_;  ///< once there are sequences
};

}  // namespace

void spawn_session(caf::actor_system& system,
                   std::shared_ptr<Front> front,
                   std::shared_ptr<ServedModel> model,
                   SessionStart start,
                   std::unique_ptr<AnswerWriter> answer) {
  system.spawn<Session>(std::move(front), std::move(model), std::move(start), std::move(answer));
}

}  // namespace sluice
