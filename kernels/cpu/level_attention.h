// Causal attention over the paged cache. Part of level_kernels.h.
//
// Each row walks spans of eight blocks at absolute positions, in ascending order, with a running
// softmax: first all scores of a span, then its weights, then its values. A span is long enough
// that the steps that wait for each other (largest score, exponential, sum) are few beside those
// that do not. Positions a row must not see are never read; their weight is an exact zero. The
// query heads that share a kv head are computed side by side while the keys and values are in
// registers.
#pragma once

namespace sluice {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();
constexpr int kSpanBlocks = 8;
constexpr std::int64_t kSpanTokens = kSpanBlocks * kTableBlockTokens;

/// Where a block's keys and values of one head begin in the cache, and which of its positions a row
/// sees: [first, last).
struct BlockPlace {
  std::int64_t at;
  int first, last;
};

/// scores[g][t] = query g times key t, for the visible t. `queries` is padded with zeros to
/// `padded` elements a head.
template <int kHeads>
SLUICE_INLINE void block_scores(const float* queries,
                                std::int64_t padded,
                                const void* keys,
                                bool bf16,
                                std::int64_t head_dim,
                                const BlockPlace& block,
                                F* scores) {
  F sums[kHeads][kTableBlockTokens];
  if (block.last - block.first < kTableBlockTokens)
    for (int g = 0; g < kHeads; ++g)
      for (int t = 0; t < kTableBlockTokens; ++t)
        sums[g][t] = zero();
  const std::int64_t whole = head_dim - head_dim % kLanes;
  for (int t = block.first; t < block.last; ++t) {
    F acc[kHeads];
#pragma GCC unroll 8
    for (int g = 0; g < kHeads; ++g)
      acc[g] = zero();
    const std::int64_t key = block.at + t * head_dim;
    for (std::int64_t i = 0; i < whole; i += kLanes) {
      F k = load_any(keys, bf16, key + i);
#pragma GCC unroll 8
      for (int g = 0; g < kHeads; ++g)
        acc[g] = fma(load(queries + g * padded + i), k, acc[g]);
    }
    if (whole < head_dim) {
      F k = load_any_first(keys, bf16, key + whole, head_dim - whole);
#pragma GCC unroll 8
      for (int g = 0; g < kHeads; ++g)
        acc[g] = fma(load(queries + g * padded + whole), k, acc[g]);
    }
#pragma GCC unroll 8
    for (int g = 0; g < kHeads; ++g)
      sums[g][t] = acc[g];
  }
  for (int g = 0; g < kHeads; ++g)
    scores[g] = sum16(sums[g]);
}

/// outputs[g] = outputs[g] * keep[g] + sum over t of weights[g][t] * value t, ascending; kVectors
/// vectors of each head, the last of which has `left` elements if that is less than kLanes.
template <int kHeads, int kVectors>
SLUICE_INLINE void add_values(float* outputs,
                              std::int64_t padded,
                              const void* values,
                              bool bf16,
                              std::int64_t offset,
                              std::int64_t head_dim,
                              const BlockPlace* blocks,
                              int count,
                              const float (*weights)[kSpanTokens],
                              const F* keep) {
  const std::int64_t left = head_dim - offset;
  F acc[kHeads][kVectors];
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      acc[g][v] = mul(load(outputs + g * padded + offset + v * kLanes), keep[g]);
  for (int b = 0; b < count; ++b)
    for (int t = blocks[b].first; t < blocks[b].last; ++t) {
      const std::int64_t from = blocks[b].at + t * head_dim + offset;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        F value = kVectors > 1 || left >= kLanes ? load_any(values, bf16, from + v * kLanes)
                                                 : load_any_first(values, bf16, from, left);
#pragma GCC unroll 8
        for (int g = 0; g < kHeads; ++g)
          acc[g][v] = fma(splat(weights[g][b * kTableBlockTokens + t]), value, acc[g][v]);
      }
    }
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      store(outputs + g * padded + offset + v * kLanes, acc[g][v]);
}

/// How many positions a row sees at the most; 0: all.
std::int32_t row_window(const AttentionArgs& args, std::int64_t row) {
  const std::int32_t own = args.windows == nullptr ? 0 : args.windows[args.sequences[row]];
  return args.window == 0 || (own != 0 && own < args.window) ? own : args.window;
}

/// kHeads query heads from `head` on, of one row.
template <int kHeads>
void attend(const AttentionArgs& args, std::int64_t row, std::int64_t kv_head, std::int64_t head) {
  const std::int64_t head_dim = args.head_dim;
  const std::int64_t padded = (head_dim + kLanes - 1) / kLanes * kLanes;
  const std::int64_t whole = head_dim - head_dim % kLanes;
  float* queries = args.scratch;
  float* outputs = queries + kHeads * padded;
  const float* from = args.queries + (row * args.heads + head) * head_dim;
  for (int g = 0; g < kHeads; ++g)
    for (std::int64_t i = 0; i < padded; i += kLanes) {
      F query = i < whole ? load(from + g * head_dim + i)
                          : load_first(from + g * head_dim + i, head_dim - i);
      store(queries + g * padded + i, query);
      store(outputs + g * padded + i, zero());
    }

  F most[kHeads];   // the largest score so far, in all lanes
  F total[kHeads];  // the sum of weights so far, in all lanes
  for (int g = 0; g < kHeads; ++g) {
    most[g] = splat(kMinusInfinity);
    total[g] = zero();
  }
  const std::int64_t position = args.positions[row];
  const std::int32_t window = row_window(args, row);
  const std::int64_t begin = window > 0 && position >= window ? position - window + 1 : 0;
  const std::int32_t* table = args.tables + args.sequences[row] * args.table_blocks;
  std::int64_t block = begin / kTableBlockTokens;
  while (block <= position / kTableBlockTokens) {
    BlockPlace blocks[kSpanBlocks];
    float weights[kHeads][kSpanTokens];
    F span_most[kHeads];
    for (int g = 0; g < kHeads; ++g)
      span_most[g] = splat(kMinusInfinity);
    int count = 0;
    // A span ends at an absolute position, wherever this row's window began.
    do {
      const std::int64_t start = block * kTableBlockTokens;
      BlockPlace& place = blocks[count];
      place.at = (table[block] * args.kv_heads + kv_head) * kTableBlockTokens * head_dim;
      place.first = begin > start ? static_cast<int>(begin - start) : 0;
      place.last = position - start < kTableBlockTokens ? static_cast<int>(position - start + 1)
                                                        : static_cast<int>(kTableBlockTokens);
      F scores[kHeads];
      block_scores<kHeads>(queries, padded, args.keys, args.cache_bf16, head_dim, place, scores);
      for (int g = 0; g < kHeads; ++g) {
        F score = choose_range(
            mul(scores[g], splat(args.scale)), splat(kMinusInfinity), place.first, place.last);
        span_most[g] = maximum(span_most[g], score);
        store(weights[g] + count * kTableBlockTokens, score);
      }
      ++count;
      ++block;
    } while (block % kSpanBlocks != 0 && block <= position / kTableBlockTokens);

    F keep[kHeads];
    for (int g = 0; g < kHeads; ++g) {
      F now = maximum(most[g], splat(largest(span_most[g])));
      keep[g] = exponential(sub(most[g], now));
      F sums = zero();
      for (int b = 0; b < count; ++b) {
        float* at = weights[g] + b * kTableBlockTokens;
        F weight = exponential(sub(load(at), now));
        sums = add(sums, weight);
        store(at, weight);
      }
      total[g] = add(mul(total[g], keep[g]), splat(sum(sums)));
      most[g] = now;
    }
    auto add_some = [&]<int kVectors>(std::int64_t offset) __attribute__((always_inline)) {
      add_values<kHeads, kVectors>(outputs,
                                   padded,
                                   args.values,
                                   args.cache_bf16,
                                   offset,
                                   head_dim,
                                   blocks,
                                   count,
                                   weights,
                                   keep);
    };
    std::int64_t i = 0;
    for (; i + kValueVectors * kLanes <= head_dim; i += kValueVectors * kLanes)
      add_some.template operator()<kValueVectors>(i);
    for (; i < head_dim; i += kLanes)
      add_some.template operator()<1>(i);
  }

  const std::int64_t to = (row * args.heads + head) * head_dim;
  for (int g = 0; g < kHeads; ++g)
    for (std::int64_t i = 0; i < head_dim; i += kLanes) {
      F value = div(load(outputs + g * padded + i), total[g]);
      const std::int64_t left = head_dim - i;
      if (left >= kLanes)
        store_any(args.output, args.output_bf16, to + g * head_dim + i, value);
      else
        store_any_first(args.output, args.output_bf16, to + g * head_dim + i, value, left);
    }
}

void attention_items(const AttentionArgs& args, std::int64_t item_begin, std::int64_t item_end) {
  const std::int64_t group = args.heads / args.kv_heads;
  for (std::int64_t item = item_begin; item < item_end; ++item) {
    const std::int64_t kv_head = item / args.rows;
    const std::int64_t row = item % args.rows;
    const std::int64_t head = kv_head * group;
    std::int64_t g = 0;
    for (; g + 4 <= group; g += 4)
      attend<4>(args, row, kv_head, head + g);
    if (group - g == 3) attend<3>(args, row, kv_head, head + g);
    if (group - g == 2) attend<2>(args, row, kv_head, head + g);
    if (group - g == 1) attend<1>(args, row, kv_head, head + g);
  }
}

}  // namespace
}  // namespace sluice
