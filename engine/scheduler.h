// Which sequences run in the next step, with how many rows, and who gives its blocks back.
#pragma once

#include "engine/block_pool.h"
#include "engine/prefill_order.h"
#include "engine/sequence.h"
#include "engine/shared_prompts.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace sluice {

/// Continuous batching with chunked prefill, as arithmetic on numbers. It never decides what a
/// token is, only when it is computed, so its choices change no output.
///
/// Two orders. Who may be a victim goes by urgency, then arrival; "the first in order" and "older"
/// mean that one. Who computes goes by `PrefillOrder`: each step has all decoding sequences first,
/// then chunks of prefill. The classes share the rows that are left, and in a class the shortest
/// goes first; it passes those who came before it only as long as that order allows, whether they
/// wait for rows or for blocks. Who waits for blocks is passed by nobody else: none behind it in
/// its class nor of a less urgent one begins. Rows that a class cannot use go to the others.
///
/// When blocks run out a decoding sequence takes them from the one of highest urgency number, then
/// one that has blocks of its own, then the least preempted up to `preemptions_max`, then the
/// cheapest to compute again, then the newest; that may be itself. A prefilling one takes them from
/// less urgent classes only. The victim keeps its tokens and its place, and others keep what they
/// shared with it.
///
/// Half-done prompts hold blocks. They are few, because each row brings its prompt forward in line:
/// only a newcomer that needs still fewer rows comes between. And a prompt begins only where all of
/// it finds room beside those that have begun, so they do not wait for each other's blocks; the
/// first in order, which begins in any case, may take from them.
///
/// A sequence whose reader is behind is paused: it has no part in any step, keeps its blocks while
/// nobody else needs them, and gives them up before anybody who runs. Its place in the order is
/// kept.
///
/// Progress: the first in order, the oldest of the best class, is never a victim and may take from
/// everybody, and has a row in every step wherever it stands in line; so each step brings it on. A
/// sequence that got nowhere for `patience_steps` joins the best class with its old place, where
/// only older ones are before it: each sequence is therefore first after a bounded number of steps.
///
/// Equal prompts are computed once (`SharedPrompts`): while one of those who have a prompt prefills
/// it the ones behind it in line follow. A follower has its place among those who run, but no rows;
/// it takes each block as it is computed, and computes what is left when nobody is ahead of it any
/// more. Only one that has rows in this step is followed. The first in order follows nobody.
///
/// Owner: the engine. Not thread-safe. Allocates in `add`, and otherwise only when it holds more
/// sequences than ever before.
class Scheduler {
 public:
  struct Options {
    std::int32_t step_rows_max = 256;  ///< at least the number of sequences held
    std::int32_t prefill_chunk = 256;
    std::int32_t logit_rows_max = 128;  ///< at least the number of sequences held
    std::int32_t preemptions_max = 3;  ///< a victim no more while others of its class are not there
    std::uint64_t patience_steps = 512;
    std::uint32_t overtaking_steps = 256;  ///< how far one may pass others: `PrefillOrder`
  };

  Scheduler(Options options, BlockPool& pool);

  /// Takes a sequence that wants rows and could be computed in an empty pool. It stays the caller's
  /// and must live until `remove`. Its arrival number is set.
  void add(Sequence& sequence);
  /// Takes a sequence out of all further steps, or in again; nothing happens if it is so already.
  void pause(Sequence& sequence);
  void resume(Sequence& sequence);
  /// Forgets a sequence; its blocks are free, but for those that others name.
  void remove(Sequence& sequence);
  /// What was computed of this prompt is not to be relied on: whoever has it computes it again.
  /// Nothing may be picked.
  void compute_again(const SharedPrompt& prompt);

  /// Decides the next step: sets `rows` of every sequence and extends the block tables to hold
  /// them. Returns those with rows, in order; valid until the next call.
  const std::vector<Sequence*>& pick();
  /// Cuts what was picked down to `rows` rows, at least 1: decodes stay before prefill, the classes
  /// share what is left for it, and the first in order keeps a row. What `pick` returned is cut
  /// with it.
  void limit(std::int32_t rows);
  /// The picked rows are computed.
  void advance();
  /// The picked rows are not computed: nothing is picked.
  void withdraw();
  /// Of several that were picked, the one with the most computed tokens loses its blocks. Never the
  /// first in order. False: there was none.
  bool preempt_longest();

  /// Sequences that lost their blocks in the last `pick`.
  [[nodiscard]] std::int32_t preempted() const { return preempted_; }
  [[nodiscard]] std::int32_t running() const;
  [[nodiscard]] std::int32_t waiting() const;
  /// Nobody wants a row: it holds no sequence but paused ones.
  [[nodiscard]] bool rests() const { return order_.empty(); }
  [[nodiscard]] std::int32_t paused() const { return static_cast<std::int32_t>(paused_.size()); }

 private:
  /// Whose blocks may be taken.
  enum class Reach : std::uint8_t { everybody, less_urgent, nobody };
  /// What is left of a step.
  struct Budget {
    std::int32_t rows = 0;
    std::int32_t logits = 0;
  };

  void promote_starved();
  void pick_decodes();
  void pick_prefills();
  void leave_lost_leaders();
  void serve_line(ClassRows shares, Budget& left, Reach reach);
  bool start(Sequence& sequence, Reach reach);
  void keep_up(Sequence& sequence);
  std::int32_t extend(Sequence& sequence, std::int32_t rows, Budget& left, Reach reach);
  std::int32_t count_room(const Sequence& starting, bool without_less_urgent) const;
  std::int32_t chunk_for(const Sequence& sequence, std::int32_t rows, std::int32_t logits) const;
  bool reserve(Sequence& sequence, std::int32_t tokens, Reach reach);
  Sequence* find_paused() const;
  Sequence* find_victim(const Sequence& wanting, Reach reach) const;
  bool is_better_victim(const Sequence& a, const Sequence& b) const;
  std::int32_t named_by_others(const Sequence& sequence) const;
  static bool is_led(const Sequence& sequence);
  void take(Sequence& sequence);
  void note_taken(Sequence& sequence) const;
  void note_progress(Sequence& sequence) const;
  void preempt(Sequence& sequence);
  void release_blocks(Sequence& sequence);
  void trim(Sequence& sequence);

  Options options_;
  BlockPool& pool_;
  SharedPrompts prompts_;
  PrefillOrder prefills_;
  std::vector<Sequence*> order_;  // by urgency, then arrival; the first is never a victim
  std::vector<Sequence*> paused_;
  std::vector<Sequence*> picked_;
  std::optional<std::int32_t>
      room_;  // at least, for whoever starts next in this pick; once counted
  std::uint64_t arrivals_ = 0;
  std::uint64_t step_ = 0;
  std::int32_t preempted_ = 0;
};

}  // namespace sluice
