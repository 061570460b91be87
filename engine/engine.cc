#include "engine/engine.h"

#include "base/check.h"
#include "engine/block_pool.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

/// Good steps after which a device that was out of memory is trusted with twice the rows.
constexpr std::int32_t kStepsUntilMore = 16;

/// Rows of logits a step may have beside one for each sequence: what prompt log probabilities need.
constexpr std::int32_t kPromptLogitRows = 64;

Error invalid(std::string message) {
  return {ErrorCode::invalid_argument, std::move(message)};
}

Result<void> check_tokens(const std::vector<TokenId>& tokens,
                          const char* what,
                          std::int32_t vocabulary) {
  auto wrong = std::find_if(
      tokens.begin(), tokens.end(), [=](TokenId id) { return id < 0 || id >= vocabulary; });
  if (wrong == tokens.end()) return {};
  return invalid(std::string(what) + " token " + std::to_string(wrong - tokens.begin()) + " is " +
                 std::to_string(*wrong) + ", the vocabulary has " + std::to_string(vocabulary) +
                 " tokens");
}

Result<void> check_options(const Engine::Options& options) {
  struct Bound {
    const char* name;
    std::int32_t value;
    std::int32_t least;
  };
  const Bound bounds[] = {
      {"sequences_max", options.sequences_max, 1},
      // One row for every sequence, or the last in order might never run.
      {"step_rows_max", options.step_rows_max, options.sequences_max},
      {"prefill_chunk", options.prefill_chunk, 1},
      {"blocks", options.blocks, 1},
      {"logprobs_max", options.logprobs_max, 0},
  };
  for (const Bound& bound : bounds) {
    if (bound.value >= bound.least) continue;
    return invalid(std::string(bound.name) + " is " + std::to_string(bound.value) +
                   ", it must be at least " + std::to_string(bound.least));
  }
  return {};
}

}  // namespace

class Engine::Impl {
 public:
  Impl(std::unique_ptr<Model> model, Options options, std::int32_t logit_rows, const Clock& clock)
      : model_(std::move(model)),
        options_(options),
        clock_(clock),
        pool_(options.blocks),
        scheduler_({.step_rows_max = options.step_rows_max,
                    .prefill_chunk = options.prefill_chunk,
                    .logit_rows_max = logit_rows},
                   pool_),
        sampler_(model_->info().vocabulary) {}

  Result<void> add(StartSequence start);
  void grant(SequenceId id, Epoch epoch, std::uint32_t granted);
  void cancel(SequenceId id, Epoch epoch);
  Result<void> step(StepResult& result, const std::function<void(std::int32_t rows)>& launching);

  [[nodiscard]] bool idle() const { return sequences_.empty(); }
  [[nodiscard]] std::optional<TimePoint> rests_until() const;
  [[nodiscard]] EngineStats stats() const {
    return {.running = scheduler_.running(),
            .waiting = scheduler_.waiting(),
            .paused = scheduler_.paused(),
            .blocks_free = pool_.free(),
            .blocks_total = pool_.total(),
            .steps = steps_,
            .preemptions = preemptions_,
            .compute = model_->compute_stats()};
  }
  [[nodiscard]] const ModelInfo& model() const { return model_->info(); }
  [[nodiscard]] bool is_intact() const { return model_->is_intact(); }

 private:
  Result<void> check(const StartSequence& start) const;
  void drop(Sequence& sequence);
  void fail(Sequence& sequence, Error error, StepResult& result);
  void renew(StepResult& result);
  SequenceOutput make_output(const Sequence& sequence);
  void finish_complete(StepResult& result);
  void expire(StepResult& result);
  Result<std::span<float>> compute(const std::vector<Sequence*>& picked,
                                   const std::function<void(std::int32_t rows)>& launching);
  void relieve(const std::vector<Sequence*>& picked, const Error& why, StepResult& result);
  void build_batch(const std::vector<Sequence*>& picked);
  void read_logits(Sequence& sequence,
                   std::int32_t rows,
                   std::span<float>& logits,
                   StepResult& result);
  Result<void> report_prompt(Sequence& sequence,
                             std::span<const float> logits,
                             SequenceOutput& output);
  Result<void> generate(Sequence& sequence, std::span<float> logits, SequenceOutput& output);
  static Finish finish_of(const Sequence& sequence);

  std::unique_ptr<Model> model_;
  Options options_;
  const Clock& clock_;
  BlockPool pool_;
  Scheduler scheduler_;
  Sampler sampler_;
  StepBatch batch_;
  std::unordered_map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  std::vector<Sequence*> complete_;  // finished without a step; their output is owed
  std::vector<std::pair<Sequence*, std::int32_t>> ran_;    // with the rows of this step
  std::vector<std::shared_ptr<SharedPrompt>> distrusted_;  // of those that failed in this step
  std::vector<SequenceOutput> spare_;  // outputs of earlier steps, for their memory
  std::uint64_t steps_ = 0;
  std::uint64_t preemptions_ = 0;
  std::int32_t rows_most_ = options_.step_rows_max;  // what the device had memory for, we think
  std::int32_t steps_until_more_ = 0;                // before it is trusted with twice as many
};

// --- taking and forgetting sequences ---

Result<void> Engine::Impl::check(const StartSequence& start) const {
  const Plan& plan = start.plan;
  const ModelInfo& info = model_->info();
  if (plan.prompt.empty()) return invalid("the prompt has no tokens");
  if (plan.prompt.size() > static_cast<std::size_t>(info.context)) {
    return invalid("prompt has " + std::to_string(plan.prompt.size()) + " tokens, the context is " +
                   std::to_string(info.context));
  }
  if (auto result = check_tokens(plan.prompt, "prompt", info.vocabulary); !result) return result;
  if (auto result = check_tokens(start.emitted, "emitted", info.vocabulary); !result) return result;
  if (auto result = check_sampling(plan.sampling, info.vocabulary); !result) return result;
  if (plan.logprobs && *plan.logprobs > static_cast<std::uint32_t>(options_.logprobs_max)) {
    return invalid("logprobs is " + std::to_string(*plan.logprobs) + ", the limit is " +
                   std::to_string(options_.logprobs_max));
  }
  if (plan.prompt_logprobs && !plan.logprobs) return invalid("prompt_logprobs needs logprobs");
  if (plan.attention_window < 0)
    return invalid("attention_window is " + std::to_string(plan.attention_window) +
                   ", it must be at least 0");
  return {};
}

Result<void> Engine::Impl::add(StartSequence start) {
  auto known = sequences_.find(start.id);
  if (known != sequences_.end()) {
    if (known->second->epoch >= start.epoch) return {};
    drop(*known->second);
  }
  if (auto result = check(start); !result) return result;
  if (sequences_.size() == static_cast<std::size_t>(options_.sequences_max)) {
    return Error{
        ErrorCode::resource_exhausted,
        "all " + std::to_string(options_.sequences_max) + " places for sequences are taken"};
  }
  auto owned = std::make_unique<Sequence>();
  Sequence& sequence = *owned;
  sequence.id = start.id;
  sequence.epoch = start.epoch;
  sequence.plan = std::move(start.plan);
  sequence.deadline = start.deadline;
  sequence.urgency = start.urgency;
  sequence.granted = start.granted;
  auto room = static_cast<std::uint32_t>(model_->info().context - sequence.prompt_size());
  sequence.generated_max = std::min(sequence.plan.max_tokens, room);
  std::int32_t blocks = blocks_for(sequence.computed_limit());
  if (blocks > pool_.total()) {
    return invalid("prompt and output take up to " + std::to_string(blocks) +
                   " KV blocks, there are " + std::to_string(pool_.total()));
  }
  sequence.tokens.reserve(sequence.plan.prompt.size() + sequence.generated_max);
  sequence.tokens = sequence.plan.prompt;
  sequence.tokens.insert(sequence.tokens.end(), start.emitted.begin(), start.emitted.end());
  sequence.prompt_logprobs_next =
      sequence.plan.prompt_logprobs
          ? static_cast<std::int32_t>(
                std::clamp<std::size_t>(start.prompt_logprobs_from, 1, sequence.plan.prompt.size()))
          : sequence.prompt_size();
  if (finish_of(sequence) != Finish::none) {
    sequence.state = Sequence::State::finished;
    complete_.push_back(&sequence);
  } else {
    sequence.blocks.reserve(static_cast<std::size_t>(blocks));
    scheduler_.add(sequence);
    if (sequence.reported() >= sequence.granted) scheduler_.pause(sequence);
  }
  sequences_.emplace(sequence.id, std::move(owned));
  return {};
}

void Engine::Impl::grant(SequenceId id, Epoch epoch, std::uint32_t granted) {
  auto known = sequences_.find(id);
  if (known == sequences_.end() || known->second->epoch != epoch) return;
  Sequence& sequence = *known->second;
  sequence.granted = std::max(sequence.granted, granted);
  if (sequence.reported() < sequence.granted) scheduler_.resume(sequence);
}

std::optional<TimePoint> Engine::Impl::rests_until() const {
  if (!complete_.empty() || !scheduler_.rests()) return std::nullopt;
  TimePoint until = TimePoint::max();
  for (const auto& [id, sequence] : sequences_)
    until = std::min(until, sequence->deadline);
  return until > clock_.now() ? std::optional(until) : std::nullopt;
}

void Engine::Impl::cancel(SequenceId id, Epoch epoch) {
  auto known = sequences_.find(id);
  if (known != sequences_.end() && known->second->epoch <= epoch) drop(*known->second);
}

/// Forgets a sequence; its blocks are free before anybody hears of its end.
void Engine::Impl::drop(Sequence& sequence) {
  if (sequence.state == Sequence::State::finished) {
    std::erase(complete_, &sequence);
  } else {
    scheduler_.remove(sequence);
  }
  sequences_.erase(SequenceId{sequence.id});
}

void Engine::Impl::fail(Sequence& sequence, Error error, StepResult& result) {
  result.failures.push_back({sequence.id, sequence.epoch, std::move(error)});
  drop(sequence);
}

// --- the step ---

Result<void> Engine::Impl::step(StepResult& result,
                                const std::function<void(std::int32_t rows)>& launching) {
  renew(result);
  finish_complete(result);
  expire(result);
  const std::vector<Sequence*>& picked = scheduler_.pick();
  if (rows_most_ < options_.step_rows_max) scheduler_.limit(rows_most_);
  result.preempted = scheduler_.preempted();
  preemptions_ += static_cast<std::uint64_t>(result.preempted);
  if (picked.empty()) return {};
  auto logits = compute(picked, launching);
  if (!logits && logits.error().code == ErrorCode::resource_exhausted) {
    auto rows = static_cast<std::int32_t>(batch_.tokens.size());
    rows_most_ = std::max(1, rows / 2);
    steps_until_more_ = kStepsUntilMore;
    scheduler_.limit(rows_most_);
    logits = compute(picked, launching);
  }
  if (!logits) {
    if (logits.error().code != ErrorCode::resource_exhausted) return logits.error();
    relieve(picked, logits.error(), result);
    return {};
  }
  auto vocabulary = static_cast<std::size_t>(model_->info().vocabulary);
  CHECK(logits->size() == batch_.logit_rows.size() * vocabulary);
  scheduler_.advance();
  ++steps_;
  if (rows_most_ < options_.step_rows_max && --steps_until_more_ <= 0) {
    rows_most_ = std::min(2 * rows_most_, options_.step_rows_max);
    steps_until_more_ = kStepsUntilMore;
  }
  result.rows = static_cast<std::int32_t>(batch_.tokens.size());
  std::span<float> rest = *logits;
  for (auto [sequence, rows] : ran_)
    read_logits(*sequence, rows, rest, result);
  CHECK(rest.empty());
  for (const auto& prompt : distrusted_)
    scheduler_.compute_again(*prompt);
  distrusted_.clear();
  return {};
}

/// One pass over the picked rows. Errors: device_lost; resource_exhausted: nothing has changed.
Result<std::span<float>> Engine::Impl::compute(
    const std::vector<Sequence*>& picked, const std::function<void(std::int32_t rows)>& launching) {
  build_batch(picked);
  if (launching) launching(static_cast<std::int32_t>(batch_.tokens.size()));
  if (auto launched = model_->launch(batch_); !launched) return launched.error();
  return model_->wait();
}

/// The device had no memory for half of a step either. Every call either halves the rows of the
/// next step or ends a sequence, so it comes to an end.
void Engine::Impl::relieve(const std::vector<Sequence*>& picked,
                           const Error& why,
                           StepResult& result) {
  auto rows = static_cast<std::int32_t>(batch_.tokens.size());
  if (rows == 1) {
    Sequence& alone = *picked.front();
    std::string message = "the device has no memory for one row after " +
                          std::to_string(alone.computed) + " tokens: " + why.message;
    fail(alone, {ErrorCode::resource_exhausted, std::move(message)}, result);
    return;
  }
  rows_most_ = rows / 2;
  if (scheduler_.preempt_longest()) {
    ++result.preempted;
    ++preemptions_;
  }
  scheduler_.withdraw();
}

/// Empties the result, and keeps the memory of its outputs for those to come.
void Engine::Impl::renew(StepResult& result) {
  for (SequenceOutput& output : result.outputs) {
    if (spare_.size() < static_cast<std::size_t>(options_.sequences_max))
      spare_.push_back(std::move(output));
  }
  result.clear();
}

SequenceOutput Engine::Impl::make_output(const Sequence& sequence) {
  SequenceOutput output;
  if (!spare_.empty()) {
    output = std::move(spare_.back());
    spare_.pop_back();
  }
  output.id = sequence.id;
  output.epoch = sequence.epoch;
  output.first_index = static_cast<std::uint32_t>(sequence.generated().size());
  output.tokens.clear();
  output.logprobs.clear();
  output.prompt_first = static_cast<std::uint32_t>(sequence.prompt_logprobs_next);
  output.prompt_logprobs.clear();
  output.finish = Finish::none;
  return output;
}

/// Ends the sequences whose emitted tokens complete their plan already.
void Engine::Impl::finish_complete(StepResult& result) {
  while (!complete_.empty()) {
    Sequence& sequence = *complete_.front();
    SequenceOutput output = make_output(sequence);
    output.finish = finish_of(sequence);
    drop(sequence);
    result.outputs.push_back(std::move(output));
  }
}

void Engine::Impl::expire(StepResult& result) {
  TimePoint now = clock_.now();
  for (auto next = sequences_.begin(); next != sequences_.end();) {
    Sequence& sequence = *(next++)->second;
    if (sequence.deadline > now) continue;
    std::string message = "the deadline passed after " +
                          std::to_string(sequence.generated().size()) + " of at most " +
                          std::to_string(sequence.generated_max) + " tokens";
    fail(sequence, {ErrorCode::deadline_exceeded, std::move(message)}, result);
  }
}

void Engine::Impl::build_batch(const std::vector<Sequence*>& picked) {
  batch_.clear();
  ran_.clear();
  for (Sequence* sequence : picked) {
    ran_.emplace_back(sequence, sequence->rows);
    auto row = static_cast<std::int32_t>(batch_.tokens.size());
    auto first = sequence->tokens.begin() + sequence->computed;
    batch_.tokens.insert(batch_.tokens.end(), first, first + sequence->rows);
    for (auto i = static_cast<std::size_t>(sequence->computed / kBlockTokens);
         i < sequence->blocks.size();
         ++i)
      CHECK(pool_.references(sequence->blocks[i]) == 1);  // it is written to
    batch_.segments.push_back({.first_position = sequence->computed,
                               .rows = sequence->rows,
                               .blocks = sequence->blocks,
                               .window = sequence->plan.attention_window});
    for (std::int32_t i = 0; i < sequence->rows; ++i) {
      if (sequence->wants_logits(sequence->computed + i)) batch_.logit_rows.push_back(row + i);
    }
  }
}

/// Takes the sequence's rows of logits off the front of `logits`, in the order `build_batch` asked
/// for them, and makes its output.
void Engine::Impl::read_logits(Sequence& sequence,
                               std::int32_t rows,
                               std::span<float>& logits,
                               StepResult& result) {
  auto vocabulary = static_cast<std::size_t>(model_->info().vocabulary);
  SequenceOutput output = make_output(sequence);
  Result<void> read;
  std::int32_t end = sequence.computed;
  for (std::int32_t position = end - rows; position < end; ++position) {
    if (!sequence.wants_logits(position)) continue;
    std::span<float> row = logits.first(vocabulary);
    logits = logits.subspan(vocabulary);
    if (!read) continue;
    bool in_prompt = position + 1 < sequence.prompt_size();
    read = in_prompt ? report_prompt(sequence, row, output) : generate(sequence, row, output);
  }
  if (!read) {
    // It may have been the blocks that were wrong. A failure stays with the sequence it happened
    // to, so nobody goes on with what it has computed.
    if (sequence.shared) distrusted_.push_back(sequence.shared);
    fail(sequence, read.error(), result);
    return;
  }
  output.finish = finish_of(sequence);
  bool finished = output.finish != Finish::none;
  if (finished) {
    drop(sequence);
  } else if (sequence.reported() >= sequence.granted) {
    scheduler_.pause(sequence);
  }
  if (finished || !output.tokens.empty() || !output.prompt_logprobs.empty()) {
    result.outputs.push_back(std::move(output));
  } else {
    spare_.push_back(std::move(output));
  }
}

/// The logits before the next prompt position tell how likely its token was.
Result<void> Engine::Impl::report_prompt(Sequence& sequence,
                                         std::span<const float> logits,
                                         SequenceOutput& output) {
  auto position = static_cast<std::size_t>(sequence.prompt_logprobs_next);
  auto logprobs =
      sampler_.logprobs(logits, sequence.plan.prompt[position], *sequence.plan.logprobs);
  if (!logprobs) return logprobs.error();
  output.prompt_logprobs.push_back(*std::move(logprobs));
  // Counted here, so that a sequence that is computed again does not report it again.
  ++sequence.prompt_logprobs_next;
  return {};
}

/// The logits after the last known token choose the next one.
Result<void> Engine::Impl::generate(Sequence& sequence,
                                    std::span<float> logits,
                                    SequenceOutput& output) {
  const Plan& plan = sequence.plan;
  std::span<const TokenId> forbidden;
  if (sequence.generated().size() < plan.min_tokens) forbidden = plan.stop_tokens;
  auto sampled = sampler_.sample(logits,
                                 {.params = plan.sampling,
                                  .prompt = plan.prompt,
                                  .generated = sequence.generated(),
                                  .forbidden = forbidden,
                                  .logprobs = plan.logprobs});
  if (!sampled) return sampled.error();
  sequence.tokens.push_back(sampled->token);
  output.tokens.push_back(sampled->token);
  if (plan.logprobs) output.logprobs.push_back(std::move(sampled->logprobs));
  return {};
}

Finish Engine::Impl::finish_of(const Sequence& sequence) {
  // Prompt log probabilities that are still owed have to be computed first.
  if (sequence.generated_max == 0 && sequence.prompt_logprobs_next < sequence.prompt_size())
    return Finish::none;
  std::span<const TokenId> generated = sequence.generated();
  const std::vector<TokenId>& stops = sequence.plan.stop_tokens;
  if (!generated.empty() && std::find(stops.begin(), stops.end(), generated.back()) != stops.end())
    return Finish::stop_token;
  return generated.size() >= sequence.generated_max ? Finish::length : Finish::none;
}

// --- the public face ---

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::create(std::unique_ptr<Model> model,
                                               Options options,
                                               const Clock& clock) {
  CHECK(model != nullptr);
  if (auto result = check_options(options); !result) return result.error();
  std::int32_t logit_rows =
      std::min(options.step_rows_max, options.sequences_max + kPromptLogitRows);
  auto allocated = model->allocate({.blocks = options.blocks,
                                    .rows = options.step_rows_max,
                                    .sequences = options.sequences_max,
                                    .logit_rows = logit_rows});
  if (!allocated) return allocated.error();
  auto impl = std::make_unique<Impl>(std::move(model), options, logit_rows, clock);
  return std::unique_ptr<Engine>(new Engine(std::move(impl)));
}

Result<void> Engine::add(StartSequence sequence) {
  return impl_->add(std::move(sequence));
}
void Engine::grant(SequenceId id, Epoch epoch, std::uint32_t granted) {
  impl_->grant(id, epoch, granted);
}
void Engine::cancel(SequenceId id, Epoch epoch) {
  impl_->cancel(id, epoch);
}
Result<void> Engine::step(StepResult& result,
                          const std::function<void(std::int32_t rows)>& launching) {
  return impl_->step(result, launching);
}
bool Engine::idle() const {
  return impl_->idle();
}
std::optional<TimePoint> Engine::rests_until() const {
  return impl_->rests_until();
}
EngineStats Engine::stats() const {
  return impl_->stats();
}
const ModelInfo& Engine::model() const {
  return impl_->model();
}
bool Engine::is_intact() const {
  return impl_->is_intact();
}

}  // namespace sluice
