// What a model folder may lack or have wrong, and what is said about it.
#include "models/checkpoint/safetensors.h"
#include "models/registry.h"
#include "tests/models/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// A copy of a small Llama: three layers, width 64, 512 entries, bf16.
class Loading : public ::testing::Test {
 protected:
  Loading() { folder_.copy_from(SLUICE_SOURCE_DIR "/tests/golden/models/llama"); }

  Result<std::unique_ptr<Model>> load(const std::string& dtype = "auto") {
    ModelSource source;
    source.path = folder_.path();
    source.dtype = dtype;
    return load_model(source);
  }
  Error refusal() {
    auto model = load();
    EXPECT_FALSE(model);
    return model ? Error{} : model.error();
  }

  TemporaryFolder folder_;
};

TEST_F(Loading, TellsTheShapeOfTheModel) {
  auto model = load();

  ASSERT_TRUE(model) << model.error().message;
  const ModelInfo& info = (*model)->info();
  EXPECT_EQ(info.architecture, "llama");
  EXPECT_EQ(info.vocabulary, 512);
  EXPECT_EQ(info.context, 1024);
  // Layers, keys and values, kv heads, tokens, head size, bytes of bf16.
  EXPECT_EQ(info.kv_block_bytes, 3U * 2 * 2 * 16 * 32 * 2);
  // Query, key, value, output; gate, up, down; two norms.
  std::uint64_t layer = 64 * 128 + 2 * 64 * 64 + 128 * 64 + 3 * 64 * 160 + 2 * 64;
  EXPECT_EQ(info.parameters, 2 * 512 * 64 + 3 * layer + 64);
  EXPECT_EQ(info.weight_bytes, 2 * (512 * 64 + 3 * layer + 64));
}

TEST_F(Loading, TellsHowFarItIs) {
  std::uint64_t file_bytes = folder_.read("model.safetensors").size();
  auto told = [&](const std::string& dtype) {
    LoadProgress last;
    ModelSource source;
    source.path = folder_.path();
    source.dtype = dtype;
    source.on_progress = [&](const LoadProgress& now) {
      EXPECT_GE(now.bytes, last.bytes);
      last = now;
    };
    EXPECT_TRUE(load_model(source));
    EXPECT_EQ(last.bytes, last.bytes_in_all);
    EXPECT_EQ(last.tensors, last.tensors_in_all);
    return last;
  };

  LoadProgress in_place = told("auto");
  EXPECT_EQ(in_place.bytes, file_bytes) << "read, and used where it lies";
  EXPECT_EQ(in_place.work, LoadProgress::Work::reading);
  LoadProgress converted = told("f32");
  EXPECT_GT(converted.bytes, 2 * file_bytes) << "read, and converted into twice as many";
  EXPECT_EQ(converted.work, LoadProgress::Work::converting);
  EXPECT_GT(converted.tensors, 0U);
}

TEST_F(Loading, SaysWhichFolderIsMissing) {
  ModelSource source;
  source.path = folder_.path() + "/absent";

  auto model = load_model(source);

  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::not_found);
  EXPECT_THAT(model.error().message, HasSubstr("absent: No such file"));
}

TEST_F(Loading, SaysWhenTheWeightsAreMissing) {
  std::filesystem::remove(folder_.path() + "/model.safetensors");

  Error error = refusal();

  EXPECT_EQ(error.code, ErrorCode::not_found);
  EXPECT_THAT(error.message, HasSubstr("has neither model.safetensors nor"));
}

TEST_F(Loading, NamesAMissingTensor) {
  folder_.replace("model.safetensors", "model.norm.weight", "model.nurm.weight");

  Error error = refusal();

  EXPECT_EQ(error.code, ErrorCode::data_loss);
  EXPECT_EQ(error.message, "model.safetensors: tensor 'model.norm.weight' is missing");
}

TEST_F(Loading, NamesATensorOfTheWrongShape) {
  folder_.replace("config.json", R"("intermediate_size": 160)", R"("intermediate_size": 192)");

  Error error = refusal();

  EXPECT_EQ(error.code, ErrorCode::data_loss);
  EXPECT_EQ(error.message,
            "model.safetensors: tensor 'model.layers.0.mlp.gate_proj.weight' has shape [160, 64], "
            "config.json asks for [192, 64]");
}

TEST_F(Loading, NamesATensorOfTheWrongType) {
  std::string bytes = folder_.read("model.safetensors");
  std::size_t at = bytes.find("\"model.norm.weight\"");
  ASSERT_NE(at, std::string::npos);
  std::size_t type = bytes.find("\"BF16\"", at);
  ASSERT_NE(type, std::string::npos);
  // The header keeps its length: "BF16" and two spaces less elsewhere are not needed for "I16" and
  // a space.
  folder_.write("model.safetensors", bytes.replace(type, 6, "\"I16\" "));

  EXPECT_EQ(refusal().message,
            "model.safetensors: tensor 'model.norm.weight' is I16, weights must be F32, BF16 or "
            "F16");
}

TEST_F(Loading, NamesTheNumbersOfATruncatedFile) {
  std::string bytes = folder_.read("model.safetensors");
  folder_.write("model.safetensors", bytes.substr(0, bytes.size() - 100));

  Error error = refusal();

  EXPECT_EQ(error.code, ErrorCode::data_loss);
  EXPECT_THAT(error.message, HasSubstr("model.safetensors: tensor '"));
  EXPECT_THAT(error.message, HasSubstr("lie beyond the"));
  EXPECT_THAT(error.message, HasSubstr("bytes of data in the file"));
}

TEST_F(Loading, RefusesAFileOfZeros) {
  folder_.write("model.safetensors", std::string(4096, '\0'));

  EXPECT_THAT(refusal().message, HasSubstr("model.safetensors: header: not valid JSON"));
}

TEST_F(Loading, NamesAWrongFieldOfTheConfiguration) {
  folder_.replace("config.json", R"("hidden_size": 64)", R"("hidden_size": "64")");

  EXPECT_EQ(refusal().message,
            "config.json: hidden_size is \"64\", must be an integer in [1, 1048576]");
}

TEST_F(Loading, RefusesATypeItDoesNotKnow) {
  auto model = load("int3");

  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(model.error().message, "dtype 'int3' is not known; known are auto, f32, bf16, f16");
}

TEST_F(Loading, RefusesADeviceAndALevelItDoesNotKnow) {
  ModelSource source;
  source.path = folder_.path();
  source.device = "abacus";
  auto device = load_model(source);
  source.device = "cpu";
  source.level = "sse";
  auto level = load_model(source);

  ASSERT_FALSE(device);
  EXPECT_EQ(device.error().code, ErrorCode::not_found);
  ASSERT_FALSE(level);
  EXPECT_EQ(level.error().code, ErrorCode::not_found);
}

TEST_F(Loading, RefusesMoreBlocksThanMemoryHolds) {
  auto model = load();
  ASSERT_TRUE(model);

  auto allocated = (*model)->allocate({2'000'000'000, 16, 1, 1});

  ASSERT_FALSE(allocated);
  EXPECT_EQ(allocated.error().code, ErrorCode::resource_exhausted);
}

TEST_F(Loading, GivesEveryCombinationOfWeightsTypeAndKernelsAFingerprintOfItsOwn) {
  std::string bytes = folder_.read("model.safetensors");
  auto fingerprint = [&](const std::string& dtype, const std::string& level) {
    ModelSource source;
    source.path = folder_.path();
    source.dtype = dtype;
    source.level = level;
    auto model = load_model(source);
    EXPECT_TRUE(model);
    return model ? (*model)->info().fingerprint : 0;
  };

  std::uint64_t plain = fingerprint("bf16", "portable");
  EXPECT_EQ(fingerprint("bf16", "portable"), plain);
  EXPECT_EQ(fingerprint("auto", "portable"), plain);
  EXPECT_NE(fingerprint("f32", "portable"), plain);
  EXPECT_NE(fingerprint("f16", "portable"), plain);
  EXPECT_NE(fingerprint("f16", "portable"), fingerprint("f32", "portable"));
  EXPECT_NE(fingerprint("bf16", "reference"), plain);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  folder_.write("model.safetensors", bytes);
  EXPECT_NE(fingerprint("bf16", "portable"), plain);
}

TEST(ModelCard, TellsOfTheHashModelWithoutAFile) {
  auto card = load_model_card("hash");

  ASSERT_TRUE(card);
  EXPECT_EQ(card->architecture, "hash");
  EXPECT_EQ(card->vocabulary, 257);
  EXPECT_EQ(card->context, 1'048'576);
  EXPECT_EQ(card->tokenizer->vocabulary(), 257);
}

TEST(ModelCard, ReadsTheShippedModelWithoutItsWeights) {
  auto card = load_model_card(SLUICE_SOURCE_DIR "/models/shipped/brook");

  ASSERT_TRUE(card) << card.error().message;
  EXPECT_EQ(card->architecture, "llama");
  EXPECT_EQ(card->tokenizer->vocabulary(), card->vocabulary);
  EXPECT_TRUE(card->tokenizer->bos());
  EXPECT_EQ(card->tokenizer->eos().size(), 1U);
}

TEST(ModelCard, RefusesATokenizerWithMoreIdsThanTheModel) {
  TemporaryFolder folder;
  folder.copy_from(SLUICE_SOURCE_DIR "/models/shipped/brook");
  folder.replace("config.json", R"("vocab_size": 4096)", R"("vocab_size": 4000)");

  auto card = load_model_card(folder.path());

  ASSERT_FALSE(card);
  EXPECT_EQ(card.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(card.error().message,
              HasSubstr("tokenizer.json makes text into ids up to 4095, config.json: vocab_size is "
                        "4000"));
}

TEST(ModelCard, TakesAddedTokensThatTheModelWasNotResizedFor) {
  TemporaryFolder folder;
  folder.copy_from(SLUICE_SOURCE_DIR "/models/shipped/brook");
  folder.replace("tokenizer.json",
                 R"("added_tokens": [)",
                 R"("added_tokens": [{"id": 4096, "content": "[PAD]", "special": true,
                    "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}, )");

  auto card = load_model_card(folder.path());

  ASSERT_TRUE(card) << card.error().message;
  EXPECT_EQ(card->vocabulary, 4096);
  EXPECT_EQ(card->tokenizer->vocabulary(), 4097);
  EXPECT_EQ(card->tokenizer->text_vocabulary(), 4096);
  auto ids = card->tokenizer->encode("[PAD]", false, true);
  ASSERT_TRUE(ids);
  EXPECT_EQ(*ids, (std::vector<TokenId>{4096}));
}

TEST(ModelCard, SaysThatAFileIsAGitLfsPointer) {
  const std::string pointer =
      "version https://git-lfs.github.com/spec/v1\n"
      "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
  for (const char* name : {"config.json", "tokenizer.json"}) {
    TemporaryFolder folder;
    folder.copy_from(SLUICE_SOURCE_DIR "/models/shipped/brook");
    folder.write(name, pointer);

    auto card = load_model_card(folder.path());

    ASSERT_FALSE(card);
    EXPECT_THAT(card.error().message, HasSubstr(name));
    EXPECT_THAT(card.error().message,
                HasSubstr("is a Git LFS pointer to a file of 12345 bytes, not the file"));
  }
}

TEST(ModelRegistry, LoadsTheHashModelByName) {
  ModelSource source;
  source.path = "hash";

  auto model = load_model(source);

  ASSERT_TRUE(model);
  EXPECT_EQ((*model)->info().architecture, "hash");
}

}  // namespace
}  // namespace sluice
