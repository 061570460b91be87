// Checks shapes, cuts the work among threads and calls the level's kernels. The cuts only decide
// who computes an element, never how.
#include "kernels/cpu/vector_ops.h"

#include "kernels/cpu/shapes.h"
#include "kernels/cpu/thread_pool.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace sluice {
namespace {

/// Work smaller than this many touched elements is not worth a barrier.
constexpr std::int64_t kSmallWork = 4096;

class VectorOps final : public Ops {
 public:
  VectorOps(Device& device, const KernelTable& table, std::uint32_t threads)
      : device_(device), table_(table), pool_(threads), scratch_(threads) {}

  [[nodiscard]] std::string_view level() const override { return table_.level; }
  [[nodiscard]] Device& device() override { return device_; }

  Result<void> embed(Stream&, TensorView output, TensorView table, TensorView ids) override {
    check_embed(output, table, ids);
    std::int64_t width = output.dim(1);
    const auto* id = ids.as<std::int32_t>();
    share(output.dim(0), 1, output.elements(), [&](Span rows) {
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        float* to = output.as<float>() + row * width;
        if (table.dtype == DType::bf16)
          table_.widen(to, table.as<std::uint16_t>() + id[row] * width, width);
        else
          copy(to, table.as<float>() + id[row] * width, width);
      }
    });
    return {};
  }

  Result<void> rms_norm(
      Stream&, TensorView output, TensorView input, TensorView weight, float epsilon) override {
    check_rms_norm(output, input, weight);
    NormArgs args{output.data,
                  input.as<float>(),
                  weight.data,
                  input.dim(1),
                  epsilon,
                  output.dtype == DType::bf16,
                  weight.dtype == DType::bf16};
    share(input.dim(0), 1, input.elements(), [&](Span rows) {
      table_.rms_norm(args, rows.begin, rows.end);
    });
    return {};
  }

  Result<void> linear(Stream&,
                      TensorView output,
                      TensorView input,
                      TensorView weight,
                      TensorView bias,
                      bool accumulate) override {
    auto [rows, n, k] = check_linear(output, input, weight, bias);
    LinearArgs args{output.as<float>(),
                    input.data,
                    weight.data,
                    bias.data,
                    rows,
                    n,
                    k,
                    weight.dtype == DType::bf16,
                    bias.dtype == DType::bf16,
                    accumulate};
    if (rows == 0) return {};
    share(n, table_.column_unit, rows * n * k / 16, [&](Span columns) {
      table_.linear(args, columns.begin, columns.end);
    });
    return {};
  }

  Result<void> rope(Stream&, TensorView heads, TensorView table, TensorView positions) override {
    check_rope(heads, table, positions);
    std::int64_t count = heads.dim(1);
    std::int64_t head_dim = heads.dim(2);
    share(heads.dim(0), 1, heads.elements(), [&](Span rows) {
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        const float* cosines = table.as<float>() + positions.as<std::int32_t>()[row] * head_dim;
        table_.rope(heads.as<float>() + row * count * head_dim,
                    count,
                    head_dim,
                    cosines,
                    cosines + head_dim / 2);
      }
    });
    return {};
  }

  Result<void> store_kv(Stream&,
                        const KvCache& cache,
                        TensorView keys,
                        TensorView values,
                        const RowPlan& plan) override {
    AttentionShape shape = check_store_kv(cache, keys, values, plan);
    StoreArgs args{cache.keys.data,
                   keys.as<float>(),
                   plan.positions.as<std::int32_t>(),
                   plan.sequences.as<std::int32_t>(),
                   plan.block_tables.as<std::int32_t>(),
                   shape.kv_heads,
                   shape.head_dim,
                   shape.blocks,
                   cache.keys.dtype == DType::bf16};
    StoreArgs value_args = args;
    value_args.cache = cache.values.data;
    value_args.input = values.as<float>();
    share(shape.rows, 1, 2 * keys.elements(), [&](Span rows) {
      table_.store_kv(args, rows.begin, rows.end);
      table_.store_kv(value_args, rows.begin, rows.end);
    });
    return {};
  }

  Result<void> attention(Stream&,
                         TensorView output,
                         TensorView queries,
                         const KvCache& cache,
                         const RowPlan& plan,
                         float scale,
                         std::int32_t window) override {
    AttentionShape shape = check_attention(output, queries, cache, plan, window);
    AttentionArgs args{output.data,
                       queries.as<float>(),
                       cache.keys.data,
                       cache.values.data,
                       plan.positions.as<std::int32_t>(),
                       plan.sequences.as<std::int32_t>(),
                       plan.block_tables.as<std::int32_t>(),
                       nullptr,
                       shape.rows,
                       shape.heads,
                       shape.kv_heads,
                       shape.head_dim,
                       shape.blocks,
                       scale,
                       window,
                       cache.keys.dtype == DType::bf16,
                       output.dtype == DType::bf16};
    std::int64_t padded = (shape.head_dim + 15) / 16 * 16;
    for (auto& scratch : scratch_)
      scratch.resize(static_cast<std::size_t>(2 * kAttentionGroupMax * padded));
    // Rows far into their sequence cost more: each thread takes a run of items of equal cost.
    std::int64_t row_costs = 0;
    for (std::int64_t row = 0; row < shape.rows; ++row)
      row_costs += cost(args, row);
    std::int64_t total = row_costs * shape.kv_heads;
    auto work = [&](std::uint32_t worker, std::uint32_t workers) {
      AttentionArgs own = args;
      own.scratch = scratch_[worker].data();
      Span span{find_item(args, row_costs, total * worker / workers),
                find_item(args, row_costs, total * (worker + 1) / workers)};
      if (span.begin < span.end) table_.attention(own, span.begin, span.end);
    };
    bool small = total * shape.head_dim * shape.heads / shape.kv_heads < kSmallWork;
    run(small, work);
    return {};
  }

  Result<void> silu_mul(Stream&, TensorView output, TensorView gate, TensorView up) override {
    check_silu_mul(output, gate, up);
    std::size_t element_bytes = size_bytes(output.dtype);
    // Cut anywhere, rows or not: elements do not see each other.
    share(output.elements(), 64, 2 * output.elements(), [&](Span span) {
      table_.silu_mul(static_cast<std::byte*>(output.data) +
                          static_cast<std::size_t>(span.begin) * element_bytes,
                      output.dtype == DType::bf16,
                      gate.as<float>() + span.begin,
                      up.as<float>() + span.begin,
                      span.end - span.begin);
    });
    return {};
  }

  Result<void> gather_rows(Stream&, TensorView output, TensorView input, TensorView rows) override {
    check_gather_rows(output, input, rows);
    std::int64_t width = output.dim(1);
    for (std::int64_t row = 0; row < output.dim(0); ++row)
      copy(output.as<float>() + row * width,
           input.as<float>() + rows.as<std::int32_t>()[row] * width,
           width);
    return {};
  }

 private:
  static void copy(float* to, const float* from, std::int64_t count) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(float));
  }

  /// Blocks a row walks.
  static std::int64_t cost(const AttentionArgs& args, std::int64_t row) {
    std::int64_t last = args.positions[row];
    std::int64_t first = args.window > 0 ? std::max<std::int64_t>(0, last - args.window + 1) : 0;
    return last / kBlockTokens - first / kBlockTokens + 1;
  }

  /// The first item whose predecessors together cost at least `wanted`.
  static std::int64_t find_item(const AttentionArgs& args,
                                std::int64_t row_costs,
                                std::int64_t wanted) {
    if (row_costs == 0) return 0;
    std::int64_t kv_head = wanted / row_costs;
    std::int64_t left = wanted % row_costs;
    std::int64_t row = 0;
    for (; left > 0; ++row)
      left -= cost(args, row);
    return kv_head * args.rows + row;
  }

  template <class Work>
  void run(bool small, Work&& work) {
    if (small)
      pool_.run_alone([&](std::uint32_t) { work(0, 1); });
    else
      pool_.run([&](std::uint32_t worker) { work(worker, pool_.threads()); });
  }

  /// Calls `work` with parts of [0, count), cut at multiples of `unit`; on the caller alone if
  /// `elements` are few.
  template <class Work>
  void share(std::int64_t count, std::int64_t unit, std::int64_t elements, Work&& work) {
    run(elements < kSmallWork || count <= unit, [&](std::uint32_t worker, std::uint32_t workers) {
      Span span = cut(count, unit, worker, workers);
      if (span.begin < span.end) work(span);
    });
  }

  Device& device_;
  const KernelTable& table_;
  ThreadPool pool_;
  std::vector<std::vector<float>> scratch_;  ///< one a worker
};

}  // namespace

std::unique_ptr<Ops> make_vector_ops(Device& device,
                                     const KernelTable& table,
                                     std::uint32_t threads) {
  return std::make_unique<VectorOps>(device, table, threads);
}

}  // namespace sluice
