// Who prefills next: classes share the rows of a step, and inside a class short prompts go first.
#pragma once

#include "engine/sequence.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice {

inline constexpr std::size_t kUrgencyClasses = 3;  ///< realtime, batch, low
/// A number of rows for each class.
using ClassRows = std::array<std::int32_t, kUrgencyClasses>;

inline std::size_t class_of(const Sequence& sequence) {
  return std::min<std::size_t>(sequence.urgency, kUrgencyClasses - 1);
}

/// The line of the sequences that prefill, and the share of each class.
///
/// Between classes: weighted round robin, row by row, 8 to realtime, 3 to batch, 1 to low. That is
/// deficit round robin without the deficits, for a prompt can be cut after any row. What a class
/// does not want goes to the others; a class that wanted nothing has saved up nothing.
///
/// Inside a class: the smallest key first, then the earlier arrival. The key is a time in steps,
///
///     arrival_step - overtaking_steps * kShortRows / max(rows that remain, kShortRows)
///
/// so of those who came together the one that needs the fewest rows goes first, and whoever has
/// begun gains by each row. What is taken off lies between 0 and `overtaking_steps`. So nobody goes
/// before one of its class that was added `overtaking_steps` earlier, however short it is: who
/// overtakes a sequence L was added before that many steps had passed. From then on L waits for
/// those alone, never more than the scheduler holds, and each of them either is older than L or
/// needs fewer rows. A stream of short prompts that never ends does not keep a long one away.
/// Steps, not rows or time: a step passes even while L waits for blocks and others only decode.
///   Source: Shreedhar and Varghese 1995 (deficit round robin); the form of the key is that of
///   shortest remaining time first with a bounded head start.
///
/// Owner: the scheduler. Not thread-safe. Allocates only when more stand in line than ever before.
class PrefillOrder {
 public:
  static constexpr std::array<std::int32_t, kUrgencyClasses> kWeights{8, 3, 1};
  /// Prompts up to this length are equally short: each is a fraction of a step.
  static constexpr std::int32_t kShortRows = 64;

  struct Options {
    std::int32_t chunk = 256;  ///< most rows of one sequence in a step, >= 1
    /// >= 1. By default about as many steps as 64 prompts of 1,000 tokens fill at 256 rows each: a
    /// short question still passes a worker full of documents, and no document is kept longer by
    /// questions than such a worker would have kept it.
    std::uint32_t overtaking_steps = 256;
  };

  explicit PrefillOrder(Options options);

  /// Lines up those of `sequences` that have no row in the step that is made.
  void line_up(const std::vector<Sequence*>& sequences);
  /// More urgent classes first, each in its order. Valid while none of them is removed.
  [[nodiscard]] const std::vector<Sequence*>& line() const { return line_; }
  /// Whether `a` stands before `b`; both are in line.
  static bool before(const Sequence* a, const Sequence* b);

  /// What each class gets of `rows` rows if it wants `wanted` of them. All are given if that many
  /// are wanted.
  ClassRows share(std::int32_t rows, ClassRows wanted);
  /// What a sequence in line wants of this step: nothing if it followed another in the last one.
  [[nodiscard]] std::int32_t wanted(const Sequence& sequence) const;
  /// What each class wants.
  [[nodiscard]] ClassRows wanted() const;

 private:
  Options options_;
  std::vector<Sequence*> line_;
  std::size_t turn_ = 0;  // the class that gets the next row
  std::int32_t turn_left_ = kWeights[0];
};

}  // namespace sluice
