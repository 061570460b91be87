#include "engine/logprobs.h"

#include "base/check.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace sluice {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Written without branches and calls, so that the compiler makes vector code of the loop below.
inline float exp_branchless(float x) {
  // x = n ln 2 + r with |r| <= ln(2) / 2; ln 2 in two parts, so that n times the first is exact.
  // Source: Cody and Waite 1980. Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
  constexpr float kRound = 12582912.0F;
  constexpr float kLn2High = 0.693359375F;
  constexpr float kLn2Low = -2.12194440e-4F;
  float clamped = x < -87.0F ? -87.0F : x;
  float n = (clamped * 1.44269504F + kRound) - kRound;
  float r = (clamped - n * kLn2High) - n * kLn2Low;
  // The Taylor series to r^7 / 7!: its error is below 6e-9 of the value.
  float p = 1.0F / 5040.0F;
  p = p * r + 1.0F / 720.0F;
  p = p * r + 1.0F / 120.0F;
  p = p * r + 1.0F / 24.0F;
  p = p * r + 1.0F / 6.0F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  float scale = std::bit_cast<float>((static_cast<std::int32_t>(n) + 127) << 23);
  return x < -87.0F ? 0.0F : p * scale;
}

/// The sum of a block in eight lanes, then across lanes in order.
double sum_block(const float* weights) {
  std::array<double, 8> lanes{};
  for (std::size_t i = 0; i < kSumBlock; i += lanes.size()) {
    for (std::size_t lane = 0; lane < lanes.size(); ++lane)
      lanes[lane] += static_cast<double>(weights[i + lane]);
  }
  double sum = 0.0;
  for (double lane : lanes)
    sum += lane;
  return sum;
}

}  // namespace

float exp_nonpositive(float x) {
  return exp_branchless(x);
}

RowSummary summarize(std::span<const float> logits) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> largest;
  std::array<std::int32_t, kLanes> wrong{};
  largest.fill(-kInfinity);
  std::size_t whole = logits.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      float x = logits[i + lane];
      wrong[lane] |= static_cast<std::int32_t>(!(x < kInfinity));
      largest[lane] = x > largest[lane] ? x : largest[lane];
    }
  }
  for (std::size_t i = whole; i < logits.size(); ++i) {
    wrong[0] |= static_cast<std::int32_t>(!(logits[i] < kInfinity));
    largest[0] = std::max(largest[0], logits[i]);
  }
  RowSummary summary;
  summary.largest = *std::max_element(largest.begin(), largest.end());
  summary.finite = std::none_of(wrong.begin(), wrong.end(), [](auto w) { return w != 0; });
  auto found = std::find(logits.begin(), logits.end(), summary.largest);
  if (found != logits.end()) summary.argmax = static_cast<TokenId>(found - logits.begin());
  return summary;
}

double exponentials(std::span<const float> logits,
                    float largest,
                    float temperature,
                    std::span<float> weights,
                    std::span<double> sums) {
  CHECK(weights.size() == logits.size());
  CHECK(sums.size() == (logits.size() + kSumBlock - 1) / kSumBlock);
  double total = 0.0;
  for (std::size_t block = 0; block < sums.size(); ++block) {
    std::size_t first = block * kSumBlock;
    std::size_t count = std::min(kSumBlock, logits.size() - first);
    // A short last block is filled with zeros, so that all sums have one shape.
    std::array<float, kSumBlock> padded{};
    const float* source = logits.data() + first;
    float* target = weights.data() + first;
    if (count < kSumBlock) {
      padded.fill(-kInfinity);
      std::copy_n(source, count, padded.begin());
      source = padded.data();
    }
    std::array<float, kSumBlock> values;
    for (std::size_t i = 0; i < kSumBlock; ++i)
      values[i] = exp_branchless((source[i] - largest) / temperature);
    std::copy_n(values.begin(), count, target);
    sums[block] = sum_block(values.data());
    total += sums[block];
  }
  return total;
}

void select_top(std::span<const float> logits, std::size_t count, std::vector<Candidate>& top) {
  top.clear();
  if (count == 0) return;
  // A heap whose front is the last of the best so far. Ids ascend, so an equal logit loses.
  float bar = -kInfinity;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] > bar)) continue;
    if (top.size() == count) {
      std::pop_heap(top.begin(), top.end(), ranks_before);
      top.pop_back();
    }
    top.push_back({logits[i], static_cast<TokenId>(i)});
    std::push_heap(top.begin(), top.end(), ranks_before);
    if (top.size() == count) bar = top.front().logit;
  }
  std::sort_heap(top.begin(), top.end(), ranks_before);
}

}  // namespace sluice
