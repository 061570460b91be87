// Logits and greedy continuations of Hugging Face transformers, for each member of the family:
// tests/golden, made by tools/make_golden.py.
#include "models/checkpoint/safetensors.h"
#include "models/registry.h"
#include "tests/models/model_runner.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::ModelRunner;

const std::string kGolden = SLUICE_SOURCE_DIR "/tests/golden/";
constexpr int kPrompts = 10;
constexpr std::int32_t kLongest = 512;
constexpr std::int32_t kGreedy = 64;

/// The reference of one model.
class Reference {
 public:
  explicit Reference(const std::string& name) {
    auto file = SafetensorsFile::open(kGolden + name + ".safetensors");
    EXPECT_TRUE(file) << file.error().message;
    if (!file) return;
    file_ = std::move(*file);
    for (const StoredTensor& tensor : file_->tensors())
      tensors_[tensor.name] = &tensor;
  }

  [[nodiscard]] std::vector<std::int32_t> integers(const std::string& name) const {
    const StoredTensor& tensor = *tensors_.at(name);
    std::vector<std::int32_t> numbers(tensor.size_bytes / sizeof(std::int32_t));
    std::memcpy(numbers.data(), tensor.data, tensor.size_bytes);
    return numbers;
  }

  [[nodiscard]] std::vector<float> floats(const std::string& name) const {
    const StoredTensor& tensor = *tensors_.at(name);
    std::vector<float> numbers;
    for (std::size_t at = 0; at < tensor.size_bytes; at += size_bytes(*tensor.dtype)) {
      std::uint32_t bits = 0;
      std::memcpy(&bits, tensor.data + at, size_bytes(*tensor.dtype));
      if (tensor.dtype == DType::bf16) bits <<= 16;
      numbers.push_back(std::bit_cast<float>(bits));
    }
    return numbers;
  }

 private:
  std::unique_ptr<SafetensorsFile> file_;
  std::map<std::string, const StoredTensor*> tensors_;
};

/// The largest over all positions of ||ours - reference|| / ||reference||, over the stored entries.
double worst_error(const std::vector<float>& logits,
                   std::size_t vocabulary,
                   const std::vector<std::int32_t>& entries,
                   const std::vector<float>& reference) {
  double worst = 0;
  for (std::size_t position = 0; position * entries.size() < reference.size(); ++position) {
    double difference = 0;
    double norm = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      double theirs = reference[position * entries.size() + i];
      double ours = logits[position * vocabulary + static_cast<std::size_t>(entries[i])];
      difference += (ours - theirs) * (ours - theirs);
      norm += theirs * theirs;
    }
    double error = std::sqrt(difference / norm);
    worst = std::isfinite(error) ? std::max(worst, error) : INFINITY;
  }
  return worst;
}

TokenId greedy_of(std::span<const float> logits) {
  return static_cast<TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

class DecoderGolden : public ::testing::TestWithParam<const char*> {
 protected:
  static std::unique_ptr<Model> load(const std::string& dtype) {
    std::string name = GetParam();
    ModelSource source;
    source.path =
        name == "brook" ? SLUICE_SOURCE_DIR "/models/shipped/brook" : kGolden + "models/" + name;
    source.dtype = dtype;
    auto model = load_model(source);
    EXPECT_TRUE(model) << model.error().message;
    if (!model) return nullptr;
    std::int32_t blocks = (kLongest + kGreedy) / kBlockTokens;
    EXPECT_TRUE((*model)->allocate({blocks, kLongest, 1, kLongest}));
    return std::move(*model);
  }

  /// The error of a prompt's logits in a chunking of its own.
  static double error_of(Model& model, const Reference& reference, int prompt, const char* kind) {
    std::vector<TokenId> tokens = reference.integers("prompt." + std::to_string(prompt));
    const std::vector<std::vector<std::size_t>> kChunks = {{512}, {1}, {16}, {7, 64, 3}};
    ModelRunner runner(model, ModelRunner::blocks_for(tokens.size()));
    std::vector<float> logits =
        runner.run(tokens, kChunks[static_cast<std::size_t>(prompt) % kChunks.size()]);
    return worst_error(logits,
                       static_cast<std::size_t>(model.info().vocabulary),
                       reference.integers("ids"),
                       reference.floats(kind + std::to_string(prompt)));
  }
};

TEST_P(DecoderGolden, GivesTheLogitsOfTransformersInF32) {
  Reference reference(GetParam());
  auto model = load("f32");
  ASSERT_TRUE(model);

  double worst = 0;
  for (int prompt = 0; prompt < kPrompts; ++prompt) {
    double error = error_of(*model, reference, prompt, "logits_fp32.");
    EXPECT_LE(error, 1e-3) << "prompt " << prompt;
    worst = std::max(worst, error);
  }
  RecordProperty("worst", std::to_string(worst));
}

TEST_P(DecoderGolden, GivesTheLogitsOfTransformersInBf16) {
  Reference reference(GetParam());
  auto model = load("bf16");
  ASSERT_TRUE(model);

  double worst = 0;
  double worst_exact = 0;
  for (int prompt = 0; prompt < kPrompts; ++prompt) {
    double error = error_of(*model, reference, prompt, "logits_bf16.");
    EXPECT_LE(error, 2e-2) << "prompt " << prompt;
    worst = std::max(worst, error);
    double exact = error_of(*model, reference, prompt, "logits_fp32.");
    EXPECT_LE(exact, 2e-2) << "prompt " << prompt << ", against the f32 run";
    worst_exact = std::max(worst_exact, exact);
  }
  RecordProperty("worst_exact", std::to_string(worst_exact));
  RecordProperty("worst", std::to_string(worst));
}

TEST_P(DecoderGolden, ContinuesGreedilyAsTransformersDoes) {
  Reference reference(GetParam());
  auto model = load("f32");
  ASSERT_TRUE(model);
  auto vocabulary = static_cast<std::size_t>(model->info().vocabulary);

  for (int prompt = 0; prompt < kPrompts; ++prompt) {
    std::vector<TokenId> tokens = reference.integers("prompt." + std::to_string(prompt));
    std::vector<TokenId> expected = reference.integers("greedy." + std::to_string(prompt));
    ASSERT_EQ(expected.size(), static_cast<std::size_t>(kGreedy));
    ModelRunner runner(*model, ModelRunner::blocks_for(tokens.size() + kGreedy));
    std::vector<float> logits = runner.run(tokens, {512});
    std::vector<TokenId> continuation;
    while (continuation.size() < expected.size()) {
      std::span<const float> last(logits.data() + logits.size() - vocabulary, vocabulary);
      continuation.push_back(greedy_of(last));
      logits.clear();
      runner.push({continuation.back()}, logits);
    }
    EXPECT_EQ(continuation, expected) << "prompt " << prompt;
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         DecoderGolden,
                         ::testing::Values("llama",
                                           "llama_linear",
                                           "llama_yarn",
                                           "mistral",
                                           "qwen2",
                                           "qwen2_yarn",
                                           "qwen3",
                                           "gemma3",
                                           "brook"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace sluice
