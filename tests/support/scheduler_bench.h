// A scheduler with everything it needs but a model, and the invariants of its books.
#pragma once

#include "engine/block_pool.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace sluice::testing {

/// Sequences, a pool and a scheduler, with a stand-in for the model: every computed sequence whose
/// known tokens are all computed gets one token more, until it has all it wants.
class SchedulerBench {
 public:
  SchedulerBench(Scheduler::Options options, std::int32_t blocks)
      : pool(blocks), scheduler(options, pool), options_(options) {}

  ///   text  sequences with the same text and length have the same prompt; 0: it has its own
  Sequence& add(std::int32_t prompt,
                std::uint32_t generated,
                std::uint8_t urgency = 1,
                TokenId text = 0) {
    if (text == 0) text = static_cast<TokenId>(1001 + ids_);
    return add(std::vector<TokenId>(static_cast<std::size_t>(prompt), text), generated, urgency);
  }
  Sequence& add(std::vector<TokenId> prompt, std::uint32_t generated, std::uint8_t urgency = 1) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = SequenceId{++ids_};
    sequence->plan.prompt = std::move(prompt);
    sequence->tokens = sequence->plan.prompt;
    sequence->generated_max = generated;
    sequence->prompt_logprobs_next = sequence->prompt_size();
    sequence->urgency = urgency;
    scheduler.add(*sequence);
    return *live.emplace(ids_, std::move(sequence)).first->second;
  }

  void remove(Sequence& sequence) {
    scheduler.remove(sequence);
    live.erase(sequence.id.value);
  }

  /// One step. Returns the ids that finished in it.
  std::vector<std::uint64_t> step() {
    scheduler.pick();
    return finish_step();
  }
  /// The rest of a step, after `pick`.
  std::vector<std::uint64_t> finish_step() {
    std::vector<Sequence*> picked;
    for (const auto& [id, sequence] : live) {
      if (sequence->rows > 0) picked.push_back(sequence.get());
    }
    check(!picked.empty());
    for (const Sequence* sequence : picked)
      rows += sequence->rows;
    scheduler.advance();
    std::vector<std::uint64_t> finished;
    for (Sequence* sequence : picked) {
      sequence->prompt_logprobs_next =
          std::max(sequence->prompt_logprobs_next,
                   std::min(sequence->computed + 1, sequence->prompt_size()));
      if (sequence->rows_wanted() > 0) continue;
      sequence->tokens.push_back(9);
      if (sequence->generated().size() < sequence->generated_max) continue;
      finished.push_back(sequence->id.value);
      remove(*sequence);
    }
    return finished;
  }

  /// E1 to E3 and E5, and the bounds of a step.
  void check(bool some_picked) const {
    std::vector<std::int32_t> references(static_cast<std::size_t>(pool.total()), 0);
    std::map<std::pair<TokenId, std::size_t>, const Sequence*> longest;  // of each prompt
    std::int32_t rows = 0;
    for (const auto& [id, sequence] : live) {
      auto held = static_cast<std::int32_t>(sequence->blocks.size());
      ASSERT_EQ(held, blocks_for(sequence->computed + sequence->rows));
      ASSERT_LE(sequence->rows, std::max(1, options_.prefill_chunk));
      for (std::int32_t block : sequence->blocks)
        ++references[static_cast<std::size_t>(block)];
      rows += sequence->rows;
      const Sequence*& first = longest[prompt_of(*sequence)];
      if (first == nullptr || first->computed < sequence->computed) first = sequence.get();
    }
    ASSERT_LE(rows, options_.step_rows_max);
    std::int32_t used = 0;
    for (std::int32_t block = 0; block < pool.total(); ++block) {
      ASSERT_EQ(pool.references(block), references[static_cast<std::size_t>(block)]);
      used += references[static_cast<std::size_t>(block)] > 0;
    }
    ASSERT_EQ(pool.used(), used);
    ASSERT_EQ(pool.free() + used, pool.total());
    for (const auto& [id, sequence] : live)
      check_shared(*sequence, longest[prompt_of(*sequence)]->blocks);
    bool rests = std::all_of(
        live.begin(), live.end(), [](const auto& entry) { return entry.second->paused; });
    ASSERT_EQ(!some_picked, rests);
  }

  BlockPool pool;
  Scheduler scheduler;
  std::map<std::uint64_t, std::unique_ptr<Sequence>> live;
  std::int64_t rows = 0;  ///< computed so far

 private:
  static std::pair<TokenId, std::size_t> prompt_of(const Sequence& sequence) {
    return {sequence.plan.prompt.front(), sequence.plan.prompt.size()};
  }

  /// What is computed of a prompt's full blocks lies in one place, and all else is its own.
  void check_shared(const Sequence& sequence, const std::vector<std::int32_t>& prompt) const {
    std::int32_t full = std::min(sequence.computed, sequence.prompt_size()) / kBlockTokens;
    for (std::size_t i = 0; i < sequence.blocks.size(); ++i) {
      if (i < static_cast<std::size_t>(full)) {
        ASSERT_EQ(sequence.blocks[i], prompt[i]);
      } else {
        ASSERT_EQ(pool.references(sequence.blocks[i]), 1);
      }
    }
  }

  Scheduler::Options options_;
  std::uint64_t ids_ = 0;
};

}  // namespace sluice::testing
