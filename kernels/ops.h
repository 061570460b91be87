// The operations models are made of, with their shapes. START HERE.
//
// One rule stands above speed: the bits of a row depend on that row alone, never on the other rows
// of the call, on how a prompt was cut into calls, nor on the number of threads. So every sum runs
// in an order that is fixed by the shapes of the weights and by absolute positions.
#pragma once

#include "base/result.h"
#include "gpu/device.h"
#include "gpu/tensor.h"
#include "kernels/compute_stats.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// Tokens in a block of the KV cache.
inline constexpr std::int32_t kBlockTokens = 16;

/// Where the rows of a step stand and where their keys and values lie. Planned once a step, used by
/// all layers. A block id is the same in every layer.
struct RowPlan {
  TensorView positions;     ///< [rows] i32: absolute position of each row's token
  TensorView sequences;     ///< [rows] i32: each row's line of `block_tables`
  TensorView block_tables;  ///< [sequences, blocks] i32: block ids, in the order of positions
  /// [sequences] i32: positions that a row sees at the most, 0: all; or empty: all see all.
  TensorView windows = {};
};

/// Of two windows the one that counts, the smaller; 0 is none.
constexpr std::int32_t narrower(std::int32_t a, std::int32_t b) {
  return a == 0 || (b != 0 && b < a) ? b : a;
}

/// The keys or values of one layer, f32 | bf16.
///   cache [block_count, kv_heads, kBlockTokens, head_dim]
struct KvCache {
  TensorView keys;
  TensorView values;
};

/// One of several products of the same input: output = input * weight^T (+ bias).
struct Projection {
  TensorView output;  ///< [rows, n] f32
  TensorView weight;  ///< [n, k] f32 | bf16 | f16
  TensorView bias;    ///< [n] f32 | bf16, or empty
};
/// The most projections of a call.
inline constexpr std::size_t kProjectionsMax = 4;

/// What a gate passes through. Source: Elfwing et al. 2017 (silu, x * sigmoid(x)); Hendrycks and
/// Gimpel 2016 (gelu, here with its tanh: x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))).
enum class Activation : std::uint8_t { silu, gelu_tanh };

/// The type of what is multiplied by weights of a type: bf16 by bf16, all others by f32. Halves
/// have too small a range for activations (65504), and f32 makes products with them those of the
/// widened weights, to the bit.
constexpr DType linear_input_type(DType weight) {
  return weight == DType::bf16 ? DType::bf16 : DType::f32;
}

/// The operations on one device. Activations between operations are f32; the inputs of `linear` may
/// be rounded to the storage type of the weights (bf16) by the operation that makes them.
/// Asynchronous on `stream` (the CPU does the work at once). Owner: one model; not thread-safe.
/// Errors of all: device_lost. Wrong shapes are a broken invariant (CHECK).
class Ops {
 public:
  virtual ~Ops() = default;

  /// What computes: "reference", "portable", "avx2", "avx512", "avx512bf16". Part of the numerics
  /// fingerprint.
  [[nodiscard]] virtual std::string_view level() const = 0;
  [[nodiscard]] virtual Device& device() = 0;

  /// output[r] = table[ids[r]] * scale, rounded once.
  ///   output [rows, width] f32    table [vocabulary, width] f32 | bf16 | f16    ids [rows] i32
  virtual Result<void> embed(
      Stream& stream, TensorView output, TensorView table, TensorView ids, float scale) = 0;

  /// Normalizes each row by its root mean square and scales it by `weight`.
  ///   output [rows, width] f32 | bf16    input [rows, width] f32    weight [width] f32 | bf16
  ///   `output` may be `input` if both are f32. Heads are normalized by passing [rows * heads,
  ///   head_dim]. Source: Zhang and Sennrich 2019, equation 4.
  virtual Result<void> rms_norm(
      Stream& stream, TensorView output, TensorView input, TensorView weight, float epsilon) = 0;

  /// output += `rms_norm` of `input`.
  ///   output, input [rows, width] f32, not the same    weight [width] f32 | bf16
  virtual Result<void> add_rms_norm(
      Stream& stream, TensorView output, TensorView input, TensorView weight, float epsilon) = 0;

  /// output = input * weight^T (+ bias), or output += that, in the order: sum over k, bias, then
  /// the old output.
  ///   output [rows, n] f32    input [rows, k] of the `linear_input_type` of `weight`
  ///   weight [n, k] f32 | bf16 | f16    bias [n] f32 | bf16, or empty
  virtual Result<void> linear(Stream& stream,
                              TensorView output,
                              TensorView input,
                              TensorView weight,
                              TensorView bias,
                              bool accumulate) = 0;

  /// `linear` with each of up to kProjectionsMax weights of the same type, without accumulating.
  ///   input [rows, k]
  virtual Result<void> project(Stream& stream,
                               TensorView input,
                               std::span<const Projection> projections) = 0;

  /// `project` to gate and up, then `gate_mul` of the two.
  ///   output [rows, n] f32 | bf16, not one of the others    input [rows, k]
  virtual Result<void> project_gated(Stream& stream,
                                     TensorView output,
                                     TensorView input,
                                     const Projection& gate,
                                     const Projection& up,
                                     Activation activation) = 0;

  /// Rotates pairs (i, i + head_dim / 2) of every head by the angles of its row's position, in
  /// place.
  ///   heads [rows, count, head_dim] f32    positions [rows] i32
  ///   table [positions_max, head_dim] f32: first half cosines, second half sines (already scaled
  ///   for attention) Source: Su et al. 2021, in the half-split layout of Hugging Face models.
  virtual Result<void> rope(Stream& stream,
                            TensorView heads,
                            TensorView table,
                            TensorView positions) = 0;

  /// Writes keys and values of all rows to their places in the cache, rounded to the cache's type.
  ///   keys, values [rows, kv_heads, head_dim] f32
  virtual Result<void> store_kv(Stream& stream,
                                const KvCache& cache,
                                TensorView keys,
                                TensorView values,
                                const RowPlan& plan) = 0;

  /// Causal attention of each row over positions [max(0, p - w + 1), p] of its sequence, where w is
  /// the narrower of `window` and what the plan has for the sequence, read from the cache (the
  /// row's own key included). Grouped heads: query head h uses kv head h /
  /// (heads / kv_heads). Walks the cache in spans of a fixed number of blocks at absolute
  /// positions, in ascending order, with a running softmax.
  ///   output [rows, heads, head_dim] f32 | bf16
  ///   queries [rows, heads, head_dim] f32
  ///   window  of the layer; 0: none
  /// Source: Milakov and Gimelshein 2018 (online softmax); Kwon et al. 2023 (paged cache).
  virtual Result<void> attention(Stream& stream,
                                 TensorView output,
                                 TensorView queries,
                                 const KvCache& cache,
                                 const RowPlan& plan,
                                 float scale,
                                 std::int32_t window) = 0;

  /// output = activation(gate) * up.
  ///   output [rows, n] f32 | bf16    gate, up [rows, n] f32
  ///   `output` may be `gate` or `up` if it is f32. Source: Shazeer 2020.
  virtual Result<void> gate_mul(
      Stream& stream, TensorView output, TensorView gate, TensorView up, Activation activation) = 0;

  /// output[i] = input[rows[i]].
  ///   output [count, width] f32    input [n, width] f32    rows [count] i32
  virtual Result<void> gather_rows(Stream& stream,
                                   TensorView output,
                                   TensorView input,
                                   TensorView rows) = 0;

  /// Of threads of ours; a device that computes by itself has none.
  [[nodiscard]] virtual ComputeStats compute_stats() const { return {}; }
};

/// The operations of a device.
///   level    "auto" (the best this machine has), or a name as `Ops::level` gives it
///   threads  compute threads, >= 1; results do not depend on it
/// Errors: not_found (no such level), unavailable (the machine lacks it).
Result<std::unique_ptr<Ops>> make_ops(Device& device,
                                      const std::string& level,
                                      std::uint32_t threads);

}  // namespace sluice
