// Log probabilities and the largest entries of one row of logits.
#pragma once

#include "base/ids.h"
#include "base/plan.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice {

/// A token and its logit.
struct Candidate {
  float logit = 0.0F;
  TokenId id = 0;
};

/// Largest logit first, lowest id among equals: the one order of candidates everywhere.
constexpr bool ranks_before(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

/// What a row looks like before anything is done with it.
struct RowSummary {
  float largest = 0.0F;  ///< -infinity: every entry is masked
  TokenId argmax = 0;    ///< the lowest id among equals
  bool finite = true;    ///< no NaN and no +infinity; -infinity is a masked entry
};
RowSummary summarize(std::span<const float> logits);

/// weights[i] = exp((logits[i] - largest) / temperature), and the sum of every kSumBlock of them.
///   weights   [n]; largest must be the largest logit, so they are in [0, 1]
///   sums      [ceil(n / kSumBlock)]
/// Returns the sum of `sums` in ascending order. Every sum runs in an order fixed by n alone.
inline constexpr std::size_t kSumBlock = 64;
double exponentials(std::span<const float> logits,
                    float largest,
                    float temperature,
                    std::span<float> weights,
                    std::span<double> sums);

/// e^x for x <= 0, to 2 units in the last place; 0 below -87. The same bits in every build: only
/// IEEE additions, multiplications and integer shifts.
float exp_nonpositive(float x);

/// The `count` first candidates of the row in the order of `ranks_before`; masked entries
/// (-infinity) are none. Costs one comparison an entry as long as `count` is small.
void select_top(std::span<const float> logits, std::size_t count, std::vector<Candidate>& top);

}  // namespace sluice
