// The engine: sequences come in, every step moves all of them on, tokens go out. START HERE.
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "base/plan.h"
#include "base/result.h"
#include "models/model.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// One sequence to run, or to run on: a resumed one brings the tokens it has emitted before.
struct StartSequence {
  SequenceId id;
  Epoch epoch = 0;
  Plan plan;
  std::vector<TokenId>
      emitted;  ///< replayed, not sampled: index of the next token is emitted.size()
  std::uint32_t prompt_logprobs_from = 0;  ///< prompt positions below are known already
  TimePoint deadline = TimePoint::max();   ///< on the engine's clock
  std::uint8_t urgency = 0;  ///< 0 realtime, 1 batch, 2 low: higher is preempted first
  /// Results it may give in all, those of earlier epochs included: generated tokens and, with
  /// `prompt_logprobs`, positions of the prompt from 0. At the limit it pauses until `grant`.
  std::uint32_t granted = kNoLimit;
};

/// What a step gave for one sequence.
struct SequenceOutput {
  SequenceId id;
  Epoch epoch = 0;
  std::uint32_t first_index = 0;  ///< of tokens[0] among the generated tokens, from 0
  std::vector<TokenId> tokens;
  std::vector<TokenLogprobs> logprobs;  ///< as many as tokens, or none
  std::uint32_t prompt_first = 0;       ///< position of prompt_logprobs[0]
  std::vector<TokenLogprobs>
      prompt_logprobs;  ///< position 0 has none and is never reported; starts at 1
  Finish finish = Finish::none;
};

/// A sequence the engine gave up. The others are not touched.
struct SequenceFailure {
  SequenceId id;
  Epoch epoch = 0;
  Error error;  ///< deadline_exceeded; data_loss (its logits are not finite); resource_exhausted
                ///< (the device has no memory even for it alone)
};

struct StepResult {
  std::vector<SequenceOutput> outputs;
  std::vector<SequenceFailure> failures;
  std::int32_t rows = 0;       ///< rows computed; 0: nothing was to be done
  std::int32_t preempted = 0;  ///< sequences that lost their blocks in this step

  void clear() {
    outputs.clear();
    failures.clear();
    rows = preempted = 0;
  }
};

struct EngineStats {
  std::int32_t running = 0;  ///< sequences that hold blocks
  std::int32_t waiting = 0;  ///< sequences that wait for blocks
  std::int32_t paused = 0;   ///< sequences that have given all that was granted
  std::int32_t blocks_free = 0;
  std::int32_t blocks_total = 0;
  std::uint64_t steps = 0;
  std::uint64_t preemptions = 0;
  ComputeStats compute{};
};

/// Continuous batching with chunked prefill over paged KV. Sequences whose prompts are equal
/// compute them once, as far as they fill blocks, and hold these together; their results are those
/// of sequences that run alone. Owns the model. Not thread-safe; never waits.
class Engine {
 public:
  struct Options {
    std::int32_t sequences_max = 64;  ///< sequences held at once (slots)
    std::int32_t step_rows_max =
        256;  ///< rows of a step: all decodes first, prefill with what is left
    std::int32_t prefill_chunk = 256;  ///< most prompt rows of one sequence in a step
    std::int32_t blocks = 1024;        ///< KV blocks
    std::int32_t logprobs_max = 20;
  };

  /// Allocates everything the model needs for `options`. Errors: resource_exhausted,
  /// invalid_argument.
  static Result<std::unique_ptr<Engine>> create(std::unique_ptr<Model> model,
                                                Options options,
                                                const Clock& clock);
  ~Engine();

  /// Takes a sequence. Errors: resource_exhausted (no slot), invalid_argument (a token id outside
  /// the vocabulary, a prompt over the context, more blocks than there are; the message has the
  /// numbers). An id that is known in an older epoch is replaced; an epoch that is not newer is
  /// ignored.
  Result<void> add(StartSequence sequence);
  /// The reader of a sequence has room for `granted` results in all. Less than before, or another
  /// epoch: nothing happens.
  void grant(SequenceId id, Epoch epoch, std::uint32_t granted);
  /// Forgets a sequence before the next step; its blocks are free at once, unless another has the
  /// same prompt. Unknown or newer: nothing happens.
  void cancel(SequenceId id, Epoch epoch);
  /// One forward pass over what can run, and the tokens it gave.
  ///
  /// A device that is out of memory is not lost: the pass is tried once more with half of its rows.
  /// Fails that too, then the longest sequence gives its blocks back and is computed again later,
  /// and the following steps have few rows, more again with time. A sequence whose single row
  /// finds no memory fails by itself.
  ///   launching  hears the number of rows before each pass
  /// Errors: device_lost: the process must end.
  Result<void> step(StepResult& result,
                    const std::function<void(std::int32_t rows)>& launching = {});

  /// It holds no sequence.
  [[nodiscard]] bool idle() const;
  /// The next step would have nothing to do before this time: when the first deadline of paused
  /// sequences passes, or never; none if something can be done now.
  [[nodiscard]] std::optional<TimePoint> rests_until() const;
  [[nodiscard]] EngineStats stats() const;
  [[nodiscard]] const ModelInfo& model() const;
  /// As `Model::is_intact`.
  [[nodiscard]] bool is_intact() const;

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
