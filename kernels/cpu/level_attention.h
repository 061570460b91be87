// Causal attention over the paged cache. Part of level_kernels.h.
//
// Each row walks blocks of sixteen positions at absolute places in ascending order with a running
// softmax: the scores of a block are one vector. Positions a row must not see are never read; their
// weight is an exact zero. The query heads that share a kv head are computed side by side while the
// keys and values are in registers.
#pragma once

namespace sluice {
namespace {

constexpr float kMinusInfinity = -__builtin_inff();

/// The positions of a block that a row sees: [first, last).
struct BlockRange {
  int first, last;
};

/// scores[g][t] = query g times key t, for t in `range`. `queries` is padded with zeros to `padded`
/// elements a head.
template <int kHeads>
SLUICE_INLINE void block_scores(const float* queries,
                                std::int64_t padded,
                                const void* keys,
                                bool bf16,
                                std::int64_t at,
                                std::int64_t head_dim,
                                BlockRange range,
                                F* scores) {
  F sums[kHeads][kTableBlockTokens];
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g)
    for (int t = 0; t < kTableBlockTokens; ++t)
      sums[g][t] = zero();
  const std::int64_t whole = head_dim - head_dim % kLanes;
  for (int t = range.first; t < range.last; ++t) {
    F acc[kHeads];
#pragma GCC unroll 8
    for (int g = 0; g < kHeads; ++g)
      acc[g] = zero();
    const std::int64_t key = at + t * head_dim;
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
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g)
    scores[g] = sum16(sums[g]);
}

/// outputs[g] = outputs[g] * keep[g] + sum over t of weights[g][t] * value t, ascending.
template <int kHeads, int kVectors>
SLUICE_INLINE void add_values(float* outputs,
                              std::int64_t padded,
                              const void* values,
                              bool bf16,
                              std::int64_t at,
                              std::int64_t head_dim,
                              BlockRange range,
                              const float (*weights)[kTableBlockTokens],
                              const F* keep,
                              std::int64_t left) {
  F acc[kHeads][kVectors];
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      acc[g][v] = mul(load(outputs + g * padded + v * kLanes), keep[g]);
  for (int t = range.first; t < range.last; ++t)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const std::int64_t from = at + t * head_dim + v * kLanes;
      F value =
          left >= kLanes ? load_any(values, bf16, from) : load_any_first(values, bf16, from, left);
#pragma GCC unroll 8
      for (int g = 0; g < kHeads; ++g)
        acc[g][v] = fma(splat(weights[g][t]), value, acc[g][v]);
    }
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g)
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v)
      store(outputs + g * padded + v * kLanes, acc[g][v]);
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
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g)
    for (std::int64_t i = 0; i < padded; i += kLanes) {
      F query = i < whole ? load(from + g * head_dim + i)
                          : load_first(from + g * head_dim + i, head_dim - i);
      store(queries + g * padded + i, query);
      store(outputs + g * padded + i, zero());
    }

  F most[kHeads];   // the largest score so far, in all lanes
  F total[kHeads];  // the sum of weights so far, in all lanes
#pragma GCC unroll 8
  for (int g = 0; g < kHeads; ++g) {
    most[g] = splat(kMinusInfinity);
    total[g] = zero();
  }
  const std::int64_t position = args.positions[row];
  const std::int64_t begin =
      args.window > 0 && position >= args.window ? position - args.window + 1 : 0;
  const std::int32_t* table = args.tables + args.sequences[row] * args.table_blocks;
  for (std::int64_t block = begin / kTableBlockTokens; block <= position / kTableBlockTokens;
       ++block) {
    const std::int64_t start = block * kTableBlockTokens;
    BlockRange range{0, static_cast<int>(kTableBlockTokens)};
    if (begin > start) range.first = static_cast<int>(begin - start);
    if (position - start < kTableBlockTokens) range.last = static_cast<int>(position - start + 1);
    const std::int64_t at = (table[block] * args.kv_heads + kv_head) * kTableBlockTokens * head_dim;

    F scores[kHeads];
    block_scores<kHeads>(queries, padded, args.keys, args.cache_bf16, at, head_dim, range, scores);
    F keep[kHeads];
    float weights[kHeads][kTableBlockTokens];
#pragma GCC unroll 8
    for (int g = 0; g < kHeads; ++g) {
      F score = choose_range(
          mul(scores[g], splat(args.scale)), splat(kMinusInfinity), range.first, range.last);
      F now = maximum(most[g], splat(largest(score)));
      F weight = exponential(sub(score, now));
      keep[g] = exponential(sub(most[g], now));
      total[g] = add(mul(total[g], keep[g]), splat(sum(weight)));
      most[g] = now;
      store(weights[g], weight);
    }
    std::int64_t i = 0;
    for (; i + 4 * kLanes <= head_dim; i += 4 * kLanes)
      add_values<kHeads, 4>(outputs + i,
                            padded,
                            args.values,
                            args.cache_bf16,
                            at + i,
                            head_dim,
                            range,
                            weights,
                            keep,
                            kLanes);
    for (; i < head_dim; i += kLanes)
      add_values<kHeads, 1>(outputs + i,
                            padded,
                            args.values,
                            args.cache_bf16,
                            at + i,
                            head_dim,
                            range,
                            weights,
                            keep,
                            head_dim - i);
  }

  const std::int64_t to = (row * args.heads + head) * head_dim;
#pragma GCC unroll 8
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
