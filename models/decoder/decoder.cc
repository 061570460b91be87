#include "models/decoder/decoder.h"

#include "base/check.h"
#include "base/hash.h"
#include "gpu/arena.h"
#include "kernels/cpu/bf16.h"
#include "kernels/ops.h"
#include "models/checkpoint/config.h"
#include "models/checkpoint/model_files.h"
#include "models/decoder/rope.h"
#include "models/decoder/step_inputs.h"
#include "models/decoder/weights.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <optional>
#include <utility>

// Hands an error on. The steps below are lists of operations; a line each keeps them readable.
#define RETURN_IF_ERROR(call)                                 \
  do {                                                        \
    if (auto result = (call); !result) return result.error(); \
  } while (false)

namespace sluice {
namespace {

/// Everything between two layers, for as many rows as a step may have. Inputs of `linear` are of
/// the type that its weights want, all else is f32.
struct Activations {
  TensorView hidden;             // [rows, width]: the residual stream
  TensorView normed;             // [rows, width], input of `linear`
  TensorView query, key, value;  // [rows, heads or kv_heads * head_dim]
  TensorView attended;           // [rows, heads * head_dim], so
  TensorView gate, up;           // [rows, feed_forward_width]
  TensorView branch;             // [rows, width]: what a norm passes on to `hidden`
  TensorView fed;                // [rows, feed_forward_width], so
  TensorView chosen;             // [logit_rows, width]
  TensorView chosen_normed;      // [logit_rows, width], so
  TensorView logits;             // [logit_rows, vocabulary]
};

class Decoder final : public Model {
 public:
  Decoder(DecoderConfig config,
          std::unique_ptr<Device> device,
          std::unique_ptr<Ops> ops,
          std::unique_ptr<Stream> stream,
          std::unique_ptr<Event> done,
          DecoderWeights weights,
          std::uint64_t config_hash,
          std::uint64_t tokenizer_hash);

  [[nodiscard]] const ModelInfo& info() const override { return info_; }
  Result<void> allocate(const ModelLimits& limits) override;
  Result<void> launch(const StepBatch& batch) override;
  Result<std::span<float>> wait() override;
  [[nodiscard]] ComputeStats compute_stats() const override { return ops_->compute_stats(); }
  [[nodiscard]] bool is_intact() const override { return weights_.checkpoint.is_intact(); }

 private:
  Result<void> allocate_activations();
  Result<TensorView> make_rope_table(const RopeConfig& rope, std::unique_ptr<Buffer>& buffer);
  Result<void> run_layer(const Step& step, std::size_t layer);
  Result<void> run_attention(const Step& step, std::size_t layer);
  Result<void> run_feed_forward(const Step& step, const DecoderLayer& weights);
  Result<void> run_head(const Step& step);
  Result<void> add_branch(
      const Step& step, TensorView input, TensorView weight, TensorView bias, TensorView post_norm);
  [[nodiscard]] KvCache cache_of(std::size_t layer) const;

  DecoderConfig config_;
  std::unique_ptr<Device> device_;  // outlives all that lies in it
  std::unique_ptr<Ops> ops_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Event> done_;
  DecoderWeights weights_;
  float embedding_scale_;
  ModelInfo info_;

  ModelLimits limits_;
  std::int32_t positions_max_ = 0;  // what fits into the blocks, at most the context
  std::unique_ptr<Buffer> kv_;      // [layers, 2, blocks, kv_heads, kBlockTokens, head_dim]
  std::unique_ptr<Buffer> rope_buffer_;
  std::unique_ptr<Buffer> local_rope_buffer_;  // null: layers with a window turn as the others do
  TensorView rope_table_;                      // [positions_max, head_dim]
  TensorView local_rope_table_;                // of layers with a window
  StepInputs inputs_;
  std::optional<Arena> arena_;
  Activations activations_;
  std::unique_ptr<Buffer> logits_host_;  // null: the activations can be read directly
  std::size_t logit_count_ = 0;          // of the last step
};

Decoder::Decoder(DecoderConfig config,
                 std::unique_ptr<Device> device,
                 std::unique_ptr<Ops> ops,
                 std::unique_ptr<Stream> stream,
                 std::unique_ptr<Event> done,
                 DecoderWeights weights,
                 std::uint64_t config_hash,
                 std::uint64_t tokenizer_hash)
    : config_(std::move(config)),
      device_(std::move(device)),
      ops_(std::move(ops)),
      stream_(std::move(stream)),
      done_(std::move(done)),
      weights_(std::move(weights)),
      embedding_scale_(embedding_scale(config_, weights_.storage)) {
  // To be raised whenever the order of operations here changes a bit of the result.
  constexpr std::uint64_t kNumericsVersion = 1;
  info_.architecture = config_.architecture;
  info_.vocabulary = config_.vocabulary;
  info_.context = config_.context;
  info_.kv_block_bytes = kv_block_bytes(config_, weights_.storage);
  info_.parameters = weights_.parameters;
  info_.weight_bytes = weights_.weight_bytes;
  std::uint64_t fingerprint = mix64(weights_.checkpoint.hash() ^ kNumericsVersion);
  fingerprint = mix64(fingerprint ^ config_hash);
  fingerprint = hash_bytes(to_string(weights_.storage), fingerprint);
  fingerprint = hash_bytes(device_->name(), fingerprint);
  info_.fingerprint = hash_bytes(ops_->level(), fingerprint);
  info_.tokenizer = tokenizer_hash;
  info_.files = weights_.checkpoint.digests();
}

Result<void> Decoder::allocate(const ModelLimits& limits) {
  CHECK(kv_ == nullptr);
  CHECK(limits.blocks >= 1 && limits.rows >= 1 && limits.sequences >= 1 && limits.logit_rows >= 1);
  limits_ = limits;
  std::int64_t held = std::int64_t{limits.blocks} * kBlockTokens;
  positions_max_ = static_cast<std::int32_t>(std::min<std::int64_t>(config_.context, held));
  auto kv = device_->allocate(info_.kv_block_bytes * static_cast<std::size_t>(limits.blocks));
  if (!kv) return kv.error();
  kv_ = std::move(*kv);
  auto table = make_rope_table(config_.rope, rope_buffer_);
  if (!table) return table.error();
  rope_table_ = local_rope_table_ = *table;
  if (config_.local_rope) {
    auto local = make_rope_table(*config_.local_rope, local_rope_buffer_);
    if (!local) return local.error();
    local_rope_table_ = *local;
  }
  RETURN_IF_ERROR(inputs_.allocate(*device_, limits, positions_max_));
  return allocate_activations();
}

Result<TensorView> Decoder::make_rope_table(const RopeConfig& rope,
                                            std::unique_ptr<Buffer>& buffer) {
  std::size_t elements =
      static_cast<std::size_t>(positions_max_) * static_cast<std::size_t>(config_.head_dim);
  auto allocated = device_->allocate(elements * sizeof(float));
  if (!allocated) return allocated.error();
  buffer = std::move(*allocated);
  TensorView table(buffer->data(), DType::f32, {positions_max_, config_.head_dim});
  if (device_->is_host()) {
    fill_rope_table(rope, positions_max_, config_.head_dim, {table.as<float>(), elements});
    return table;
  }
  std::vector<float> staging(elements);
  fill_rope_table(rope, positions_max_, config_.head_dim, staging);
  RETURN_IF_ERROR(device_->copy_to_device(
      *stream_, table.data, staging.data(), staging.size() * sizeof(float)));
  RETURN_IF_ERROR(stream_->synchronize());
  return table;
}

Result<void> Decoder::allocate_activations() {
  Activations& a = activations_;
  DType input = linear_input_type(weights_.storage);
  std::int64_t width = config_.width;
  std::int64_t query = std::int64_t{config_.heads} * config_.head_dim;
  std::int64_t key = std::int64_t{config_.kv_heads} * config_.head_dim;
  std::int64_t inner = config_.feed_forward_width;
  struct Piece {
    TensorView& view;
    DType dtype;
    std::int64_t rows;
    std::int64_t columns;
  };
  const Piece pieces[] = {
      {a.hidden, DType::f32, limits_.rows, width},
      {a.normed, input, limits_.rows, width},
      {a.query, DType::f32, limits_.rows, query},
      {a.key, DType::f32, limits_.rows, key},
      {a.value, DType::f32, limits_.rows, key},
      {a.attended, input, limits_.rows, query},
      {a.gate, DType::f32, limits_.rows, inner},
      {a.up, DType::f32, limits_.rows, inner},
      {a.branch, DType::f32, config_.post_norms ? limits_.rows : 0, width},
      {a.fed, input, limits_.rows, inner},
      {a.chosen, DType::f32, limits_.logit_rows, width},
      {a.chosen_normed, input, limits_.logit_rows, width},
      {a.logits, DType::f32, limits_.logit_rows, config_.vocabulary},
  };
  std::size_t total = 0;
  for (const Piece& piece : pieces) {
    auto bytes = static_cast<std::size_t>(piece.rows * piece.columns) * size_bytes(piece.dtype);
    total += (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
  }
  Result<Arena> arena = Arena::create(*device_, total);
  if (!arena) return arena.error();
  arena_.emplace(std::move(*arena));
  for (const Piece& piece : pieces) {
    Result<TensorView> view = arena_->allocate(piece.dtype, {piece.rows, piece.columns});
    if (!view) return view.error();
    piece.view = *view;
  }
  if (device_->is_host()) return {};
  auto logits = device_->allocate_pinned(a.logits.bytes());
  if (!logits) return logits.error();
  logits_host_ = std::move(*logits);
  return {};
}

KvCache Decoder::cache_of(std::size_t layer) const {
  std::size_t half = info_.kv_block_bytes / static_cast<std::size_t>(config_.layers) / 2 *
                     static_cast<std::size_t>(limits_.blocks);
  auto* keys = static_cast<std::byte*>(kv_->data()) + 2 * layer * half;
  auto view = [&](std::byte* data) {
    return TensorView(data,
                      kv_type(weights_.storage),
                      {limits_.blocks, config_.kv_heads, kBlockTokens, config_.head_dim});
  };
  return {view(keys), view(keys + half)};
}

Result<void> Decoder::launch(const StepBatch& batch) {
  CHECK(kv_ != nullptr);
  logit_count_ = 0;
  if (batch.tokens.empty()) return {};
  Result<Step> step = inputs_.stage(batch, *device_, *stream_);
  if (!step) return step.error();
  TensorView hidden = activations_.hidden.rows(0, step->rows);
  RETURN_IF_ERROR(
      ops_->embed(*stream_, hidden, weights_.embedding, step->tokens, embedding_scale_));
  for (std::size_t layer = 0; layer < weights_.layers.size(); ++layer)
    RETURN_IF_ERROR(run_layer(*step, layer));
  if (step->logit_rows > 0) RETURN_IF_ERROR(run_head(*step));
  return done_->record(*stream_);
}

Result<void> Decoder::run_layer(const Step& step, std::size_t layer) {
  RETURN_IF_ERROR(run_attention(step, layer));
  return run_feed_forward(step, weights_.layers[layer]);
}

Result<void> Decoder::run_attention(const Step& step, std::size_t layer) {
  const DecoderLayer& weights = weights_.layers[layer];
  std::int64_t rows = step.rows;
  std::int64_t head_dim = config_.head_dim;
  TensorView hidden = activations_.hidden.rows(0, rows);
  TensorView normed = activations_.normed.rows(0, rows);
  TensorView query = activations_.query.rows(0, rows);
  TensorView key = activations_.key.rows(0, rows);
  TensorView value = activations_.value.rows(0, rows);
  TensorView attended = activations_.attended.rows(0, rows);
  TensorView angles = config_.windows[layer] > 0 ? local_rope_table_ : rope_table_;
  auto by_head = [&](TensorView view, std::int64_t heads) {
    return TensorView(view.data, view.dtype, {rows, heads, head_dim});
  };
  auto each_head = [&](TensorView view, std::int64_t heads) {
    return TensorView(view.data, view.dtype, {rows * heads, head_dim});
  };
  float epsilon = config_.norm_epsilon;
  RETURN_IF_ERROR(ops_->rms_norm(*stream_, normed, hidden, weights.input_norm, epsilon));
  std::array projections{Projection{query, weights.query, weights.query_bias},
                         Projection{key, weights.key, weights.key_bias},
                         Projection{value, weights.value, weights.value_bias}};
  RETURN_IF_ERROR(ops_->project(*stream_, normed, projections));
  if (config_.qk_norm) {
    TensorView queries = each_head(query, config_.heads);
    TensorView keys = each_head(key, config_.kv_heads);
    RETURN_IF_ERROR(ops_->rms_norm(*stream_, queries, queries, weights.query_norm, epsilon));
    RETURN_IF_ERROR(ops_->rms_norm(*stream_, keys, keys, weights.key_norm, epsilon));
  }
  TensorView queries = by_head(query, config_.heads);
  TensorView keys = by_head(key, config_.kv_heads);
  RETURN_IF_ERROR(ops_->rope(*stream_, queries, angles, step.plan.positions));
  RETURN_IF_ERROR(ops_->rope(*stream_, keys, angles, step.plan.positions));
  KvCache cache = cache_of(layer);
  RETURN_IF_ERROR(
      ops_->store_kv(*stream_, cache, keys, by_head(value, config_.kv_heads), step.plan));
  float scale = 1.0F / std::sqrt(static_cast<float>(config_.query_scalar));
  RETURN_IF_ERROR(ops_->attention(*stream_,
                                  by_head(attended, config_.heads),
                                  queries,
                                  cache,
                                  step.plan,
                                  scale,
                                  config_.windows[layer]));
  return add_branch(
      step, attended, weights.output, weights.output_bias, weights.attention_post_norm);
}

Result<void> Decoder::run_feed_forward(const Step& step, const DecoderLayer& weights) {
  TensorView hidden = activations_.hidden.rows(0, step.rows);
  TensorView normed = activations_.normed.rows(0, step.rows);
  TensorView gate = activations_.gate.rows(0, step.rows);
  TensorView up = activations_.up.rows(0, step.rows);
  TensorView fed = activations_.fed.rows(0, step.rows);
  RETURN_IF_ERROR(
      ops_->rms_norm(*stream_, normed, hidden, weights.feed_forward_norm, config_.norm_epsilon));
  RETURN_IF_ERROR(ops_->project_gated(*stream_,
                                      fed,
                                      normed,
                                      {gate, weights.gate, weights.gate_bias},
                                      {up, weights.up, weights.up_bias},
                                      config_.gelu ? Activation::gelu_tanh : Activation::silu));
  return add_branch(step, fed, weights.down, weights.down_bias, weights.feed_forward_post_norm);
}

/// Adds input * weight^T (+ bias) to the residual stream, through a norm if there is one.
Result<void> Decoder::add_branch(
    const Step& step, TensorView input, TensorView weight, TensorView bias, TensorView post_norm) {
  TensorView hidden = activations_.hidden.rows(0, step.rows);
  if (post_norm.empty()) return ops_->linear(*stream_, hidden, input, weight, bias, true);
  TensorView branch = activations_.branch.rows(0, step.rows);
  RETURN_IF_ERROR(ops_->linear(*stream_, branch, input, weight, bias, false));
  return ops_->add_rms_norm(*stream_, hidden, branch, post_norm, config_.norm_epsilon);
}

Result<void> Decoder::run_head(const Step& step) {
  TensorView hidden = activations_.hidden.rows(0, step.rows);
  TensorView chosen = activations_.chosen.rows(0, step.logit_rows);
  TensorView normed = activations_.chosen_normed.rows(0, step.logit_rows);
  TensorView logits = activations_.logits.rows(0, step.logit_rows);
  RETURN_IF_ERROR(ops_->gather_rows(*stream_, chosen, hidden, step.chosen));
  RETURN_IF_ERROR(
      ops_->rms_norm(*stream_, normed, chosen, weights_.final_norm, config_.norm_epsilon));
  RETURN_IF_ERROR(ops_->linear(*stream_, logits, normed, weights_.head, TensorView(), false));
  logit_count_ = static_cast<std::size_t>(logits.elements());
  if (!logits_host_) return {};
  return device_->copy_to_host(*stream_, logits_host_->data(), logits.data, logits.bytes());
}

Result<std::span<float>> Decoder::wait() {
  RETURN_IF_ERROR(done_->wait());
  void* logits = logits_host_ ? logits_host_->data() : activations_.logits.data;
  return std::span<float>(static_cast<float*>(logits), logit_count_);
}

}  // namespace

std::size_t kv_block_bytes(const DecoderConfig& config, DType storage) {
  return std::size_t{2} * static_cast<std::size_t>(config.layers) *
         static_cast<std::size_t>(config.kv_heads) * kBlockTokens *
         static_cast<std::size_t>(config.head_dim) * size_bytes(kv_type(storage));
}

DType kv_type(DType storage) {
  return linear_input_type(storage);
}

float embedding_scale(const DecoderConfig& config, DType storage) {
  if (!config.scaled_embedding) return 1.0F;
  float root = std::sqrt(static_cast<float>(config.width));
  return storage == DType::bf16 ? from_bf16(to_bf16(root)) : root;
}

Result<std::unique_ptr<Model>> load_decoder(const ModelSource& source) {
  Result<ModelFiles> files = ModelFiles::open(source.path);
  if (!files) return files.error();
  Result<DecoderConfig> config = files->config();
  if (!config) return config.error();
  std::uint64_t config_hash = files->config_hash();
  std::uint64_t tokenizer_hash = files->tokenizer_hash();
  Result<Checkpoint> checkpoint = files->take_weights();
  if (!checkpoint) return checkpoint.error();
  Result<std::unique_ptr<Device>> device = make_device(source.device);
  if (!device) return device.error();
  Result<std::unique_ptr<Ops>> ops = make_ops(**device, source.level, source.threads);
  if (!ops) return ops.error();
  Result<std::unique_ptr<Stream>> stream = (*device)->make_stream();
  if (!stream) return stream.error();
  Result<std::unique_ptr<Event>> done = (*device)->make_event();
  if (!done) return done.error();
  Result<DecoderWeights> weights = load_decoder_weights(std::move(*checkpoint),
                                                        *config,
                                                        source.dtype,
                                                        **device,
                                                        source.on_progress,
                                                        source.known_files);
  if (!weights) return weights.error();
  return std::unique_ptr<Model>(std::make_unique<Decoder>(std::move(*config),
                                                          std::move(*device),
                                                          std::move(*ops),
                                                          std::move(*stream),
                                                          std::move(*done),
                                                          std::move(*weights),
                                                          config_hash,
                                                          tokenizer_hash));
}

}  // namespace sluice
