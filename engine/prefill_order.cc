#include "engine/prefill_order.h"

#include "base/check.h"

#include <limits>
#include <tuple>

namespace sluice {
namespace {

/// Keys are in fractions of a step, so that lengths are told apart that differ by little.
constexpr std::int64_t kFractions = 1 << 20;

/// Rows it has to compute before it decodes: not those of its prompt that others have computed.
std::int32_t remaining(const Sequence& sequence) {
  if (!sequence.shared) return sequence.rows_wanted();
  auto known = static_cast<std::int32_t>(sequence.shared->blocks.size());
  known = std::min(known, sequence.blocks_to_take()) * kBlockTokens;
  return sequence.goal() - std::max(sequence.computed, known);
}

}  // namespace

PrefillOrder::PrefillOrder(Options options) : options_(options) {
  CHECK(options.chunk >= 1 && options.overtaking_steps >= 1);
}

bool PrefillOrder::before(const Sequence* a, const Sequence* b) {
  return std::tie(a->urgency, a->prefill_key, a->arrival) <
         std::tie(b->urgency, b->prefill_key, b->arrival);
}

void PrefillOrder::line_up(const std::vector<Sequence*>& sequences) {
  std::int64_t most = kFractions * options_.overtaking_steps;
  line_.clear();
  for (Sequence* sequence : sequences) {
    if (sequence->rows > 0) continue;
    std::int64_t head_start = most * kShortRows / std::max(remaining(*sequence), kShortRows);
    sequence->prefill_key =
        static_cast<std::int64_t>(sequence->arrival_step) * kFractions - head_start;
    line_.push_back(sequence);
  }
  std::sort(line_.begin(), line_.end(), before);
  // Those before a sequence have overtaken it if it is older: all of them came in time for that.
  constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t oldest = kNone;  // of those behind, in the same class
  for (std::size_t i = line_.size(); i-- > 0;) {
    bool last = i + 1 == line_.size() || line_[i]->urgency != line_[i + 1]->urgency;
    oldest = std::min(last ? kNone : oldest, line_[i]->arrival_step);
    CHECK(line_[i]->arrival_step - oldest < options_.overtaking_steps);
  }
}

ClassRows PrefillOrder::share(std::int32_t rows, ClassRows wanted) {
  ClassRows given{};
  // A turn that the end of a step cuts short goes on in the next one.
  while (rows > 0 && wanted != ClassRows{}) {
    if (wanted[turn_] == 0 || turn_left_ == 0) {
      turn_ = (turn_ + 1) % kUrgencyClasses;
      turn_left_ = kWeights[turn_];
      continue;
    }
    std::int32_t most = std::min({rows, wanted[turn_], turn_left_});
    given[turn_] += most;
    wanted[turn_] -= most;
    turn_left_ -= most;
    rows -= most;
  }
  return given;
}

std::int32_t PrefillOrder::wanted(const Sequence& sequence) const {
  return sequence.follows ? 0 : std::min(remaining(sequence), options_.chunk);
}

ClassRows PrefillOrder::wanted() const {
  ClassRows sum{};
  for (const Sequence* sequence : line_)
    sum[class_of(*sequence)] += wanted(*sequence);
  return sum;
}

}  // namespace sluice
