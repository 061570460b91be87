// A row's bits depend on its sequence alone: not on chunks, blocks, neighbours or threads.
#include "models/decoder/decoder.h"

#include "base/hash.h"
#include "kernels/cpu/f16.h"
#include "models/checkpoint/safetensors.h"
#include "models/registry.h"
#include "tests/models/model_files.h"
#include "tests/models/model_runner.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::ModelRunner;
using testing::TemporaryFolder;

constexpr std::int32_t kVocabulary = 512;
constexpr std::int32_t kRows = 160;
constexpr std::int32_t kBlocks = 64;

std::string folder_of(const std::string& name) {
  return SLUICE_SOURCE_DIR "/tests/golden/models/" + name;
}

std::unique_ptr<Model> load(const std::string& folder,
                            const std::string& dtype = "auto",
                            std::uint32_t threads = 1) {
  ModelSource source;
  source.path = folder;
  source.dtype = dtype;
  source.threads = threads;
  auto model = load_model(source);
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return nullptr;
  EXPECT_TRUE((*model)->allocate({kBlocks, kRows, 32, kRows}));
  return std::move(*model);
}

std::vector<TokenId> some_tokens(std::size_t count, std::uint64_t seed) {
  std::vector<TokenId> tokens(count);
  for (std::size_t i = 0; i < count; ++i)
    tokens[i] = static_cast<TokenId>(mix64(seed * 1000 + i) % kVocabulary);
  return tokens;
}

/// Equal bits, NaN included.
::testing::AssertionResult same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size())
    return ::testing::AssertionFailure() << a.size() << " and " << b.size() << " numbers";
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::bit_cast<std::uint32_t>(a[i]) != std::bit_cast<std::uint32_t>(b[i]))
      return ::testing::AssertionFailure() << "row " << i / kVocabulary << ", entry "
                                           << i % kVocabulary << ": " << a[i] << " and " << b[i];
  }
  return ::testing::AssertionSuccess();
}

/// Every model in every type; the windows of mistral and gemma3, 64 and 40, end inside the prompt.
class DecoderInvariance : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  static std::string folder() { return folder_of(std::get<0>(GetParam())); }
  static std::string dtype() { return std::get<1>(GetParam()); }
};

TEST_P(DecoderInvariance, GivesTheSameBitsHoweverThePromptIsCut) {
  auto model = load(folder(), dtype());
  ASSERT_TRUE(model);
  std::vector<TokenId> tokens = some_tokens(150, 1);
  auto logits_of = [&](const std::vector<std::size_t>& chunks) {
    return ModelRunner(*model, ModelRunner::blocks_for(tokens.size())).run(tokens, chunks);
  };
  std::vector<float> whole = logits_of({150});

  EXPECT_TRUE(same_bits(whole, logits_of({1})));
  for (std::size_t first : {15U, 16U, 17U, 31U, 32U, 33U, 63U, 64U, 65U})
    EXPECT_TRUE(same_bits(whole, logits_of({first, 150}))) << first;
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::size_t> chunks;
    for (std::size_t sum = 0; sum < tokens.size(); sum += chunks.back())
      chunks.push_back(1 + random() % 48);
    EXPECT_TRUE(same_bits(whole, logits_of(chunks))) << "round " << round;
  }
}

TEST_P(DecoderInvariance, GivesTheSameBitsInPermutedBlocks) {
  auto model = load(folder(), dtype());
  ASSERT_TRUE(model);
  std::vector<TokenId> tokens = some_tokens(100, 2);
  std::vector<float> in_order =
      ModelRunner(*model, ModelRunner::blocks_for(tokens.size())).run(tokens, {100});

  std::vector<float> permuted = ModelRunner(*model, {63, 5, 17, 2, 40, 1, 33}).run(tokens, {100});

  EXPECT_TRUE(same_bits(in_order, permuted));
}

TEST_P(DecoderInvariance, GivesTheSameBitsAmongAnyNeighbours) {
  auto model = load(folder(), dtype());
  ASSERT_TRUE(model);
  std::vector<TokenId> tokens = some_tokens(40, 3);
  std::vector<float> alone =
      ModelRunner(*model, ModelRunner::blocks_for(tokens.size())).run(tokens, {40});

  for (std::size_t neighbours : {1U, 7U, 20U}) {
    // Ours stands in the middle; the others are of all lengths and have blocks of their own.
    StepBatch batch;
    std::vector<std::vector<std::int32_t>> tables;
    std::vector<float> ours;
    std::int32_t next_block = 0;
    auto add = [&](const std::vector<TokenId>& sequence, bool wanted) {
      std::vector<std::int32_t>& table = tables.emplace_back();
      for (std::size_t at = 0; at < sequence.size(); at += kBlockTokens)
        table.push_back(next_block++);
      for (std::size_t i = 0; wanted && i < sequence.size(); ++i)
        batch.logit_rows.push_back(static_cast<std::int32_t>(batch.tokens.size() + i));
      batch.tokens.insert(batch.tokens.end(), sequence.begin(), sequence.end());
      batch.segments.push_back({0, static_cast<std::int32_t>(sequence.size()), {}});
    };
    for (std::size_t i = 0; i <= neighbours; ++i) {
      bool is_ours = i == neighbours / 2;
      add(is_ours ? tokens : some_tokens(1 + (i * 5) % 11, 10 + i), is_ours);
    }
    for (std::size_t i = 0; i < tables.size(); ++i)
      batch.segments[i].blocks = tables[i];
    ASSERT_TRUE(model->launch(batch));
    auto logits = model->wait();
    ASSERT_TRUE(logits);
    ours.assign(logits->begin(), logits->end());

    EXPECT_TRUE(same_bits(alone, ours)) << neighbours;
  }
}

TEST_P(DecoderInvariance, GivesTheSameBitsWithOtherWindowsInTheBatch) {
  auto model = load(folder(), dtype());
  ASSERT_TRUE(model);
  constexpr std::int32_t kEach = 40;
  const std::vector<std::int32_t> windows{0, 7, 16, 33};
  std::vector<TokenId> tokens = some_tokens(kEach, 3);
  std::vector<std::vector<std::int32_t>> tables;
  std::vector<std::vector<float>> alone;
  for (std::size_t i = 0; i < windows.size(); ++i) {
    auto block = static_cast<std::int32_t>(3 * i);
    tables.push_back({block + 2, block, block + 1});
    alone.push_back(ModelRunner(*model, {0, 1, 2}, windows[i]).run(tokens, {17, 1, 9}));
    EXPECT_EQ(bool(same_bits(alone[0], alone[i])), i == 0) << windows[i];
  }
  std::vector<std::vector<float>> together(windows.size());

  // In two steps, each with rows of all.
  for (auto [begin, end] : {std::pair{0, 23}, {23, kEach}}) {
    StepBatch batch;
    for (std::size_t i = 0; i < windows.size(); ++i) {
      batch.tokens.insert(batch.tokens.end(), tokens.begin() + begin, tokens.begin() + end);
      batch.segments.push_back({begin, end - begin, tables[i], windows[i]});
    }
    for (std::size_t row = 0; row < batch.tokens.size(); ++row)
      batch.logit_rows.push_back(static_cast<std::int32_t>(row));
    ASSERT_TRUE(model->launch(batch));
    auto logits = model->wait();
    ASSERT_TRUE(logits);
    std::size_t count = logits->size() / windows.size();
    for (std::size_t i = 0; i < windows.size(); ++i) {
      auto from = logits->begin() + static_cast<std::ptrdiff_t>(i * count);
      together[i].insert(together[i].end(), from, from + static_cast<std::ptrdiff_t>(count));
    }
  }

  for (std::size_t i = 0; i < windows.size(); ++i)
    EXPECT_TRUE(same_bits(alone[i], together[i])) << windows[i];
}

TEST_P(DecoderInvariance, GivesTheSameBitsThroughAWindowThatHidesNothing) {
  auto model = load(folder(), dtype());
  ASSERT_TRUE(model);
  std::vector<TokenId> tokens = some_tokens(90, 9);
  auto through = [&](std::int32_t window) {
    return ModelRunner(*model, ModelRunner::blocks_for(tokens.size()), window).run(tokens, {31});
  };
  std::vector<float> all = through(0);

  EXPECT_TRUE(same_bits(all, through(90)));
  EXPECT_TRUE(same_bits(all, through(4096)));
  EXPECT_FALSE(same_bits(all, through(20)));
}

TEST_P(DecoderInvariance, GivesTheSameBitsOnTwoThreads) {
  std::vector<TokenId> tokens = some_tokens(60, 4);
  auto logits_with = [&](std::uint32_t threads) {
    auto model = load(folder(), dtype(), threads);
    return ModelRunner(*model, ModelRunner::blocks_for(tokens.size())).run(tokens, {50, 1});
  };

  EXPECT_TRUE(same_bits(logits_with(1), logits_with(2)));
}

INSTANTIATE_TEST_SUITE_P(
    All,
    DecoderInvariance,
    ::testing::Combine(::testing::Values("llama", "mistral", "qwen2", "qwen3", "gemma3"),
                       ::testing::Values("f32", "bf16")),
    [](const auto& name) {
      return std::string(std::get<0>(name.param)) + "_" + std::get<1>(name.param);
    });

TEST(Decoder, ScalesTheEmbeddingByARootOfTheTypeOfTheWeights) {
  DecoderConfig config;
  config.width = 640;
  EXPECT_EQ(embedding_scale(config, DType::f32), 1.0F);
  EXPECT_EQ(embedding_scale(config, DType::bf16), 1.0F);
  config.scaled_embedding = true;
  EXPECT_EQ(embedding_scale(config, DType::f32), 25.298221F);
  EXPECT_EQ(embedding_scale(config, DType::bf16), 25.25F);
}

/// The golden files check the window of Mistral against transformers: a sequence's own, on the same
/// weights without one, is the same.
TEST(Decoder, SeesThroughASequencesWindowAsThroughTheModels) {
  TemporaryFolder folder;
  folder.copy_from(folder_of("mistral"));
  std::ifstream file(folder_of("mistral") + "/config.json");
  std::string config(std::istreambuf_iterator<char>(file), {});
  const std::string window = "\"sliding_window\": 64";
  ASSERT_NE(config.find(window), std::string::npos);
  folder.write("config.json",
               config.replace(config.find(window), window.size(), "\"sliding_window\": null"));
  auto with = load(folder_of("mistral"));
  auto without = load(folder.path());
  ASSERT_TRUE(with && without);
  std::vector<TokenId> tokens = some_tokens(150, 1);
  std::vector<std::int32_t> blocks = ModelRunner::blocks_for(tokens.size());

  std::vector<float> expected = ModelRunner(*with, blocks).run(tokens, {100, 1});

  EXPECT_TRUE(same_bits(expected, ModelRunner(*without, blocks, 64).run(tokens, {100, 1})));
  EXPECT_TRUE(same_bits(expected, ModelRunner(*with, blocks, 100).run(tokens, {100, 1})))
      << "the narrower one counts";
  EXPECT_FALSE(same_bits(expected, ModelRunner(*without, blocks).run(tokens, {100, 1})));
}

TEST(Decoder, GivesOnlyTheRowsThatWereWanted) {
  auto model = load(folder_of("llama"));
  ASSERT_TRUE(model);
  std::vector<TokenId> tokens = some_tokens(20, 5);
  std::vector<float> all =
      ModelRunner(*model, ModelRunner::blocks_for(tokens.size())).run(tokens, {20});
  std::vector<std::int32_t> blocks = ModelRunner::blocks_for(tokens.size());
  StepBatch batch;
  batch.tokens = tokens;
  batch.segments.push_back({0, 20, blocks});
  batch.logit_rows = {3, 19};

  ASSERT_TRUE(model->launch(batch));
  auto logits = model->wait();

  ASSERT_TRUE(logits);
  ASSERT_EQ(logits->size(), 2U * kVocabulary);
  std::vector<float> expected(all.begin() + 3 * kVocabulary, all.begin() + 4 * kVocabulary);
  expected.insert(expected.end(), all.begin() + 19 * kVocabulary, all.end());
  EXPECT_TRUE(same_bits(expected, {logits->begin(), logits->end()}));
}

TEST(Decoder, RunsAStepThatWantsNoLogits) {
  auto model = load(folder_of("llama"));
  ASSERT_TRUE(model);
  std::vector<std::int32_t> blocks = {0};
  StepBatch batch;
  batch.tokens = some_tokens(5, 6);
  batch.segments.push_back({0, 5, blocks});

  ASSERT_TRUE(model->launch(batch));
  auto logits = model->wait();

  ASSERT_TRUE(logits);
  EXPECT_TRUE(logits->empty());
}

/// Writes a checkpoint again with every tensor as `type`, given how to write one bf16 number.
template <class Write>
std::string rewritten(const std::string& folder, const std::string& type, Write write) {
  auto file = SafetensorsFile::open(folder + "/model.safetensors");
  EXPECT_TRUE(file);
  std::string header = "{";
  std::string data;
  for (const StoredTensor& tensor : (*file)->tensors()) {
    EXPECT_EQ(tensor.dtype, DType::bf16);
    std::size_t begin = data.size();
    for (std::size_t at = 0; at < tensor.size_bytes; at += 2) {
      std::uint16_t bits = 0;
      std::memcpy(&bits, tensor.data + at, sizeof bits);
      write(data, std::bit_cast<float>(std::uint32_t{bits} << 16));
    }
    header += (header.size() > 1 ? ",\"" : "\"") + tensor.name + R"(":{"dtype":")" + type +
              R"(","shape":)" + to_string(tensor.shape) + R"(,"data_offsets":[)" +
              std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
  }
  header += "}";
  // An odd length puts every number at an odd address.
  if (header.size() % 2 == 0) header += " ";
  std::string bytes;
  for (std::size_t i = 0; i < 8; ++i)
    bytes.push_back(static_cast<char>(std::uint64_t{header.size()} >> (8 * i) & 0xFF));
  return bytes + header + data;
}

void append_f32(std::string& data, float value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  data.append(bytes, sizeof bytes);
}

void append_f16(std::string& data, float value) {
  std::uint16_t half = to_f16(value);
  data.push_back(static_cast<char>(half & 0xFF));
  data.push_back(static_cast<char>(half >> 8));
}

TEST(Decoder, GivesTheSameBitsFromAnUnalignedF32CopyOfItsWeights) {
  TemporaryFolder folder;
  folder.copy_from(folder_of("llama"));
  folder.write("model.safetensors", rewritten(folder.path(), "F32", append_f32));
  std::vector<TokenId> tokens = some_tokens(30, 7);

  for (const char* dtype : {"f32", "bf16"}) {
    auto original = load(folder_of("llama"), dtype);
    auto copy = load(folder.path(), dtype);
    ASSERT_TRUE(original && copy);
    EXPECT_TRUE(same_bits(ModelRunner(*original, {0, 1}).run(tokens, {30}),
                          ModelRunner(*copy, {0, 1}).run(tokens, {30})))
        << dtype;
  }
}

/// The number that half precision makes of another, in f32.
void append_widened_f16(std::string& data, float value) {
  append_f32(data, from_f16(to_f16(value)));
}

TEST(Decoder, GivesTheBitsOfF32FromHalves) {
  std::vector<TokenId> tokens = some_tokens(90, 8);
  for (const char* name : {"llama", "qwen2", "gemma3"}) {
    TemporaryFolder halves;
    TemporaryFolder floats;
    halves.copy_from(folder_of(name));
    floats.copy_from(folder_of(name));
    std::string bytes = rewritten(halves.path(), "F16", append_f16);
    halves.write("model.safetensors", bytes);
    floats.write("model.safetensors", rewritten(floats.path(), "F32", append_widened_f16));
    auto expected = load(floats.path());
    ASSERT_TRUE(expected);
    std::vector<std::int32_t> blocks = ModelRunner::blocks_for(tokens.size());
    std::vector<float> logits = ModelRunner(*expected, blocks).run(tokens, {64, 1});

    for (const char* dtype : {"auto", "f16", "f32"}) {
      auto model = load(halves.path(), dtype);
      ASSERT_TRUE(model);
      EXPECT_TRUE(same_bits(logits, ModelRunner(*model, blocks).run(tokens, {64, 1})))
          << name << " as " << dtype;
      EXPECT_EQ(model->info().kv_block_bytes, expected->info().kv_block_bytes) << "f32";
      if (dtype == std::string("f32")) continue;
      EXPECT_LT(model->info().weight_bytes, expected->info().weight_bytes * 11 / 20)
          << "but for norms and biases, half";
    }
    // And from halves that are made while loading.
    auto rounded = load(floats.path(), "f16");
    ASSERT_TRUE(rounded);
    EXPECT_TRUE(same_bits(logits, ModelRunner(*rounded, blocks).run(tokens, {64, 1}))) << name;
  }
}

}  // namespace
}  // namespace sluice
