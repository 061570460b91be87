// Checks shapes, counts the work in units and has the threads call the level's kernels. What a unit
// is depends on shapes alone; who computes it never decides how.
#include "kernels/cpu/vector_ops.h"

#include "kernels/cpu/shapes.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace sluice {
namespace {

#if defined(__x86_64__)
constexpr std::array kTables{
    &kAvx512Bf16Kernels, &kAvx512Kernels, &kAvx2Kernels, &kPortableKernels};
#else
constexpr std::array kTables{&kPortableKernels};
#endif

// Rough times on one thread, in nanoseconds. They only decide how work is cut.
constexpr double kByteNs = 0.1;       // of weights that come from memory
constexpr double kProductNs = 0.015;  // of a matrix product
constexpr double kElementNs = 0.25;   // of norms, rotations, copies
constexpr double kBlockNs = 0.05;     // of attention: a position times an element of a head
/// Work below this is not worth a barrier.
constexpr double kSmallNs = 4'000;
/// What a thread claims at once should not take longer.
constexpr double kClaimNs = 40'000;

class VectorOps final : public Ops {
 public:
  VectorOps(Device& device, const KernelTable& table, const ThreadPool::Options& pool)
      : device_(device), table_(table), pool_(pool), scratch_(pool.threads) {}

  [[nodiscard]] std::string_view level() const override { return table_.level; }
  [[nodiscard]] Device& device() override { return device_; }
  [[nodiscard]] ComputeStats compute_stats() const override {
    ThreadPool::Stats stats = pool_.stats();
    return {.threads = stats.taking_part, .worked = stats.worked, .lost = stats.lost};
  }

  Result<void> embed(
      Stream&, TensorView output, TensorView table, TensorView ids, float scale) override {
    check_embed(output, table, ids);
    auto width = output.dim(1);
    const auto* id = ids.as<std::int32_t>();
    share(output.dim(0), kElementNs * width, [&](Span rows, std::uint32_t) {
      for (std::int64_t row = rows.begin; row < rows.end; ++row)
        table_.scale(output.as<float>() + row * width,
                     table.rows(id[row], 1).data,
                     matrix_type(table),
                     width,
                     scale);
    });
    return {};
  }

  Result<void> rms_norm(
      Stream&, TensorView output, TensorView input, TensorView weight, float epsilon) override {
    check_rms_norm(output, input, weight);
    share_norm(output, input, weight, epsilon, false);
    return {};
  }

  Result<void> add_rms_norm(
      Stream&, TensorView output, TensorView input, TensorView weight, float epsilon) override {
    check_add_rms_norm(output, input, weight);
    share_norm(output, input, weight, epsilon, true);
    return {};
  }

  Result<void> linear(Stream&,
                      TensorView output,
                      TensorView input,
                      TensorView weight,
                      TensorView bias,
                      bool accumulate) override {
    if (check_linear(output, input, weight, bias).rows == 0) return {};
    LinearArgs args = linear_args({output, weight, bias}, input, accumulate);
    share(units_of(args.n), unit_ns(args), [&](Span units, std::uint32_t) {
      table_.linear(args, units.begin, units.end);
    });
    return {};
  }

  Result<void> project(Stream&,
                       TensorView input,
                       std::span<const Projection> projections) override {
    if (check_project(input, projections).rows == 0) return {};
    // One list of units: those of the first product, then those of the next.
    std::array<LinearArgs, kProjectionsMax> all{};
    std::int64_t units = 0;
    for (std::size_t i = 0; i < projections.size(); ++i) {
      all[i] = linear_args(projections[i], input, false);
      units += units_of(all[i].n);
    }
    share(units, unit_ns(all[0]), [&](Span span, std::uint32_t) {
      std::int64_t first = 0;
      for (std::size_t i = 0; i < projections.size(); ++i) {
        std::int64_t count = units_of(all[i].n);
        std::int64_t begin = std::max<std::int64_t>(span.begin - first, 0);
        std::int64_t end = std::min(span.end - first, count);
        if (begin < end) table_.linear(all[i], begin, end);
        first += count;
      }
    });
    return {};
  }

  Result<void> project_gated(Stream&,
                             TensorView output,
                             TensorView input,
                             const Projection& gate,
                             const Projection& up,
                             Activation activation) override {
    if (check_project_gated(output, input, gate, up).rows == 0) return {};
    GatedArgs args{output.data,
                   linear_args(gate, input, false),
                   linear_args(up, input, false),
                   output.dtype == DType::bf16,
                   activation == Activation::gelu_tanh};
    share(units_of(args.gate.n), 2 * unit_ns(args.gate), [&](Span units, std::uint32_t) {
      table_.gated(args, units.begin, units.end);
    });
    return {};
  }

  Result<void> rope(Stream&, TensorView heads, TensorView table, TensorView positions) override {
    check_rope(heads, table, positions);
    std::int64_t count = heads.dim(1);
    std::int64_t head_dim = heads.dim(2);
    double row_ns = kElementNs * static_cast<double>(count * head_dim);
    share(heads.dim(0), row_ns, [&](Span rows, std::uint32_t) {
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
    double row_ns = 2 * kElementNs * static_cast<double>(shape.kv_heads * shape.head_dim);
    share(shape.rows, row_ns, [&](Span rows, std::uint32_t) {
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
                       plan.windows.empty() ? nullptr : plan.windows.as<std::int32_t>(),
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
    double positions = 0;
    for (std::int64_t row = 0; row < shape.rows; ++row) {
      std::int64_t seen = std::int64_t{args.positions[row]} + 1;
      std::int32_t own = row_window(plan, row, window);
      positions += static_cast<double>(own > 0 ? std::min<std::int64_t>(seen, own) : seen);
    }
    double item_ns = kBlockNs * positions /
                     static_cast<double>(std::max<std::int64_t>(1, shape.rows)) *
                     static_cast<double>(shape.head_dim * shape.heads / shape.kv_heads);
    share(shape.rows * shape.kv_heads, item_ns, [&](Span items, std::uint32_t worker) {
      AttentionArgs own = args;
      own.scratch = scratch_[worker].data();
      table_.attention(own, items.begin, items.end);
    });
    return {};
  }

  Result<void> gate_mul(
      Stream&, TensorView output, TensorView gate, TensorView up, Activation activation) override {
    check_gate_mul(output, gate, up);
    std::size_t element_bytes = size_bytes(output.dtype);
    // Cut anywhere, rows or not: elements do not see each other.
    constexpr std::int64_t kUnit = 64;
    std::int64_t elements = output.elements();
    share((elements + kUnit - 1) / kUnit, 2 * kUnit * kElementNs, [&](Span units, std::uint32_t) {
      Span span{units.begin * kUnit, std::min(units.end * kUnit, elements)};
      table_.gate_mul(static_cast<std::byte*>(output.data) +
                          static_cast<std::size_t>(span.begin) * element_bytes,
                      output.dtype == DType::bf16,
                      gate.as<float>() + span.begin,
                      up.as<float>() + span.begin,
                      activation == Activation::gelu_tanh,
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

  void share_norm(
      TensorView output, TensorView input, TensorView weight, float epsilon, bool accumulate) {
    NormArgs args{output.data,
                  input.as<float>(),
                  weight.data,
                  input.dim(1),
                  epsilon,
                  output.dtype == DType::bf16,
                  weight.dtype == DType::bf16,
                  accumulate};
    double row_ns = kElementNs * static_cast<double>(input.dim(1));
    share(input.dim(0), row_ns, [&](Span rows, std::uint32_t) {
      table_.rms_norm(args, rows.begin, rows.end);
    });
  }

  static MatrixType matrix_type(TensorView matrix) {
    if (matrix.dtype == DType::bf16) return MatrixType::bf16;
    return matrix.dtype == DType::f16 ? MatrixType::f16 : MatrixType::f32;
  }

  static LinearArgs linear_args(const Projection& to, TensorView input, bool accumulate) {
    return {to.output.as<float>(),
            input.data,
            to.weight.data,
            to.bias.data,
            to.output.dim(0),
            to.weight.dim(0),
            to.weight.dim(1),
            matrix_type(to.weight),
            to.bias.dtype == DType::bf16,
            accumulate};
  }
  [[nodiscard]] std::int64_t units_of(std::int64_t columns) const {
    return (columns + table_.unit_columns - 1) / table_.unit_columns;
  }
  /// How long a unit of columns takes: reading weights, or, with many rows, multiplying.
  [[nodiscard]] double unit_ns(const LinearArgs& args) const {
    double read = kByteNs * (args.weight_type == MatrixType::f32 ? 4 : 2);
    double weight_ns = std::max(read, kProductNs * static_cast<double>(args.rows));
    return static_cast<double>(table_.unit_columns * args.k) * weight_ns;
  }

  /// Calls `work(span, worker)` with parts of [0, units) that take about `unit_ns` each, on the
  /// caller alone if that is little.
  template <class Work>
  void share(std::int64_t units, double unit_ns, Work&& work) {
    // Of very many, some are taken together.
    std::int64_t together = (units + ClaimRange::kUnitsMax - 1) / ClaimRange::kUnitsMax;
    if (together == 0) return;
    auto part = [&](Units claimed, std::uint32_t worker) {
      work(Span{claimed.begin * together, std::min(claimed.end * together, units)}, worker);
    };
    auto count = static_cast<std::uint32_t>((units + together - 1) / together);
    double most = kClaimNs / (unit_ns * static_cast<double>(together));
    if (count == 1 || static_cast<double>(units) * unit_ns < kSmallNs)
      pool_.run_alone(count, part);
    else
      pool_.share(count, static_cast<std::uint32_t>(std::clamp(most, 1.0, 65536.0)), part);
  }

  Device& device_;
  const KernelTable& table_;
  ThreadPool pool_;
  std::vector<std::vector<float>> scratch_;  ///< one a worker
};

}  // namespace

std::unique_ptr<Ops> make_vector_ops(Device& device,
                                     const KernelTable& table,
                                     const ThreadPool::Options& pool) {
  return std::make_unique<VectorOps>(device, table, pool);
}

std::span<const KernelTable* const> kernel_tables() {
  return kTables;
}

}  // namespace sluice
