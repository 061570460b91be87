// Equal prompts are computed once: which blocks hold a prompt that several sequences have.
#pragma once

#include "base/ids.h"
#include "engine/block_pool.h"

#include <cstdint>
#include <memory>
#include <set>
#include <vector>

namespace sluice {

struct Plan;
struct Sequence;

/// A prompt of one live sequence or of several: the one table of its full blocks that are computed.
/// Holds no references of its own: a block stands here as long as some sequence's table names it.
struct SharedPrompt {
  std::vector<std::int32_t> blocks;  ///< block ids in the order of positions
  std::int32_t ahead = 0;            ///< in the step being made: how far its prefill gets
  std::int32_t kept = 0;             ///< while room is counted: blocks that somebody keeps
  bool counted = false;              ///< likewise: the others are counted
};

/// Lets sequences whose prompts are equal, token for token, name the same blocks. Sequences that
/// see through different windows have different prompts: what lies in the blocks depends on both.
/// What is known of a prompt ends with the last sequence that has it.
///
/// Only full blocks of the prompt are shared, and whoever has computed such a block a second time
/// gives its own back. So of any two tables the shared part is a prefix, no block of which is ever
/// written to again; behind it each block is named by one table alone.
///
/// Owner: the scheduler. Not thread-safe. Allocates in `join` only; finding the others with a
/// prompt takes as many comparisons of prompts as a binary search.
class SharedPrompts {
 public:
  explicit SharedPrompts(BlockPool& pool) : pool_(pool) {}

  /// Sets `shared`, unless the prompt does not fill a block. Its arrival number must be set.
  void join(Sequence& sequence);
  /// Forgets the sequence, which holds no blocks.
  void leave(Sequence& sequence);

  /// The sequence names the computed blocks that it lacks and whose logits it does not want, and
  /// counts them as computed. A block that it has begun itself goes back. False: there are none.
  bool take(Sequence& sequence);
  /// From `from` on the sequence has computed its tokens: others may take the full blocks of its
  /// prompt, and where these have been there already it names them and gives its own back.
  void publish(Sequence& sequence, std::int32_t from);
  /// The sequence's table is empty. Blocks that others name stay.
  void release(Sequence& sequence);

 private:
  /// Equal prompts are neighbours, in the order of their arrival.
  struct Order {
    using is_transparent = void;
    bool operator()(const Sequence* a, const Sequence* b) const;
    bool operator()(const Plan& plan, const Sequence* a) const;
  };

  BlockPool& pool_;
  std::set<Sequence*, Order> sequences_;  // those with a prompt of at least one block
};

}  // namespace sluice
