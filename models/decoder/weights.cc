#include "models/decoder/weights.h"

#include "models/checkpoint/gguf.h"
#include "models/checkpoint/gguf_names.h"
#include "models/decoder/row_conversion.h"

#include <algorithm>
#include <initializer_list>
#include <set>
#include <utility>

namespace sluice {
namespace {

/// Collects what is wanted, checks it, and only then reads it and copies what cannot stay in the
/// mapping.
class Loader {
 public:
  /// `is_host`: where the weights are to be, operations can follow the mapping's addresses.
  Loader(const Checkpoint& checkpoint,
         const DecoderConfig& config,
         DecoderWeights& weights,
         bool is_host)
      : checkpoint_(checkpoint), config_(config), weights_(weights), is_host_(is_host) {}

  /// A matrix in the storage type.
  Result<void> matrix(TensorView& view,
                      const std::string& name,
                      std::int64_t n,
                      std::int64_t k,
                      RowOrder order = RowOrder::same) {
    return want(view, name, {n, k}, weights_.storage, {.order = order});
  }

  /// A bias: stays in its own type, since the operations take both.
  Result<void> bias(TensorView& view, const std::string& name, std::int64_t n, RowOrder order) {
    return want(view, name, {n}, std::nullopt, {.order = order});
  }

  /// A norm: so does it, unless the file holds what it has above 1.
  Result<void> norm(TensorView& view, const std::string& name, std::int64_t n) {
    if (!config_.offset_norms) return want(view, name, {n}, std::nullopt, {});
    return want(view, name, {n}, DType::f32, {.added = 1});
  }

  /// A tensor that nobody wanted belongs to another computation than ours. Many safetensors carry
  /// such ballast; writers of GGUF files drop it.
  [[nodiscard]] Result<void> check_all_wanted() const {
    if (checkpoint_.format() != WeightsFormat::gguf) return {};
    for (const auto& [name, tensor] : checkpoint_.tensors()) {
      bool is_divisors = name == "rope_freqs.weight" && !config_.rope.divisors.empty();
      if (wanted_.contains(&tensor) || is_divisors || is_idle_gguf_tensor(name)) continue;
      return Error{ErrorCode::invalid_argument,
                   tensor.file + ": tensor " + quoted(name) + " of shape " +
                       to_string(tensor.shape) + " is none that a " + config_.architecture +
                       " of " + std::to_string(config_.layers) +
                       " layers has; what it is for is not supported"};
    }
    return {};
  }

  /// Bytes that `fetch` needs beside the mapping.
  [[nodiscard]] std::size_t copied_bytes() const {
    std::size_t total = 0;
    for (const Copy& copy : copies_)
      total += padded(copy.view->bytes());
    return total;
  }

  /// `checkpoint` is the one that was given, `device` where the weights are to be.
  Result<void> fetch(Checkpoint& checkpoint,
                     Device& device,
                     const LoadObserver& on_progress,
                     std::span<const FileDigest> known) {
    Counted counted(on_progress);
    std::uint64_t checked_bytes = 0;
    for (const StoredTensor* tensor : checked_)
      checked_bytes += tensor->size_bytes;
    counted.expect(checkpoint.file_bytes() + checked_bytes + copied_bytes());
    counted.begin(LoadProgress::Work::reading);
    auto read = [&counted](std::uint64_t bytes) { counted.add(bytes); };
    if (auto there = checkpoint.page_in(read, known); !there) return there;
    if (auto checked = check_numbers(counted); !checked) return checked;
    return copy(device, counted);
  }

 private:
  /// How what is computed with differs from what is stored, but for its type.
  struct Change {
    RowOrder order = RowOrder::same;
    float added = 0;
    [[nodiscard]] bool is_none() const { return order == RowOrder::same && added == 0; }
  };
  /// Counts what is done and tells of it.
  class Counted {
   public:
    explicit Counted(const LoadObserver& observer) : observer_(observer) {}
    void expect(std::uint64_t bytes) { progress_.bytes_in_all = bytes; }
    void begin(LoadProgress::Work work, std::size_t tensors = 0) {
      progress_.work = work;
      progress_.tensors = 0;
      progress_.tensors_in_all = static_cast<std::uint32_t>(tensors);
      tell();
    }
    void add(std::uint64_t bytes) {
      progress_.bytes += bytes;
      tell();
    }
    void end_tensor() { progress_.tensors += 1; }

   private:
    void tell() const {
      if (observer_) observer_(progress_);
    }

    const LoadObserver& observer_;
    LoadProgress progress_;
  };
  struct Copy {
    const StoredTensor* from;
    TensorView* view;
    Change change;
  };

  static std::size_t padded(std::size_t bytes) {
    constexpr std::size_t kAlignment = 256;
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  /// One scale that is not finite would poison answers much later, where nobody finds the reason.
  Result<void> check_numbers(Counted& counted) const {
    if (checked_.empty()) return {};
    counted.begin(LoadProgress::Work::checking, checked_.size());
    for (const StoredTensor* tensor : checked_) {
      if (auto finite = check_finite(*tensor); !finite) return finite;
      counted.end_tensor();
      counted.add(tensor->size_bytes);
    }
    return {};
  }

  Result<void> copy(Device& device, Counted& counted) {
    std::size_t total = copied_bytes();
    if (total == 0) return {};
    Result<std::unique_ptr<Buffer>> buffer = device.allocate(total);
    if (!buffer) return buffer.error();
    weights_.buffer = std::move(*buffer);
    auto* target = static_cast<std::byte*>(weights_.buffer->data());
    counted.begin(LoadProgress::Work::converting, copies_.size());
    for (const Copy& copy : copies_) {
      copy.view->data = target;
      target += padded(copy.view->bytes());
      if (auto copied = copy_rows(copy, device, counted); !copied) return copied;
      counted.end_tensor();
      counted.add(padded(copy.view->bytes()) - copy.view->bytes());
    }
    return {};
  }

  /// In pieces, so that a large matrix is told of while it comes, and needs no second copy.
  Result<void> copy_rows(const Copy& copy, Device& device, Counted& counted) {
    constexpr std::size_t kPieceBytes = 16 << 20;
    RowConversion conversion(
        *copy.from, copy.view->dtype, copy.change.order, config_.head_dim, copy.change.added);
    std::size_t row_bytes = conversion.row_bytes();
    std::size_t rows_at_once = std::max<std::size_t>(1, kPieceBytes / row_bytes);
    auto* target = static_cast<std::byte*>(copy.view->data);
    for (std::size_t row = 0; row < conversion.rows(); row += rows_at_once) {
      std::size_t rows = std::min(rows_at_once, conversion.rows() - row);
      std::byte* piece = target + row * row_bytes;
      if (device.is_host()) {
        if (auto converted = conversion.run(row, rows, piece); !converted) return converted;
      } else {
        std::vector<std::byte> staging(rows * row_bytes);
        if (auto converted = conversion.run(row, rows, staging.data()); !converted)
          return converted;
        if (auto moved = move_to_device(device, piece, staging); !moved) return moved;
      }
      counted.add(rows * row_bytes);
    }
    return {};
  }

  Result<void> want(TensorView& view,
                    const std::string& name,
                    std::initializer_list<std::int64_t> shape,
                    std::optional<DType> type,
                    Change change) {
    const StoredTensor* tensor = checkpoint_.find(name);
    if (tensor == nullptr)
      return Error{
          ErrorCode::data_loss,
          checkpoint_.main_file() + ": tensor '" + checkpoint_.spelling(name) + "' is missing"};
    bool is_gguf = checkpoint_.format() == WeightsFormat::gguf;
    std::string place = tensor->file + ": tensor '" + tensor->name + "' ";
    if (!std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end()))
      return Error{
          ErrorCode::data_loss,
          place + "has shape " + to_string(tensor->shape) +
              (is_gguf ? " (rows first), the metadata ask for " : ", config.json asks for ") +
              to_string(std::vector<std::int64_t>(shape))};
    if (!tensor->coding || (shape.size() == 1 && !tensor->dtype))
      return Error{ErrorCode::data_loss,
                   place + "is " + tensor->type + ", " +
                       (is_gguf ? "norms and biases" : "weights") + " must be F32, BF16 or F16"};
    DType own = tensor->dtype == DType::bf16 ? DType::bf16 : DType::f32;
    // The mapping is read-only; no operation writes to weights.
    view = TensorView(const_cast<std::byte*>(tensor->data), type.value_or(own), shape);
    bool is_aligned = reinterpret_cast<std::uintptr_t>(tensor->data) % size_bytes(view.dtype) == 0;
    if (view.dtype != tensor->dtype || !is_aligned || !change.is_none() || !is_host_)
      copies_.push_back({tensor, &view, change});
    wanted_.insert(tensor);
    if (is_gguf) checked_.push_back(tensor);
    weights_.parameters += static_cast<std::uint64_t>(view.elements());
    weights_.weight_bytes += view.bytes();
    return {};
  }

  static Result<void> move_to_device(Device& device,
                                     std::byte* target,
                                     const std::vector<std::byte>& staging) {
    Result<std::unique_ptr<Stream>> stream = device.make_stream();
    if (!stream) return stream.error();
    Result<void> moved = device.copy_to_device(**stream, target, staging.data(), staging.size());
    if (!moved) return moved;
    return (*stream)->synchronize();
  }

  const Checkpoint& checkpoint_;
  const DecoderConfig& config_;
  DecoderWeights& weights_;
  bool is_host_;
  std::vector<Copy> copies_;
  std::set<const StoredTensor*> wanted_;
  std::vector<const StoredTensor*> checked_;  // of `wanted_`: every number
};

Result<void> load_layer(Loader& loader,
                        const DecoderConfig& config,
                        DecoderLayer& layer,
                        const std::string& prefix) {
  std::int64_t width = config.width;
  std::int64_t inner = config.feed_forward_width;
  std::int64_t query = std::int64_t{config.heads} * config.head_dim;
  std::int64_t key = std::int64_t{config.kv_heads} * config.head_dim;
  struct Matrix {
    const char* name;
    TensorView& weight;
    TensorView& bias;
    std::int64_t n;
    std::int64_t k;
    bool has_bias;
    RowOrder order = RowOrder::same;
  };
  // Rotation turns rows i and i + half of a head together.
  RowOrder turned = config.paired_rows ? RowOrder::paired : RowOrder::same;
  for (const Matrix& matrix : {
           Matrix{"self_attn.q_proj",
                  layer.query,
                  layer.query_bias,
                  query,
                  width,
                  config.qkv_bias,
                  turned},
           Matrix{
               "self_attn.k_proj", layer.key, layer.key_bias, key, width, config.qkv_bias, turned},
           Matrix{"self_attn.v_proj", layer.value, layer.value_bias, key, width, config.qkv_bias},
           Matrix{"self_attn.o_proj",
                  layer.output,
                  layer.output_bias,
                  width,
                  query,
                  config.output_bias},
           Matrix{"mlp.gate_proj", layer.gate, layer.gate_bias, inner, width, config.mlp_bias},
           Matrix{"mlp.up_proj", layer.up, layer.up_bias, inner, width, config.mlp_bias},
           Matrix{"mlp.down_proj", layer.down, layer.down_bias, width, inner, config.mlp_bias},
       }) {
    Result<void> weight = loader.matrix(
        matrix.weight, prefix + matrix.name + ".weight", matrix.n, matrix.k, matrix.order);
    if (!weight) return weight;
    if (!matrix.has_bias) continue;
    Result<void> bias =
        loader.bias(matrix.bias, prefix + matrix.name + ".bias", matrix.n, matrix.order);
    if (!bias) return bias;
  }
  struct Norm {
    const char* name;
    TensorView& weight;
    std::int64_t n;
    bool exists;
  };
  // Where there are norms behind attention and MLP, the name that says so means that one.
  const char* feed_forward_norm =
      config.post_norms ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  for (const Norm& norm : {
           Norm{"input_layernorm", layer.input_norm, width, true},
           Norm{feed_forward_norm, layer.feed_forward_norm, width, true},
           Norm{"post_attention_layernorm", layer.attention_post_norm, width, config.post_norms},
           Norm{"post_feedforward_layernorm",
                layer.feed_forward_post_norm,
                width,
                config.post_norms},
           Norm{"self_attn.q_norm", layer.query_norm, config.head_dim, config.qk_norm},
           Norm{"self_attn.k_norm", layer.key_norm, config.head_dim, config.qk_norm},
       }) {
    if (!norm.exists) continue;
    Result<void> loaded = loader.norm(norm.weight, prefix + norm.name + ".weight", norm.n);
    if (!loaded) return loaded;
  }
  return {};
}

Result<DType> storage_type(const Checkpoint& checkpoint, const std::string& dtype) {
  if (dtype == "f32") return DType::f32;
  if (dtype == "bf16") return DType::bf16;
  if (dtype == "f16") return DType::f16;
  if (dtype != "auto")
    return Error{ErrorCode::invalid_argument,
                 "dtype '" + dtype + "' is not known; known are auto, f32, bf16, f16"};
  bool is_quantized = false;
  bool is_all_f16 = true;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    is_quantized |= tensor.coding && format_of(*tensor.coding).elements > 1;
    is_all_f16 &= tensor.shape.size() != 2 || tensor.dtype == DType::f16;
  }
  if (is_quantized) return DType::bf16;
  if (is_all_f16) return DType::f16;
  const StoredTensor* embedding = checkpoint.find("model.embed_tokens.weight");
  return embedding != nullptr && embedding->dtype == DType::bf16 ? DType::bf16 : DType::f32;
}

/// Fills the views of all weights, as far as the mapping has them.
Result<void> want_all(Loader& loader, const DecoderConfig& config, DecoderWeights& weights) {
  Result<void> embedding = loader.matrix(
      weights.embedding, "model.embed_tokens.weight", config.vocabulary, config.width);
  if (!embedding) return embedding;
  if (!config.tied_embeddings) weights.weight_bytes = 0;  // then a step reads a few of its rows
  weights.layers.resize(static_cast<std::size_t>(config.layers));
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    std::string prefix = "model.layers." + std::to_string(i) + ".";
    Result<void> layer = load_layer(loader, config, weights.layers[i], prefix);
    if (!layer) return layer;
  }
  Result<void> norm = loader.norm(weights.final_norm, "model.norm.weight", config.width);
  if (!norm) return norm;
  if (!config.tied_embeddings) {
    Result<void> head =
        loader.matrix(weights.head, "lm_head.weight", config.vocabulary, config.width);
    if (!head) return head;
  }
  return loader.check_all_wanted();
}

}  // namespace

Result<DecoderWeights> load_decoder_weights(Checkpoint checkpoint,
                                            const DecoderConfig& config,
                                            const std::string& dtype,
                                            Device& device,
                                            const LoadObserver& on_progress,
                                            std::span<const FileDigest> known) {
  Result<DType> storage = storage_type(checkpoint, dtype);
  if (!storage) return storage.error();
  DecoderWeights weights;
  weights.checkpoint = std::move(checkpoint);
  weights.storage = *storage;
  Loader loader(weights.checkpoint, config, weights, device.is_host());
  if (auto wanted = want_all(loader, config, weights); !wanted) return wanted.error();
  Result<void> fetched = loader.fetch(weights.checkpoint, device, on_progress, known);
  if (!fetched) return fetched.error();
  if (config.tied_embeddings) weights.head = weights.embedding;
  return weights;
}

Result<DecoderWeightsNeeds> check_decoder_weights(const Checkpoint& checkpoint,
                                                  const DecoderConfig& config,
                                                  const std::string& dtype) {
  Result<DType> storage = storage_type(checkpoint, dtype);
  if (!storage) return storage.error();
  DecoderWeights weights;
  weights.storage = *storage;
  Loader loader(checkpoint, config, weights, true);
  if (auto wanted = want_all(loader, config, weights); !wanted) return wanted.error();
  return DecoderWeightsNeeds{
      weights.storage, weights.parameters, weights.weight_bytes, loader.copied_bytes()};
}

}  // namespace sluice
