#include "actors/session.h"

#include "actors/degrade.h"
#include "actors/hand_over.h"
#include "actors/lane_messages.h"
#include "actors/request_messages.h"
#include "actors/session_meter.h"
#include "actors/stream_credit.h"
#include "actors/work_messages.h"
#include "admission/poison.h"
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

/// One choice on its way through the front.
struct SequenceState {
  SequenceId id;
  Epoch epoch = 0;
  std::shared_ptr<Fence> fence;  ///< follows `epoch`; closed when the sequence is over
  std::shared_ptr<const Plan> plan;
  Choice choice;
  std::optional<LaneId> lane = {};  ///< none: queue or batcher hold it
  bool resumed =
      false;  ///< it has had its turn: a lane was lost or did not take it, or it gave way
  std::uint32_t resumptions = 0;
  std::uint32_t preempted = 0;       ///< times that it gave way
  std::uint32_t granted = kNoLimit;  ///< results its reader has room for; see StreamCredit
  std::uint32_t told = kNoLimit;     ///< as its holder knows it
  Suspicion suspicion = {};
  /// Workers whose ends were charged to their lanes, and of which it is suspected.
  std::vector<std::pair<LaneId, std::uint64_t>> blamed_on = {};
  std::uint32_t retries = 0;         ///< attempts after failures of its own
  bool retrying = false;             ///< holds a place in the front's budget of retries, or waits
  bool waits = false;                ///< for such a place: nobody holds it
  bool parked = false;               ///< has left its lane until it is granted more: likewise
  TimePoint failed_at = {};          ///< last, by itself
  std::string failure = {};          ///< why
  std::optional<LaneId> avoid = {};  ///< where it failed last
  SessionMeter::OfChoice measured = {};
};

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
               tenant_ ? tenant_->figures.get() : nullptr) {
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

  /// However the session ends: the client has its answer, holders let go, reservations return. The
  /// fences come first: who holds or passes on our work while we go through the rest sees them.
  void on_exit() override {
    for (SequenceState& sequence : sequences_)
      sequence.fence->close();
    YIELD_POINT("session.closed");
    if (submissions_ > 0) {
      // In this order: admission, if it takes the claim only now, sees that the lease is gone.
      front_->admission.leases->remove(lease());
      front_->record(trace::Settled{number_, used_tokens()});
      front_->quotas->settle(number_, used_tokens());
    }
    if (!answer_->ended()) tell_error(errors::internal_error(request_.request_id));
    for (SequenceState& sequence : sequences_) {
      YIELD_POINT("session.drop");
      end_retry(sequence);
      if (!sequence.choice.finished()) {
        drop(sequence, sequence.epoch);
      } else if (outcome_ == trace::Outcome::completed) {
        front_->lengths.add(kind(), static_cast<std::uint32_t>(emitted_by(sequence)));
      }
    }
    if (outcome_ == trace::Outcome::completed) {
      tell_kinds_passed();
    } else if (tries_kind_) {
      for (PoisonKinds::Kind kind : kinds_)
        model_->kinds.left(kind, front_->clock->now());
    }
    if (weights_ != 0) model_->weights.release(weights_);
    if (submissions_ > 0) {
      if (!refused_) front_->record(trace::Ended{number_, outcome_});
      YIELD_POINT("session.ended");
      front_->tell(front_->admission.role, Ended{number_});
    }
    if (is_dependent_) front_->counters.dependent -= 1;
    if (dependency_) dependency_->end(outcome_ == trace::Outcome::completed);
    for (SequenceState& sequence : sequences_)
      meter_.move(sequence.measured, SessionMeter::Place::nowhere);
    front_->counters.sessions -= 1;
    answer_.reset();
    sequences_.clear();
    memory_.reset();
  }

 private:
  // --- the beginning
  // -------------------------------------------------------------------------------------------------

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
      tell_error(errors::overloaded(1, "The prompts of other requests fill the memory there is."));
      return false;
    }
    if (is_refused_as_lesser(plan)) return false;
    if (plan.trimmed || plan.localized || request_.degradation.cheaper) {
      usage_.degraded = request_.degradation;
      usage_.degraded->trims = plan.trimmed;
      usage_.degraded->localizes = plan.localized;
      answer_->degraded(*usage_.degraded);
    }
    if (is_refused_as_poison(plan)) {
      front_->counters.poisoned += 1;
      tell_error(errors::poison_request());
      return false;
    }
    if (!asks_for_its_kinds(plan)) return false;
    std::uint64_t first = front_->next_sequence.fetch_add(plan.plans.size());
    number_ = RequestNumber{first};
    usage_.prompt_tokens = plan.prompt_tokens;
    deadline_ = arrival_ + request_.timeout.value_or(front_->options.request_timeout);
    demand_ = {number_,
               static_cast<std::uint32_t>(plan.plans.size()),
               plan.total_tokens_max,
               deadline_,
               request_.priority_class};
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
      sequences_.push_back(
          {.id = SequenceId{first + i},
           .fence = std::make_shared<Fence>(),
           .plan = plan.plans[i],
           .choice = Choice(std::move(options), plan.plans[i], model_->card.tokenizer)});
      if (tries_kind_) sequences_.back().suspicion.presume(arrival_);
    }
    // The exchange holds the session weakly: a client that stays must not keep a session that
    // ended.
    auto self = caf::actor_cast<caf::weak_actor_ptr>(this);
    answer_->on_gone([self] {
      if (auto session = caf::actor_cast<caf::actor>(self)) caf::anon_send(session, ClientGone{});
    });
    if (request_.stream) {
      credit_.emplace(front_->options.stream_buffer, sequences_.size(), request_.logprobs);
      for (SequenceState& sequence : sequences_)
        sequence.granted = credit_->next(reported(sequence), 0);
      answer_->on_writable([self] {
        if (auto session = caf::actor_cast<caf::actor>(self))
          caf::anon_send(session, ClientWritable{});
      });
    }
    meter_.begin(sequences_.size(), plan.plans.front()->max_tokens, plan.prompt_tokens);
    if (dependency_) return wait_for_others();
    submit();
    return true;
  }

  // --- requests that wait for others
  // ---------------------------------------------------------------------------------

  /// False: the request was answered already.
  bool wait_for_others() {
    Duration cost{};
    for (const SequenceState& sequence : sequences_)
      cost += model_->waits.cost(sequence.plan->prompt.size(),
                                 front_->lengths.expected(kind(), sequence.plan->max_tokens));
    dependency_->set_cost(cost);
    // Nobody else counts those that wait here.
    auto most = static_cast<std::int64_t>(front_->options.admission.queue_capacity);
    if (front_->counters.dependent.fetch_add(1) >= most) {
      front_->counters.dependent -= 1;
      tell_error(errors::overloaded(1, "Too many requests wait for others."));
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
    for (const SequenceState& sequence : sequences_)
      if (!sequence.choice.finished() && !sequence.lane)
        front_->tell(model_->queue.role, Rank{sequence.id, behind});
  }

  /// Its answer would be less than what it asks for, and it wants none then.
  bool is_refused_as_lesser(const GenerationPlan& plan) {
    if (request_.allow_degraded || (!plan.trimmed && !plan.localized)) return false;
    Decision decision = DegradationEffects::refuse_lesser(
        request_.degradation,
        plan.localized ? "long prompts are seen through a window" : "answers are trimmed");
    ApiError error = errors::refused(decision);
    front_->decided({.at = front_->clock->now(),
                     .request_id = request_.request_id,
                     .tenant = tenant_,
                     .priority_class = request_.priority_class,
                     .model = asked_model(*front_, request_, *model_),
                     .decision = std::move(decision)});
    tell_error(error);
    return true;
  }

  [[nodiscard]] bool is_refused_as_poison(const GenerationPlan& plan) const {
    if (front_->poison.empty()) return false;
    return std::any_of(plan.plans.begin(), plan.plans.end(), [this](const auto& one) {
      return front_->poison.refuses(fingerprint(*one), arrival_);
    });
  }

  /// False: requests like it end workers, and it was refused for that. Its prompts may be of
  /// several kinds.
  bool asks_for_its_kinds(const GenerationPlan& plan) {
    for (const auto& one : plan.plans) {
      PoisonKinds::Kind kind = kind_of(*one);
      if (std::find(kinds_.begin(), kinds_.end(), kind) != kinds_.end()) continue;
      PoisonKinds::Answer answer = model_->kinds.ask(kind, arrival_);
      if (answer.verdict == PoisonKinds::Verdict::refused && !tries_kind_) {
        front_->counters.poisoned += 1;
        tell_error(
            errors::poison_kind(PoisonKinds::describe(answer.cause, kind.shape), answer.wait));
        return false;
      }
      tries_kind_ = tries_kind_ || answer.verdict == PoisonKinds::Verdict::trial;
      kinds_.push_back(kind);
    }
    return true;
  }

  [[nodiscard]] PoisonKinds::Kind kind_of(const Plan& plan) const {
    return {tenant_ ? tenant_->number : UINT32_MAX,
            PoisonKinds::shape_of(plan),
            !tenant_ || tenant_->policy.is_of_anybody()};
  }

  /// Of several prompts one may be harmless and the next one poison.
  [[nodiscard]] bool are_all_cleared() const {
    return std::none_of(sequences_.begin(), sequences_.end(), [](const SequenceState& sequence) {
      return !sequence.choice.finished() && sequence.suspicion.on_trial(emitted_by(sequence));
    });
  }

  /// It has ended well, or has got through its trial.
  void tell_kinds_passed() {
    bool tried = std::exchange(tries_kind_, false);
    for (PoisonKinds::Kind kind : kinds_)
      model_->kinds.passed(kind, front_->clock->now(), tried);
  }

  /// Offers the whole request to admission, which holds one lease for it, named like its first
  /// sequence.
  void submit() {
    trace::Why why = submissions_ > 0 ? trace::Why::holder_lost : trace::Why::first;
    submissions_ += 1;
    Submit submit{demand_,
                  claim(),
                  model_->name,
                  {},
                  request_.request_id,
                  asked_model(*front_, request_, *model_),
                  usage_.degraded.value_or(Degradation{})};
    for (SequenceState& sequence : sequences_) {
      if (sequence.choice.finished()) continue;
      Epoch replaces = why == trace::Why::first ? 0 : sequence.epoch - 1;
      front_->record(trace::Offered{number_, sequence.id, sequence.epoch, why, replaces});
      if (tries_kind_ && why == trace::Why::first)
        front_->record(trace::Presumed{sequence.id, sequence.suspicion.trial_until()});
      record_grant(sequence);
      meter_.move(sequence.measured, SessionMeter::Place::waiting);
      submit.works.push_back(work(sequence));
    }
    std::vector<Work> lease_only(1);
    lease_only[0].id = lease();
    lease_only[0].epoch = submit.works.front().epoch;
    lease_only[0].session = caf::actor_cast<caf::actor>(this);
    hand_over(front_->tree->registry(),
              front_->admission,
              std::move(lease_only),
              [&submit](const std::vector<Work>&) { return submit; });
  }

  /// A prompt counts once, however many choices it has: it is computed once.
  [[nodiscard]] Quotas::Claim claim() const {
    Quotas::Claim claim{number_, tenant_, request_.priority_class, usage_.prompt_tokens};
    for (const SequenceState& sequence : sequences_)
      claim.tokens += sequence.plan->max_tokens;
    return claim;
  }

  [[nodiscard]] OutputLengths::Kind kind() const {
    return {tenant_ ? tenant_->number : UINT32_MAX, model_->name, request_.fills_context};
  }

  [[nodiscard]] SequenceId lease() const { return SequenceId{number_.value}; }

  [[nodiscard]] Work work(SequenceState& sequence) {
    Work work;
    work.granted = sequence.told = sequence.granted;
    work.id = sequence.id;
    work.epoch = sequence.epoch;
    work.fence = sequence.fence;
    work.session = caf::actor_cast<caf::actor>(this);
    work.plan = sequence.plan;
    if (!sequence.choice.emitted().empty()) {
      work.emitted = std::make_shared<const std::vector<TokenId>>(sequence.choice.emitted());
    }
    work.prompt_logprobs_from = sequence.choice.prompt_logprobs_known();
    work.weights = weights_;
    work.resumed = sequence.resumed;
    work.avoid = sequence.avoid;
    if (sequence.suspicion.on_trial(emitted_by(sequence))) {
      work.suspicion = sequence.suspicion.count();
      work.trial_until = sequence.suspicion.trial_until();
      work.cohort_max = sequence.suspicion.cohort_max();
    }
    work.kind = kind_of(*sequence.plan);
    work.tries_kind = tries_kind_;
    work.class_index = static_cast<std::uint8_t>(request_.priority_class);
    work.priority = request_.priority;
    work.arrival = arrival_;
    if (dependency_) work.behind = dependency_->behind();
    work.deadline = deadline_;
    if (tenant_) {
      work.tenant = tenant_->number;
      work.tenant_weight = tenant_->policy.weight;
      work.core = tenant_->policy.core;
    }
    work.preempted = sequence.preempted;
    work.may_be_shed =
        sequences_.size() == 1 && !request_.partial_ok && !sequence.resumed && !work.emitted;
    work.expected = front_->lengths.expected(kind(), sequence.plan->max_tokens);
    return work;
  }

  // --- what the holders say
  // ------------------------------------------------------------------------------------------

  SequenceState* find(SequenceId id) {
    std::uint64_t index = id.value - number_.value;
    return index < sequences_.size() ? &sequences_[index] : nullptr;
  }

  void on_running(const Running& running) {
    SequenceState* sequence = find(running.id);
    if (!sequence || sequence->choice.finished() || running.epoch != sequence->epoch) {
      drop_on(running.lane, running.id, running.epoch);
      return;
    }
    sequence->lane = running.lane;
    meter_.move(sequence->measured, SessionMeter::Place::running);
    entered_ = true;
    tell_grant(*sequence);
    watch_pause(*sequence);
  }

  void on_tokens(const TokensArrived& arrived) {
    FAULT_POINT("session.tokens");
    const SequenceOutput& output = arrived.output;
    SequenceState* sequence = find(output.id);
    if (!sequence || sequence->choice.finished()) return;
    if (output.epoch != sequence->epoch) {
      // An old holder that has not heard it yet. What it sends changes nothing.
      drop_on(arrived.lane, output.id, output.epoch);
      return;
    }
    if (weights_ != 0 && arrived.weights != weights_) {
      begin_elsewhere(*sequence, arrived);
      return;
    }
    bool has_delta = false;
    switch (sequence->choice.accept(output, delta_, has_delta)) {
      case Choice::Verdict::duplicate:
        if (output.finish != Finish::none) on_wrong_index(*sequence, arrived);
        return;
      case Choice::Verdict::gap:
        on_wrong_index(*sequence, arrived);
        return;
      case Choice::Verdict::accepted:
        break;
    }
    if (weights_ == 0) bind(arrived.weights);
    // Tokens behind a stop string are not taken and do not count.
    const std::vector<TokenId>& emitted = sequence->choice.emitted();
    if (usage_.completion_tokens == 0 && !emitted.empty()) note_first_token();
    usage_.completion_tokens += emitted.size() - output.first_index;
    meter_.take(sequence->measured, emitted.size() - output.first_index);
    if (front_->trace) {
      front_->record(trace::Emitted{
          sequence->id,
          output.epoch,
          output.first_index,
          {emitted.begin() + static_cast<std::ptrdiff_t>(output.first_index), emitted.end()},
          sequence->choice.finished()});
    }
    if (tries_kind_ && are_all_cleared()) tell_kinds_passed();
    end_retry(*sequence);
    if (sequence->choice.finished()) {
      sequence->fence->close();
      meter_.move(sequence->measured, SessionMeter::Place::nowhere);
      if (has_delta && delta_.finish_reason == "length") meter_.reach_length();
    }
    if (sequence->choice.ended_early()) drop(*sequence, sequence->epoch);
    if (has_delta) answer_->delta(delta_, usage_, all_finished());
    if (all_finished()) {
      complete();
    } else {
      grant_more(*sequence);
      if (is_paused(*sequence)) meter_.paused();
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

  // --- how far it may run ahead of its reader
  // ----------------------------------------------------------------------

  static std::uint32_t reported(const SequenceState& sequence) {
    auto prompt =
        sequence.plan->prompt_logprobs ? std::max(1U, sequence.choice.prompt_logprobs_known()) : 0U;
    return prompt + emitted_by(sequence);
  }

  /// As long as the client reads, its sequences may go on; whoever is not granted more pauses.
  void grant_more(SequenceState& sequence) {
    if (!credit_ || sequence.choice.finished() || !answer_->keeps_up()) return;
    std::uint32_t granted = credit_->next(reported(sequence), sequence.granted);
    if (granted == sequence.granted) return;
    sequence.granted = granted;
    record_grant(sequence);
    tell_grant(sequence);
    if (std::exchange(sequence.parked, false))
      offer_again(sequence, {number_, sequence.id, 0, trace::Why::reader_back});
  }

  /// It has given what it was granted.
  [[nodiscard]] bool is_paused(const SequenceState& sequence) const {
    return credit_ && !sequence.choice.finished() && reported(sequence) >= sequence.granted;
  }

  /// Its place on the lane is not for ever.
  void watch_pause(const SequenceState& sequence) {
    if (!is_paused(sequence)) return;
    delayed_send(this,
                 front_->options.pause_patience,
                 StillPaused{sequence.id, sequence.epoch, sequence.granted});
  }

  /// Its reader has not come back. If somebody waits for its place it goes, and is offered again
  /// when there is something to do: else a few readers who read nothing would hold a whole model.
  void on_still_paused(const StillPaused& paused) {
    SequenceState* sequence = find(paused.id);
    if (!sequence || sequence->choice.finished() || !sequence->lane ||
        paused.epoch != sequence->epoch || paused.granted != sequence->granted)
      return;
    if (!model_->is_waited_for()) {
      watch_pause(*sequence);
      return;
    }
    drop_on(*sequence->lane, sequence->id, sequence->epoch);
    sequence->fence->advance(++sequence->epoch);
    sequence->lane.reset();
    meter_.move(sequence->measured, SessionMeter::Place::nowhere);
    sequence->resumed = sequence->parked = true;
  }

  /// While nobody runs it the grant waits for whoever will.
  void tell_grant(SequenceState& sequence) {
    if (!sequence.lane || sequence.told == sequence.granted) return;
    sequence.told = sequence.granted;
    tell_executor(*sequence.lane, Grant{sequence.id, sequence.epoch, sequence.granted});
  }

  void record_grant(const SequenceState& sequence) const {
    if (!credit_) return;
    auto prompt = sequence.plan->prompt_logprobs
                      ? static_cast<std::uint32_t>(sequence.plan->prompt.size())
                      : 0U;
    std::uint32_t tokens = sequence.granted - std::min(sequence.granted, prompt);
    front_->record(trace::Granted{sequence.id, sequence.epoch, tokens});
  }

  void on_client_writable() {
    answer_->flush();
    for (SequenceState& sequence : sequences_)
      grant_more(sequence);
  }

  /// From here on the whole answer comes from these weights.
  void bind(std::uint64_t weights) {
    weights_ = weights;
    model_->weights.bind(weights);
    name_author();
  }

  /// The choices of a request began at the same time on lanes with different weights, and another
  /// one was the first to get tokens.
  void begin_elsewhere(SequenceState& sequence, const TokensArrived& arrived) {
    drop_on(arrived.lane, sequence.id, sequence.epoch);
    sequence.lane = arrived.lane;
    resume(sequence, trace::Why::lane_lost, sequence.epoch);
  }

  /// Tokens are missing, or the end of the sequence comes with tokens that are known already: no
  /// sound worker sends that.
  void on_wrong_index(SequenceState& sequence, const TokensArrived& arrived) {
    spdlog::error(
        "session {}: lane {} sent token {} of sequence {}, {} are known; its worker is restarted",
        request_.request_id,
        arrived.lane.value,
        arrived.output.first_index,
        sequence.id.value,
        sequence.choice.emitted().size());
    tell_executor(arrived.lane, RestartWorker{arrived.worker});
    // With its last frame a sequence leaves the lane: nobody else would tell of the loss.
    if (arrived.output.finish == Finish::none) return;
    sequence.lane = arrived.lane;
    resume(sequence, trace::Why::lane_lost, sequence.epoch);
  }

  void on_holder_lost(const HolderLost& lost) {
    if (lost.role == front_->admission.role) {
      on_admission_lost(lost.accepted);
      return;
    }
    SequenceState* sequence = find(lost.id);
    if (!sequence || sequence->choice.finished() || lost.epoch != sequence->epoch) return;
    // While a lane runs it, only that lane's loss counts.
    if (sequence->lane && lost.role != front_->executors.at(*sequence->lane).role) return;
    // Its queue has given it to a lane, and charged its tenant. That is not to be paid twice.
    if (lost.role != model_->queue.role) sequence->resumed = true;
    resume(*sequence, sequence->lane ? trace::Why::lane_lost : trace::Why::holder_lost, lost.epoch);
  }

  ///   lost  the epoch under which nobody holds it any more
  void resume(SequenceState& sequence, trace::Why why, Epoch lost) {
    if (++sequence.resumptions > front_->options.resumptions_max) {
      fail(errors::backend_lost());
    } else {
      offer_again(sequence, {number_, sequence.id, 0, why, lost});
    }
  }

  /// More urgent work has its place now. Nothing was lost, so it counts as no resumption.
  void on_preempted(const Preempted& preempted) {
    SequenceState* sequence = find(preempted.id);
    if (!sequence || sequence->choice.finished() || preempted.epoch != sequence->epoch) return;
    sequence->lane = preempted.lane;  // `Running` may still be on its way
    sequence->preempted += 1;
    offer_again(*sequence, {number_, sequence->id, 0, trace::Why::preempted, preempted.epoch});
  }

  void on_shed(const Shed& shed) {
    SequenceState* sequence = find(shed.id);
    if (!sequence || sequence->choice.finished() || shed.epoch != sequence->epoch) return;
    fail(errors::shed_after_accept(shed.why), trace::Outcome::shed);
  }

  /// The worker that ran the sequence is gone. If it ended from inside, the sequence may be why.
  void on_lane_lost(const LaneLost& lost) {
    SequenceState* sequence = find(lost.id);
    if (!sequence || sequence->choice.finished() || lost.epoch != sequence->epoch) return;
    sequence->lane = lost.lane;  // `Running` may still be on its way
    if (lost.blamed) {
      if (blame(*sequence, lost)) return convict(*sequence);
      if (refuse_for_its_kind(*sequence)) return;
    }
    resume(*sequence, trace::Why::lane_lost, lost.epoch);
  }

  /// True: it is guilty. Choices of one prompt are equal to a worker, so they are suspected
  /// together: else each of them would have to end as many workers as the first.
  bool blame(SequenceState& sequence, const LaneLost& lost) {
    bool guilty = sequence.suspicion.blame(
        front_->clock->now(), emitted_by(sequence), lost.together, lost.alone);
    record_suspicion(sequence, sequence.id, lost.alone);
    if (guilty) return true;
    sequence.blamed_on.emplace_back(lost.lane, lost.worker);
    for (SequenceState* equal : equals_of(sequence)) {
      if (equal == &sequence) continue;
      equal->suspicion.follow(sequence.suspicion, emitted_by(*equal));
      record_suspicion(*equal, sequence.id, lost.alone);
      // Whoever holds or runs it does not know that it is on trial now.
      if (equal->waits || equal->parked) continue;
      drop(*equal, equal->epoch);
      offer_again(*equal, {number_, equal->id, 0, trace::Why::lane_lost, equal->epoch});
    }
    return false;
  }

  void on_kind_refused(const KindRefused& refused) {
    SequenceState* sequence = find(refused.id);
    if (!sequence || sequence->choice.finished() || refused.epoch != sequence->epoch) return;
    // The refusals may have ended in the meantime.
    if (!refuse_for_its_kind(*sequence)) resume(*sequence, trace::Why::holder_lost, refused.epoch);
  }

  /// A suspect like which others were convicted is not tried: its trial would probably cost a
  /// worker. True: it has ended.
  bool refuse_for_its_kind(const SequenceState& suspect) {
    if (tries_kind_) return false;
    PoisonKinds::Kind kind = kind_of(*suspect.plan);
    PoisonKinds::Answer answer = model_->kinds.look(kind, front_->clock->now());
    if (answer.verdict == PoisonKinds::Verdict::free) return false;
    for (const SequenceState& sequence : sequences_) {
      for (const auto& [lane, worker] : sequence.blamed_on)
        front_->record(trace::Forgiven{lane, worker});
      forgive_lanes(sequence);
    }
    front_->counters.poisoned += 1;
    fail(errors::poison_kind(PoisonKinds::describe(answer.cause, kind.shape), answer.wait));
    return true;
  }

  /// The lanes are not charged for what they could not help.
  void forgive_lanes(const SequenceState& sequence) {
    for (const auto& [lane, worker] : sequence.blamed_on)
      tell_executor(lane, Forgive{worker});
  }

  /// Itself, and the choices that go on and ask a worker for the same.
  std::vector<SequenceState*> equals_of(const SequenceState& sequence) {
    std::vector<SequenceState*> equals;
    std::uint64_t print = fingerprint(*sequence.plan);
    for (SequenceState& other : sequences_)
      if (!other.choice.finished() && fingerprint(*other.plan) == print) equals.push_back(&other);
    return equals;
  }

  static std::uint32_t emitted_by(const SequenceState& sequence) {
    return static_cast<std::uint32_t>(sequence.choice.emitted().size());
  }

  void record_suspicion(const SequenceState& sequence, SequenceId culprit, bool alone) const {
    front_->record(trace::Suspected{
        sequence.id, culprit, sequence.suspicion.count(), alone, sequence.suspicion.trial_until()});
  }

  /// The request has ended worker after worker, the last one alone: it ends, equal ones are refused
  /// for a while, and the lanes are not charged for what they could not help.
  void convict(SequenceState& sequence) {
    std::uint64_t print = fingerprint(*sequence.plan);
    spdlog::error(
        "session {}: sequence {} has ended {} of our workers, the last alone; it is refused as "
        "poison",
        request_.request_id,
        sequence.id.value,
        sequence.blamed_on.size() + 1);
    front_->poison.convict(print, front_->clock->now());
    front_->record(trace::Convicted{sequence.id, print});
    for (const SequenceState* equal : equals_of(sequence))
      forgive_lanes(*equal);
    front_->blame_kind(*model_, kind_of(*sequence.plan), std::exchange(tries_kind_, false));
    front_->counters.poisoned += 1;
    fail(errors::poison_request(), trace::Outcome::poison);
  }

  /// Names what a plan asks a worker to do, without the seed, which a client need not give.
  [[nodiscard]] std::uint64_t fingerprint(const Plan& plan) const {
    return plan_fingerprint(model_->name, plan);
  }

  /// Gives the sequence out anew under the next epoch.
  void offer_again(SequenceState& sequence, trace::Offered offered) {
    sequence.fence->advance(++sequence.epoch);
    sequence.resumed = sequence.resumed || sequence.lane.has_value();
    sequence.lane.reset();
    front_->counters.resumed += 1;
    meter_.offered_again(static_cast<std::size_t>(offered.why));
    meter_.move(sequence.measured, SessionMeter::Place::waiting);
    offered.epoch = sequence.epoch;
    front_->record(offered);
    hand_over(front_->tree->registry(),
              model_->queue,
              {work(sequence)},
              [](const std::vector<Work>& works) { return Enqueue{works.front()}; });
  }

  /// A request that was let in stays in: it registers again, and what has not been seen to run is
  /// offered to the queue anew, for it may have been lost on the way there. One that had not been
  /// let in yet asks again.
  ///   accepted  as the lease says
  void on_admission_lost(bool accepted) {
    if (!accepted && !entered_) {
      if (submissions_ > front_->options.resumptions_max) {
        fail(errors::backend_lost());
        return;
      }
      for (SequenceState& sequence : sequences_)
        sequence.fence->advance(++sequence.epoch);
      submit();
      return;
    }
    // If admission is gone for good, there is nobody to register with.
    static_cast<void>(front_->admission.leases->add(
        {lease(), sequences_.front().epoch, caf::actor_cast<caf::actor>(this), true}));
    front_->tell(front_->admission.role, Register{demand_, caf::actor_cast<caf::actor>(this)});
    for (SequenceState& sequence : sequences_) {
      if (sequence.choice.finished() || sequence.lane || sequence.retrying || sequence.parked)
        continue;
      drop(sequence, sequence.epoch);
      offer_again(sequence, {number_, sequence.id, 0, trace::Why::holder_lost, sequence.epoch});
    }
  }

  void on_sequence_failed(const SequenceFailed& failed) {
    SequenceState* sequence = find(failed.id);
    if (!sequence || sequence->choice.finished() || failed.epoch != sequence->epoch) return;
    switch (failed.error.code) {
      case ErrorCode::deadline_exceeded:
        on_deadline();
        return;
      case ErrorCode::unavailable:
        fail(errors::backend_lost(failed.error.message));
        return;
      case ErrorCode::resource_exhausted:  // less room than was granted; another lane may have more
        retry(*sequence, failed.error, errors::overloaded(1, failed.error.message));
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
  void retry(SequenceState& sequence, const Error& why, const ApiError& otherwise) {
    end_retry(sequence);
    sequence.failed_at = front_->clock->now();
    sequence.failure = why.message;
    if (sequence.retries + 1 >= front_->retries.options().attempts) {
      give_up(sequence, otherwise);
      return;
    }
    sequence.avoid = sequence.lane;
    try_again(sequence);
  }

  /// Retries of all requests share a small budget. Whoever finds it spent waits for a while: the
  /// client notices a pause, where an error would only make it send everything anew.
  void try_again(SequenceState& sequence) {
    std::uint32_t running = front_->running;
    auto wake = [self = caf::actor_cast<caf::weak_actor_ptr>(this),
                 again = TryAgain{sequence.id, sequence.epoch}] {
      if (auto session = caf::actor_cast<caf::actor>(self)) caf::anon_send(session, again);
    };
    meter_.move(sequence.measured, SessionMeter::Place::nowhere);
    bool waited = std::exchange(sequence.retrying, true);
    std::uint32_t active = front_->retries.begin(sequence.id, running, std::move(wake));
    sequence.waits = active == 0;
    if (sequence.waits) {
      TimePoint end = sequence.failed_at + front_->options.retry_patience;
      Duration left = end - front_->clock->now();
      if (left <= Duration::zero())
        give_up(sequence,
                errors::overloaded(1, "Too many requests that failed are being tried again."));
      else if (!waited)
        delayed_send(this, left, TryAgain{sequence.id, sequence.epoch});
      return;
    }
    sequence.retries += 1;
    offer_again(sequence,
                {number_,
                 sequence.id,
                 0,
                 trace::Why::retry,
                 sequence.epoch,
                 sequence.retries,
                 active,
                 running});
  }

  void give_up(const SequenceState& sequence, const ApiError& error) {
    spdlog::error("session {}: sequence {} failed and is not tried again: {}",
                  request_.request_id,
                  sequence.id.value,
                  sequence.failure);
    fail(error);
  }

  void on_try_again(const TryAgain& again) {
    SequenceState* sequence = find(again.id);
    if (sequence && !sequence->choice.finished() && again.epoch == sequence->epoch)
      try_again(*sequence);
  }

  void end_retry(SequenceState& sequence) {
    if (std::exchange(sequence.retrying, false)) front_->retries.end(sequence.id, front_->running);
  }

  // --- what the client gets
  // ------------------------------------------------------------------------------------------

  /// Prompts count once each, as they were reserved: also those that no worker has seen.
  [[nodiscard]] std::uint64_t used_tokens() const {
    return usage_.prompt_tokens + usage_.completion_tokens;
  }

  [[nodiscard]] bool all_finished() const {
    return std::all_of(sequences_.begin(), sequences_.end(), [](const SequenceState& sequence) {
      return sequence.choice.finished();
    });
  }

  /// Who computes the answer; without a token, whoever would have.
  void name_author() {
    std::uint64_t weights = weights_ != 0 ? weights_ : model_->weights.last();
    answer_->head(model_->name, fingerprint_text(weights));
  }

  void complete(trace::Outcome outcome = trace::Outcome::completed) {
    if (usage_.degraded) meter_.lessened(*usage_.degraded);
    if (outcome == trace::Outcome::completed)
      meter_.complete();
    else
      meter_.finish({200, EndReason::deadline});
    answer_->done(usage_);
    outcome_ = outcome;
    if (outcome == trace::Outcome::completed) front_->counters.completed += 1;
    quit();
  }

  void on_deadline() {
    front_->counters.deadline += 1;
    if (request_.partial_ok && !request_.stream && entered_) {
      if (weights_ == 0) name_author();
      for (SequenceState& sequence : sequences_) {
        if (sequence.choice.finished()) continue;
        sequence.fence->close();
        drop(sequence, sequence.epoch);
        sequence.choice.cut("deadline", delta_);
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

  // --- letting go
  // ----------------------------------------------------------------------------------------------------

  template <class Message>
  void tell_executor(LaneId lane, Message message) {
    front_->tell(front_->executors.at(lane).role, std::move(message));
  }

  void drop_on(LaneId lane, SequenceId id, Epoch epoch) { tell_executor(lane, Drop{id, epoch}); }

  /// Tells whoever holds the sequence. While it waits that is the queue, or who the queue gave it
  /// to.
  void drop(const SequenceState& sequence, Epoch epoch) {
    if (submissions_ == 0) return;
    if (sequence.lane) {
      drop_on(*sequence.lane, sequence.id, epoch);
    } else {
      front_->tell(model_->queue.role, Drop{sequence.id, epoch});
    }
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
  AdmissionController::Demand demand_;
  std::vector<SequenceState> sequences_;
  std::optional<StreamCredit> credit_;  ///< of a stream
  Usage usage_;
  ChoiceDelta delta_;                               ///< of the output at hand
  trace::Outcome outcome_ = trace::Outcome::error;  ///< until it is known better
  std::uint32_t submissions_ = 0;
  bool refused_ = false;       ///< never accepted
  bool entered_ = false;       ///< some sequence has been seen to run
  std::uint64_t weights_ = 0;  ///< that have computed what there is; 0: nothing yet
  SessionMeter meter_;
  std::vector<PoisonKinds::Kind> kinds_;  ///< of its prompts
  bool tries_kind_ = false;               ///< it runs to show whether its kind still ends workers
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
