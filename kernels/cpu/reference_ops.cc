// Plain loops over rows, heads and positions.
#include "kernels/cpu/reference_ops.h"

#include "kernels/cpu/bf16.h"
#include "kernels/cpu/f16.h"
#include "kernels/cpu/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace sluice {
namespace {

float element(TensorView tensor, std::int64_t i) {
  if (tensor.dtype == DType::bf16) return from_bf16(tensor.as<std::uint16_t>()[i]);
  if (tensor.dtype == DType::f16) return from_f16(tensor.as<std::uint16_t>()[i]);
  return tensor.as<float>()[i];
}

void set_element(TensorView tensor, std::int64_t i, double value) {
  if (tensor.dtype == DType::bf16)
    tensor.as<std::uint16_t>()[i] = to_bf16(static_cast<float>(value));
  else
    tensor.as<float>()[i] = static_cast<float>(value);
}

double activated(double x, Activation activation) {
  if (activation == Activation::silu) return x / (1 + std::exp(-x));
  double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return x / 2 * (1 + std::tanh(u));
}

class ReferenceOps final : public Ops {
 public:
  explicit ReferenceOps(Device& device) : device_(device) {}

  [[nodiscard]] std::string_view level() const override { return "reference"; }
  [[nodiscard]] Device& device() override { return device_; }

  Result<void> embed(
      Stream&, TensorView output, TensorView table, TensorView ids, float scale) override {
    check_embed(output, table, ids);
    std::int64_t width = output.dim(1);
    for (std::int64_t row = 0; row < output.dim(0); ++row)
      for (std::int64_t i = 0; i < width; ++i)
        set_element(output,
                    row * width + i,
                    double{element(table, ids.as<std::int32_t>()[row] * width + i)} * scale);
    return {};
  }

  Result<void> rms_norm(
      Stream&, TensorView output, TensorView input, TensorView weight, float epsilon) override {
    check_rms_norm(output, input, weight);
    for_each_normed(input, weight, epsilon, [&](std::int64_t i, double normed) {
      set_element(output, i, normed);
    });
    return {};
  }

  Result<void> add_rms_norm(
      Stream&, TensorView output, TensorView input, TensorView weight, float epsilon) override {
    check_add_rms_norm(output, input, weight);
    for_each_normed(input, weight, epsilon, [&](std::int64_t i, double normed) {
      set_element(output, i, element(output, i) + normed);
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
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = 0; column < n; ++column) {
        double sum = 0;
        for (std::int64_t i = 0; i < k; ++i)
          sum += static_cast<double>(element(input, row * k + i)) * element(weight, column * k + i);
        if (!bias.empty()) sum += element(bias, column);
        if (accumulate) sum += element(output, row * n + column);
        set_element(output, row * n + column, sum);
      }
    return {};
  }

  Result<void> project(Stream& stream,
                       TensorView input,
                       std::span<const Projection> projections) override {
    check_project(input, projections);
    for (const Projection& one : projections)
      if (auto done = linear(stream, one.output, input, one.weight, one.bias, false); !done)
        return done;
    return {};
  }

  Result<void> project_gated(Stream& stream,
                             TensorView output,
                             TensorView input,
                             const Projection& gate,
                             const Projection& up,
                             Activation activation) override {
    check_project_gated(output, input, gate, up);
    std::array both{gate, up};
    if (auto done = project(stream, input, both); !done) return done;
    return gate_mul(stream, output, gate.output, up.output, activation);
  }

  Result<void> rope(Stream&, TensorView heads, TensorView table, TensorView positions) override {
    check_rope(heads, table, positions);
    std::int64_t count = heads.dim(1);
    std::int64_t width = heads.dim(2);
    for (std::int64_t row = 0; row < heads.dim(0); ++row) {
      const float* cosines = table.as<float>() + positions.as<std::int32_t>()[row] * width;
      const float* sines = cosines + width / 2;
      for (std::int64_t head = 0; head < count; ++head) {
        float* x = heads.as<float>() + (row * count + head) * width;
        for (std::int64_t i = 0; i < width / 2; ++i) {
          double a = x[i];
          double b = x[i + width / 2];
          x[i] = static_cast<float>(a * cosines[i] - b * sines[i]);
          x[i + width / 2] = static_cast<float>(b * cosines[i] + a * sines[i]);
        }
      }
    }
    return {};
  }

  Result<void> store_kv(Stream&,
                        const KvCache& cache,
                        TensorView keys,
                        TensorView values,
                        const RowPlan& plan) override {
    AttentionShape shape = check_store_kv(cache, keys, values, plan);
    for (std::int64_t row = 0; row < shape.rows; ++row)
      for (std::int64_t head = 0; head < shape.kv_heads; ++head) {
        std::int64_t to = place(plan, shape, row, head, plan.positions.as<std::int32_t>()[row]);
        std::int64_t from = (row * shape.kv_heads + head) * shape.head_dim;
        for (std::int64_t i = 0; i < shape.head_dim; ++i) {
          set_element(cache.keys, to + i, element(keys, from + i));
          set_element(cache.values, to + i, element(values, from + i));
        }
      }
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
    std::vector<double> weights;
    for (std::int64_t row = 0; row < shape.rows; ++row)
      for (std::int64_t head = 0; head < shape.heads; ++head) {
        std::int64_t kv_head = head / (shape.heads / shape.kv_heads);
        std::int64_t last = plan.positions.as<std::int32_t>()[row];
        std::int32_t own = row_window(plan, row, window);
        std::int64_t first = own == 0 ? 0 : std::max<std::int64_t>(0, last - own + 1);
        std::int64_t query = (row * shape.heads + head) * shape.head_dim;
        weights.clear();
        double largest = -std::numeric_limits<double>::infinity();
        for (std::int64_t position = first; position <= last; ++position) {
          std::int64_t key = place(plan, shape, row, kv_head, position);
          double score = 0;
          for (std::int64_t i = 0; i < shape.head_dim; ++i)
            score +=
                static_cast<double>(element(queries, query + i)) * element(cache.keys, key + i);
          weights.push_back(score * scale);
          largest = std::max(largest, weights.back());
        }
        double sum = 0;
        for (double& weight : weights)
          sum += weight = std::exp(weight - largest);
        for (std::int64_t i = 0; i < shape.head_dim; ++i) {
          double value = 0;
          for (std::int64_t position = first; position <= last; ++position)
            value += weights[static_cast<std::size_t>(position - first)] *
                     element(cache.values, place(plan, shape, row, kv_head, position) + i);
          set_element(output, query + i, value / sum);
        }
      }
    return {};
  }

  Result<void> gate_mul(
      Stream&, TensorView output, TensorView gate, TensorView up, Activation activation) override {
    check_gate_mul(output, gate, up);
    for (std::int64_t i = 0; i < output.elements(); ++i)
      set_element(output, i, activated(element(gate, i), activation) * element(up, i));
    return {};
  }

  Result<void> gather_rows(Stream&, TensorView output, TensorView input, TensorView rows) override {
    check_gather_rows(output, input, rows);
    for (std::int64_t row = 0; row < output.dim(0); ++row)
      for (std::int64_t i = 0; i < output.dim(1); ++i)
        set_element(output,
                    row * output.dim(1) + i,
                    element(input, rows.as<std::int32_t>()[row] * output.dim(1) + i));
    return {};
  }

 private:
  /// Calls `take(i, normed)` for each element of `input`, row by row; `take` may write to element
  /// i.
  template <class Take>
  static void for_each_normed(TensorView input, TensorView weight, float epsilon, Take take) {
    std::int64_t width = input.dim(1);
    for (std::int64_t row = 0; row < input.dim(0); ++row) {
      double squares = 0;
      for (std::int64_t i = 0; i < width; ++i) {
        double x = element(input, row * width + i);
        squares += x * x;
      }
      double factor = 1 / std::sqrt(squares / static_cast<double>(width) + epsilon);
      for (std::int64_t i = 0; i < width; ++i)
        take(row * width + i, element(input, row * width + i) * factor * element(weight, i));
    }
  }

  /// Where the vector of (sequence of `row`, kv head, position) begins in the cache.
  static std::int64_t place(const RowPlan& plan,
                            const AttentionShape& shape,
                            std::int64_t row,
                            std::int64_t kv_head,
                            std::int64_t position) {
    std::int64_t sequence = plan.sequences.as<std::int32_t>()[row];
    std::int64_t block =
        plan.block_tables.as<std::int32_t>()[sequence * shape.blocks + position / kBlockTokens];
    return ((block * shape.kv_heads + kv_head) * kBlockTokens + position % kBlockTokens) *
           shape.head_dim;
  }

  Device& device_;
};

}  // namespace

std::unique_ptr<Ops> make_reference_ops(Device& device) {
  return std::make_unique<ReferenceOps>(device);
}

}  // namespace sluice
