// Models from GGUF files: the same bits as from the folder with the same numbers, and what is said
// about a file that is none of ours. tests/golden/gguf, made by tools/make_gguf_golden.py.
#include "base/hash.h"
#include "kernels/cpu/f16.h"
#include "models/checkpoint/model_files.h"
#include "models/decoder/weights.h"
#include "models/registry.h"
#include "tests/models/checkpoint/gguf_bytes.h"
#include "tests/models/model_files.h"
#include "tests/models/model_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::ModelRunner;
using testing::raw;
using testing::TemporaryFolder;

constexpr std::int32_t kRows = 100;
const std::string kGolden = SLUICE_SOURCE_DIR "/tests/golden/";

std::unique_ptr<Model> load(const std::string& path, const std::string& dtype) {
  ModelSource source;
  source.path = path;
  source.dtype = dtype;
  auto model = load_model(source);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return nullptr;
  EXPECT_TRUE((*model)->allocate({kRows / kBlockTokens + 1, kRows, 1, kRows}));
  return std::move(*model);
}

std::vector<float> logits_of(Model& model) {
  std::vector<TokenId> tokens(kRows);
  for (std::size_t i = 0; i < tokens.size(); ++i)
    tokens[i] =
        static_cast<TokenId>(mix64(i) % static_cast<std::uint64_t>(model.info().vocabulary));
  return ModelRunner(model, ModelRunner::blocks_for(tokens.size())).run(tokens, {64, 1});
}

/// The folder that a golden file was made of, with as many layers as the file has.
void copy_folder(const TemporaryFolder& folder, const std::string& name, int layers) {
  folder.copy_from(kGolden + "models/" + name);
  // GGUF files cannot state it; it is the size of a head.
  if (name == "gemma3")
    folder.replace(
        "config.json", R"("query_pre_attn_scalar": 24)", R"("query_pre_attn_scalar": 32)");
  if (layers == 3) return;
  folder.replace("config.json",
                 R"("num_hidden_layers": 3)",
                 R"("num_hidden_layers": )" + std::to_string(layers));
  // It names three, all of them as they are without it.
  if (folder.read("config.json").find("layer_types") != std::string::npos)
    folder.replace("config.json", "layer_types", "no_layer_types");
}

/// A golden file, the layers it has, and the type that its matrices have in both.
struct Golden {
  const char* name;
  int layers;
};

class GgufModels : public ::testing::TestWithParam<Golden> {};

TEST_P(GgufModels, GiveTheBitsOfTheFolderWithTheSameNumbers) {
  TemporaryFolder folder;
  copy_folder(folder, GetParam().name, GetParam().layers);
  for (const char* dtype : {"f32", "bf16", "auto"}) {
    auto from_folder = load(folder.path(), dtype);
    auto from_file = load(kGolden + "gguf/" + GetParam().name + ".gguf", dtype);
    ASSERT_TRUE(from_folder && from_file);
    EXPECT_EQ(from_file->info().parameters, from_folder->info().parameters);
    EXPECT_EQ(from_file->info().weight_bytes >= from_folder->info().weight_bytes, true);
    EXPECT_EQ(from_file->info().kv_block_bytes, from_folder->info().kv_block_bytes);
    std::vector<float> expected = logits_of(*from_folder);
    std::vector<float> logits = logits_of(*from_file);
    ASSERT_EQ(logits.size(), expected.size());
    for (std::size_t i = 0; i < logits.size(); ++i)
      ASSERT_EQ(std::bit_cast<std::uint32_t>(logits[i]), std::bit_cast<std::uint32_t>(expected[i]))
          << dtype << ", logit " << i << ": " << logits[i] << " and " << expected[i];
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         GgufModels,
                         ::testing::Values(Golden{"llama_linear", 1},
                                           Golden{"qwen2", 3},
                                           Golden{"qwen3", 1},
                                           Golden{"gemma3", 3}),
                         [](const auto& golden) { return std::string(golden.param.name); });

TEST(GgufLlama3, DividesTheFrequenciesByTheTensor) {
  TemporaryFolder folder;
  copy_folder(folder, "llama", 1);
  auto from_folder = load(folder.path(), "f32");
  auto from_file = load(kGolden + "gguf/llama.gguf", "f32");
  ASSERT_TRUE(from_folder && from_file);
  std::vector<float> expected = logits_of(*from_folder);
  std::vector<float> logits = logits_of(*from_file);

  // The divisors are rounded; without them the logits differ by whole units.
  double worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i)
    worst = std::max(worst, std::abs(double{logits[i]} - double{expected[i]}));
  EXPECT_LT(worst, 1e-3);
}

/// A llama of two layers, width 64, two heads, 96 tokens, of random numbers in chosen codings.
class GgufLoading : public ::testing::Test {
 protected:
  static GgufBytes model(BlockType matrices = BlockType::q8_0,
                         std::uint32_t width = 64,
                         std::uint32_t inner = 96) {
    GgufBytes file;
    file.text("general.architecture", "llama").integer("llama.context_length", 256);
    file.integer("llama.embedding_length", width).integer("llama.block_count", 2);
    file.integer("llama.feed_forward_length", inner).integer("llama.attention.head_count", 2);
    file.number("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    auto matrix = [&](const std::string& name, std::uint64_t columns, std::uint64_t rows) {
      file.tensor(name, {columns, rows}, matrices, random(matrices, columns * rows, name));
    };
    auto vector = [&](const std::string& name) {
      file.tensor(name, {width}, BlockType::f32, random(BlockType::f32, width, name));
    };
    matrix("token_embd.weight", width, 96);
    for (const char* layer : {"blk.0.", "blk.1."}) {
      std::string prefix = layer;
      vector(prefix + "attn_norm.weight");
      for (const char* name : {"attn_q", "attn_k", "attn_v", "attn_output"})
        matrix(prefix + name + ".weight", width, width);
      vector(prefix + "ffn_norm.weight");
      matrix(prefix + "ffn_gate.weight", width, inner);
      matrix(prefix + "ffn_up.weight", width, inner);
      matrix(prefix + "ffn_down.weight", inner, width);
    }
    vector("output_norm.weight");
    return file;
  }

  /// Blocks whose scales are near 1/64, and numbers around 1.
  static std::string random(BlockType type, std::size_t elements, const std::string& seed) {
    const BlockFormat& format = format_of(type);
    std::uint64_t state = hash_bytes(seed);
    std::string bytes;
    for (std::size_t block = 0; block < elements / format.elements; ++block) {
      if (type == BlockType::f32) {
        state = mix64(state);
        bytes += raw(1.0F + static_cast<float>(state % 1000) * 1e-3F);
        continue;
      }
      for (std::uint32_t i = 0; i < format.bytes; ++i)
        bytes += static_cast<char>(state = mix64(state));
      // d, and m where there is one.
      bool has_min = type == BlockType::q4_1 || type == BlockType::q5_1 ||
                     type == BlockType::q4_k || type == BlockType::q5_k;
      std::size_t begin = bytes.size() - format.bytes;
      bytes.replace(begin + (type == BlockType::q6_k ? 208 : 0), 2, raw(std::uint16_t{0x1400}));
      if (has_min) bytes.replace(begin + 2, 2, raw(std::uint16_t{0x1400}));
    }
    return bytes;
  }

  /// The same model with every block decoded.
  static GgufBytes decoded(const GgufBytes& file) {
    GgufBytes plain;
    plain.keys = file.keys;
    for (const GgufBytes::Tensor& tensor : file.tensors) {
      const BlockFormat& format = *find_block_format(tensor.type);
      std::vector<float> values(tensor.data.size() / format.bytes * format.elements);
      decode_blocks(format.type, reinterpret_cast<const std::byte*>(tensor.data.data()), values);
      std::string bytes;
      for (float value : values)
        bytes += raw(value);
      plain.tensor(tensor.name, tensor.dims, BlockType::f32, bytes);
    }
    return plain;
  }

  /// A model in F32 with its matrices in F16.
  static GgufBytes halved(const GgufBytes& file) {
    GgufBytes other;
    other.keys = file.keys;
    for (const GgufBytes::Tensor& tensor : file.tensors) {
      if (tensor.dims.size() == 1) {
        other.tensor(tensor.name, tensor.dims, BlockType::f32, tensor.data);
        continue;
      }
      std::string bytes;
      for (std::size_t at = 0; at < tensor.data.size(); at += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, tensor.data.data() + at, sizeof value);
        bytes += raw(to_f16(value));
      }
      other.tensor(tensor.name, tensor.dims, BlockType::f16, bytes);
    }
    return other;
  }

  std::string write(const GgufBytes& file) { return folder_.write("model.gguf", file.bytes()); }
  Error refusal(const GgufBytes& file) {
    ModelSource source;
    source.path = write(file);
    auto model = load_model(source);
    EXPECT_FALSE(model);
    return model ? Error{} : model.error();
  }

  TemporaryFolder folder_;
};

TEST_F(GgufLoading, ComputesWithTheDecodedNumbersWhateverTheirCoding) {
  for (BlockType type :
       {BlockType::q4_0, BlockType::q4_1, BlockType::q5_0, BlockType::q5_1, BlockType::q8_0}) {
    GgufBytes file = model(type);
    for (const char* dtype : {"f32", "bf16"}) {
      auto quantized = load(write(file), dtype);
      auto plain = load(folder_.write("plain.gguf", decoded(file).bytes()), dtype);
      ASSERT_TRUE(quantized && plain);
      std::vector<float> logits = logits_of(*quantized);
      EXPECT_EQ(logits, logits_of(*plain)) << format_of(type).name << ", " << dtype;
      EXPECT_TRUE(std::isfinite(logits.back()));
      EXPECT_NE(logits[0], logits[1]);
    }
  }
}

TEST_F(GgufLoading, KeepsQuantizedWeightsInBf16UnlessToldOtherwise) {
  std::string path = write(model());
  auto bytes_of = [&](const std::string& dtype) { return load(path, dtype)->info().weight_bytes; };
  std::uint64_t norms = 5 * 64 * 4;

  EXPECT_EQ(bytes_of("auto"), bytes_of("bf16"));
  EXPECT_EQ(bytes_of("f32") - norms, 2 * (bytes_of("bf16") - norms));
  auto plain = load(folder_.write("plain.gguf", decoded(model()).bytes()), "auto");
  EXPECT_EQ(plain->info().weight_bytes, bytes_of("f32")) << "F32 stays what it is";
}

TEST_F(GgufLoading, UsesPlainNumbersWhereTheyLie) {
  auto needs = [&](const GgufBytes& file, const std::string& dtype) {
    auto files = ModelFiles::open(write(file));
    EXPECT_TRUE(files);
    DecoderConfig config = *files->config();
    auto weights = files->take_weights();
    auto needs = check_decoder_weights(*weights, config, dtype);
    EXPECT_TRUE(needs) << needs.error().message;
    return *needs;
  };
  GgufBytes plain = decoded(model());
  // Of two layers, query and key alone: their rows change places.
  EXPECT_EQ(needs(plain, "f32").copied_bytes, 2U * 2 * 64 * 64 * 4);
  EXPECT_EQ(needs(plain, "f32").parameters, needs(model(), "auto").parameters);
  DecoderWeightsNeeds quantized = needs(model(), "auto");
  EXPECT_EQ(quantized.storage, DType::bf16);
  EXPECT_EQ(quantized.copied_bytes, quantized.weight_bytes - 5 * 64 * 4) << "all but the norms";
}

TEST_F(GgufLoading, KeepsHalvesAsTheyAre) {
  GgufBytes halves = halved(decoded(model()));
  auto needs = [&](const std::string& dtype) {
    auto files = ModelFiles::open(write(halves));
    EXPECT_TRUE(files);
    DecoderConfig config = *files->config();
    auto weights = files->take_weights();
    auto needs = check_decoder_weights(*weights, config, dtype);
    EXPECT_TRUE(needs) << needs.error().message;
    return *needs;
  };
  EXPECT_EQ(needs("auto").storage, DType::f16);
  EXPECT_EQ(needs("auto").copied_bytes, 2U * 2 * 64 * 64 * 2) << "query and key, as ever";
  EXPECT_EQ(needs("f16").copied_bytes, needs("auto").copied_bytes);
  EXPECT_EQ(needs("f32").storage, DType::f32);
  auto kept = load(write(halves), "auto");
  auto wide = load(folder_.write("wide.gguf", decoded(halves).bytes()), "f32");
  ASSERT_TRUE(kept && wide);
  EXPECT_EQ(logits_of(*kept), logits_of(*wide));
  // One matrix that is none: nothing is rounded unasked.
  for (GgufBytes::Tensor& tensor : halves.tensors)
    if (tensor.name == "blk.1.ffn_up.weight")
      tensor.type = static_cast<std::uint32_t>(BlockType::bf16);
  EXPECT_EQ(needs("auto").storage, DType::f32);
}

TEST_F(GgufLoading, TellsHowFarItIs) {
  GgufBytes file = model();
  ModelSource source;
  source.path = write(file);
  LoadProgress told;
  std::vector<LoadProgress::Work> works;
  source.on_progress = [&](const LoadProgress& now) {
    told = now;
    if (works.empty() || works.back() != now.work) works.push_back(now.work);
  };
  auto model = load_model(source);
  ASSERT_TRUE(model);

  std::uint64_t tensors = 0;
  for (const GgufBytes::Tensor& tensor : file.tensors)
    tensors += tensor.data.size();
  std::uint64_t norms = 5 * 64 * 4;
  EXPECT_EQ(told.bytes, file.bytes().size() + tensors + (*model)->info().weight_bytes - norms)
      << "read, looked through, and converted";
  EXPECT_EQ(told.bytes, told.bytes_in_all);
  using Work = LoadProgress::Work;
  EXPECT_EQ(works, (std::vector<Work>{Work::reading, Work::checking, Work::converting}));
}

TEST_F(GgufLoading, KnowsAFileAgain) {
  ModelSource source;
  source.path = write(model());
  auto first = load_model(source);
  ASSERT_TRUE(first);
  ASSERT_EQ((*first)->info().files.size(), 1U);
  source.known_files = (*first)->info().files;
  auto second = load_model(source);
  ASSERT_TRUE(second);
  EXPECT_EQ((*second)->info().fingerprint, (*first)->info().fingerprint);
  EXPECT_TRUE((*second)->is_intact());

  GgufBytes other = model();
  other.tensors.back().data[0] ^= 1;
  source.path = folder_.write("other.gguf", other.bytes());
  auto third = load_model(source);
  ASSERT_TRUE(third);
  EXPECT_NE((*third)->info().fingerprint, (*first)->info().fingerprint);
}

TEST_F(GgufLoading, RefusesATensorThatNobodyAskedFor) {
  Error error = refusal(model().zeros("blk.0.ffn_gate_exps.weight", {64, 96}));
  EXPECT_EQ(error.code, ErrorCode::invalid_argument);
  EXPECT_EQ(
      error.message,
      "model.gguf: tensor 'blk.0.ffn_gate_exps.weight' of shape [96, 64] is none that a llama "
      "of 2 layers has; what it is for is not supported");
  EXPECT_THAT(refusal(model().zeros("blk.1.attn_q.bias", {64})).message,
              HasSubstr("tensor 'blk.1.attn_q.bias' of shape [64] is none that"));
  EXPECT_THAT(refusal(model().zeros("blk.2.attn_norm.weight", {64})).message,
              HasSubstr("is none that a llama of 2 layers has"));
  EXPECT_TRUE(load(write(model().zeros("blk.0.attn_rot_embd.weight", {16})), "auto"));
}

TEST_F(GgufLoading, NamesATensorThatIsMissingOrOfAnotherShape) {
  GgufBytes renamed = model();
  for (GgufBytes::Tensor& tensor : renamed.tensors)
    if (tensor.name == "blk.1.ffn_up.weight") tensor.name = "blk.1.ffn_op.weight";
  EXPECT_EQ(refusal(renamed).message, "model.gguf: tensor 'blk.1.ffn_up.weight' is missing");
  EXPECT_EQ(
      refusal(model().drop("llama.feed_forward_length").integer("llama.feed_forward_length", 128))
          .message,
      "model.gguf: tensor 'blk.0.ffn_gate.weight' has shape [96, 64] (rows first), the "
      "metadata ask for [128, 64]");
  EXPECT_THAT(refusal(model().texts("tokenizer.ggml.tokens", {"a", "b"})).message,
              HasSubstr("tensor 'token_embd.weight' has shape [96, 64] (rows first), the metadata "
                        "ask for [2, 64]"));
}

TEST_F(GgufLoading, WantsPlainNormsAndFiniteNumbers) {
  GgufBytes coded = model();
  coded.tensors.back() = {"output_norm.weight",
                          {64},
                          static_cast<std::uint32_t>(BlockType::q8_0),
                          std::string(68, '\0'),
                          coded.tensors.back().offset};
  EXPECT_EQ(
      refusal(coded).message,
      "model.gguf: tensor 'output_norm.weight' is Q8_0, norms and biases must be F32, BF16 or "
      "F16");
  GgufBytes poisoned = model();
  poisoned.tensors[0].data.replace(5 * 34, 2, raw(std::uint16_t{0xFE00}));
  Error error = refusal(poisoned);
  EXPECT_EQ(error.code, ErrorCode::data_loss);
  EXPECT_EQ(error.message,
            "model.gguf: tensor 'token_embd.weight': the Q8_0 block of the numbers 160 to 191 has "
            "a scale that is not finite");
  GgufBytes norm = model();
  norm.tensors.back().data.replace(8, 4, raw(std::uint32_t{0x7F800000}));
  EXPECT_EQ(refusal(norm).message,
            "model.gguf: tensor 'output_norm.weight': number 2 is not finite");
}

}  // namespace
}  // namespace sluice
