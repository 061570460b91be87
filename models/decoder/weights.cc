#include "models/decoder/weights.h"

#include "kernels/cpu/bf16.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <initializer_list>
#include <utility>

namespace sluice {
namespace {

/// The float a half-precision number stands for; exact.
float from_f16(std::uint16_t half) {
  std::uint32_t sign = std::uint32_t{half} << 16 & 0x8000'0000;
  std::uint32_t exponent = half >> 10 & 0x1F;
  std::uint32_t fraction = half & 0x3FF;
  if (exponent == 0) {
    float magnitude = static_cast<float>(fraction) * 0x1p-24F;
    return sign != 0 ? -magnitude : magnitude;
  }
  // The exponent's bias is 127 instead of 15; all ones stay all ones (infinity and NaN).
  std::uint32_t widened = exponent == 0x1F ? 0xFF : exponent + 127 - 15;
  return std::bit_cast<float>(sign | widened << 23 | fraction << 13);
}

/// Element `i` of weights that may be aligned to nothing.
float read_weight(const std::byte* data, DType type, std::size_t i) {
  if (type == DType::f32) {
    float value = 0;
    std::memcpy(&value, data + i * sizeof value, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, data + i * sizeof bits, sizeof bits);
  return type == DType::bf16 ? from_bf16(bits) : from_f16(bits);
}

void convert(const StoredTensor& from, DType to, std::byte* target) {
  if (*from.dtype == to) {
    if (from.size_bytes != 0) std::memcpy(target, from.data, from.size_bytes);
    return;
  }
  std::size_t count = from.size_bytes / size_bytes(*from.dtype);
  for (std::size_t i = 0; i < count; ++i) {
    float value = read_weight(from.data, *from.dtype, i);
    if (to == DType::f32) {
      std::memcpy(target + i * sizeof value, &value, sizeof value);
    } else {
      std::uint16_t bits = to_bf16(value);
      std::memcpy(target + i * sizeof bits, &bits, sizeof bits);
    }
  }
}

/// Collects what is wanted, checks it, and only then reads it and copies what cannot stay in the
/// mapping.
class Loader {
 public:
  Loader(DecoderWeights& weights, Device& device) : weights_(weights), device_(device) {}

  /// A matrix in the storage type.
  Result<void> matrix(TensorView& view, const std::string& name, std::int64_t n, std::int64_t k) {
    return want(view, name, {n, k}, weights_.storage);
  }

  /// A norm or a bias: stays in its own type, since the operations take both.
  Result<void> vector(TensorView& view, const std::string& name, std::int64_t n) {
    return want(view, name, {n}, std::nullopt);
  }

  Result<void> fetch(const std::function<void(std::uint64_t)>& on_progress,
                     std::span<const FileDigest> known) {
    if (auto there = weights_.checkpoint.page_in(on_progress, known); !there) return there;
    return copy(on_progress);
  }

 private:
  struct Copy {
    const StoredTensor* from;
    TensorView* view;
    std::size_t offset;
  };

  Result<void> copy(const std::function<void(std::uint64_t)>& on_progress) {
    constexpr std::size_t kAlignment = 256;
    std::size_t total = 0;
    for (Copy& copy : copies_) {
      copy.offset = total;
      total += (copy.view->bytes() + kAlignment - 1) / kAlignment * kAlignment;
    }
    if (total == 0) return {};
    Result<std::unique_ptr<Buffer>> buffer = device_.allocate(total);
    if (!buffer) return buffer.error();
    weights_.buffer = std::move(*buffer);
    auto* base = static_cast<std::byte*>(weights_.buffer->data());
    for (const Copy& copy : copies_) {
      copy.view->data = base + copy.offset;
      if (device_.is_host()) {
        convert(*copy.from, copy.view->dtype, base + copy.offset);
      } else {
        Result<void> moved = move_to_device(copy);
        if (!moved) return moved;
      }
      if (on_progress) on_progress(copy.view->bytes());
    }
    return {};
  }

  Result<void> want(TensorView& view,
                    const std::string& name,
                    std::initializer_list<std::int64_t> shape,
                    std::optional<DType> type) {
    const StoredTensor* tensor = weights_.checkpoint.find(name);
    if (tensor == nullptr)
      return Error{ErrorCode::data_loss,
                   weights_.checkpoint.main_file() + ": tensor '" + name + "' is missing"};
    std::string place = tensor->file + ": tensor '" + name + "' ";
    if (!std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end()))
      return Error{ErrorCode::data_loss,
                   place + "has shape " + to_string(tensor->shape) + ", config.json asks for " +
                       to_string(std::vector<std::int64_t>(shape))};
    bool is_float =
        tensor->dtype == DType::f32 || tensor->dtype == DType::bf16 || tensor->dtype == DType::f16;
    if (!is_float)
      return Error{ErrorCode::data_loss,
                   place + "is " + tensor->type + ", weights must be F32, BF16 or F16"};
    DType own = *tensor->dtype == DType::f16 ? DType::f32 : *tensor->dtype;
    // The mapping is read-only; no operation writes to weights.
    view = TensorView(const_cast<std::byte*>(tensor->data), type.value_or(own), shape);
    bool aligned = reinterpret_cast<std::uintptr_t>(tensor->data) % size_bytes(*tensor->dtype) == 0;
    if (view.dtype != *tensor->dtype || !aligned || !device_.is_host())
      copies_.push_back({tensor, &view, 0});
    weights_.parameters += static_cast<std::uint64_t>(view.elements());
    weights_.weight_bytes += view.bytes();
    return {};
  }

  Result<void> move_to_device(const Copy& copy) {
    Result<std::unique_ptr<Stream>> stream = device_.make_stream();
    if (!stream) return stream.error();
    std::vector<std::byte> staging(copy.view->bytes());
    convert(*copy.from, copy.view->dtype, staging.data());
    Result<void> moved =
        device_.copy_to_device(**stream, copy.view->data, staging.data(), staging.size());
    if (!moved) return moved;
    return (*stream)->synchronize();
  }

  DecoderWeights& weights_;
  Device& device_;
  std::vector<Copy> copies_;
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
  };
  for (const Matrix& matrix : {
           Matrix{"self_attn.q_proj", layer.query, layer.query_bias, query, width, config.qkv_bias},
           Matrix{"self_attn.k_proj", layer.key, layer.key_bias, key, width, config.qkv_bias},
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
    Result<void> weight =
        loader.matrix(matrix.weight, prefix + matrix.name + ".weight", matrix.n, matrix.k);
    if (!weight) return weight;
    if (!matrix.has_bias) continue;
    Result<void> bias = loader.vector(matrix.bias, prefix + matrix.name + ".bias", matrix.n);
    if (!bias) return bias;
  }
  struct Norm {
    const char* name;
    TensorView& weight;
    std::int64_t n;
    bool exists;
  };
  for (const Norm& norm : {
           Norm{"input_layernorm", layer.input_norm, width, true},
           Norm{"post_attention_layernorm", layer.feed_forward_norm, width, true},
           Norm{"self_attn.q_norm", layer.query_norm, config.head_dim, config.qk_norm},
           Norm{"self_attn.k_norm", layer.key_norm, config.head_dim, config.qk_norm},
       }) {
    if (!norm.exists) continue;
    Result<void> loaded = loader.vector(norm.weight, prefix + norm.name + ".weight", norm.n);
    if (!loaded) return loaded;
  }
  return {};
}

Result<DType> storage_type(const Checkpoint& checkpoint, const std::string& dtype) {
  if (dtype == "f32") return DType::f32;
  if (dtype == "bf16") return DType::bf16;
  if (dtype != "auto")
    return Error{ErrorCode::invalid_argument,
                 "dtype '" + dtype + "' is not known; known are auto, f32, bf16"};
  const StoredTensor* embedding = checkpoint.find("model.embed_tokens.weight");
  return embedding != nullptr && embedding->dtype == DType::bf16 ? DType::bf16 : DType::f32;
}

}  // namespace

Result<DecoderWeights> load_decoder_weights(Checkpoint checkpoint,
                                            const DecoderConfig& config,
                                            const std::string& dtype,
                                            Device& device,
                                            const std::function<void(std::uint64_t)>& on_progress,
                                            std::span<const FileDigest> known) {
  Result<DType> storage = storage_type(checkpoint, dtype);
  if (!storage) return storage.error();
  DecoderWeights weights;
  weights.checkpoint = std::move(checkpoint);
  weights.storage = *storage;
  Loader loader(weights, device);
  Result<void> embedding = loader.matrix(
      weights.embedding, "model.embed_tokens.weight", config.vocabulary, config.width);
  if (!embedding) return embedding.error();
  if (!config.tied_embeddings) weights.weight_bytes = 0;  // then a step reads a few of its rows
  weights.layers.resize(static_cast<std::size_t>(config.layers));
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    std::string prefix = "model.layers." + std::to_string(i) + ".";
    Result<void> layer = load_layer(loader, config, weights.layers[i], prefix);
    if (!layer) return layer.error();
  }
  Result<void> norm = loader.vector(weights.final_norm, "model.norm.weight", config.width);
  if (!norm) return norm.error();
  if (!config.tied_embeddings) {
    Result<void> head =
        loader.matrix(weights.head, "lm_head.weight", config.vocabulary, config.width);
    if (!head) return head.error();
  }
  Result<void> fetched = loader.fetch(on_progress, known);
  if (!fetched) return fetched.error();
  if (config.tied_embeddings) weights.head = weights.embedding;
  return weights;
}

}  // namespace sluice
