#include "models/model_report.h"

#include "tests/models/checkpoint/gguf_bytes.h"
#include "tests/models/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

ModelReport report_of(const std::string& path, const std::string& dtype = "auto") {
  auto report = report_model(path, dtype);
  EXPECT_TRUE(report) << report.error().message;
  return report ? *report : ModelReport{};
}

TEST(ModelReport, TellsOfAFolder) {
  ModelReport report = report_of(SLUICE_SOURCE_DIR "/models/shipped/brook", "f32");

  EXPECT_EQ(report.format, "safetensors");
  EXPECT_EQ(report.architecture, "llama");
  ASSERT_TRUE(report.config && report.needs);
  EXPECT_EQ(report.config->vocabulary, 4096);
  EXPECT_EQ(report.tokens, 4096);
  EXPECT_EQ(report.needs->storage, DType::f32);
  EXPECT_EQ(report.parameters, report.needs->parameters);
  EXPECT_GT(report.file_bytes, 0U);
  EXPECT_FALSE(report.tensors.empty());
  EXPECT_GT(report.kv_block_bytes, 0U);
  EXPECT_TRUE(report.refusals.empty());
}

TEST(ModelReport, TellsOfAGgufFile) {
  ModelReport report = report_of(SLUICE_SOURCE_DIR "/tests/golden/gguf/qwen2.gguf");

  EXPECT_EQ(report.format, "GGUF version 3");
  EXPECT_EQ(report.architecture, "qwen2");
  ASSERT_EQ(report.tensors.size(), 2U);
  EXPECT_EQ(report.tensors[0].type, "BF16");
  EXPECT_EQ(report.tensors[0].tensors, 3U * 7 + 2);
  EXPECT_EQ(report.tensors[1].type, "F32");
  EXPECT_EQ(report.tensors[1].tensors, 3U * (3 + 2) + 1);
  ASSERT_TRUE(report.needs);
  EXPECT_EQ(report.needs->copied_bytes, 0U) << "all of it stays in the mapping";
  EXPECT_EQ(report.tokenizer, "");
  EXPECT_THAT(report.refusals, ElementsAre("qwen2.gguf: key 'tokenizer.ggml.model' is missing"));
}

TEST(ModelReport, GivesEveryReasonOnceAndWhatIsKnownNevertheless) {
  TemporaryFolder folder;
  GgufBytes file;
  file.text("general.architecture", "gemma3n").text("tokenizer.ggml.model", "llama");
  file.text("tokenizer.ggml.pre", "default").text("tokenizer.chat_template", "{{ x }}");
  file.zeros("token_embd.weight", {64, 8}, BlockType::q8_0);

  ModelReport report = report_of(folder.write("gemma.gguf", file.bytes()));

  EXPECT_EQ(report.architecture, "gemma3n");
  EXPECT_EQ(report.parameters, 512U);
  EXPECT_EQ(report.tokenizer, "llama, pre-tokenizer default");
  EXPECT_EQ(report.chat_template, "{{ x }}");
  EXPECT_FALSE(report.config || report.needs);
  ASSERT_EQ(report.refusals.size(), 1U);
  EXPECT_THAT(report.refusals[0], HasSubstr("is 'gemma3n', which is not computed yet"));
}

TEST(ModelReport, TellsOfAFolderWithoutWeights) {
  TemporaryFolder folder;
  folder.copy_from(SLUICE_SOURCE_DIR "/models/shipped/brook");
  std::filesystem::remove(folder.path() + "/model.safetensors");

  ModelReport report = report_of(folder.path());

  EXPECT_EQ(report.file_bytes, 0U);
  EXPECT_EQ(report.tokens, 4096);
  ASSERT_EQ(report.refusals.size(), 1U);
  EXPECT_THAT(report.refusals[0], HasSubstr("has neither model.safetensors nor"));
}

TEST(ModelReport, HasNothingToTellOfAFileThatIsNone) {
  auto report = report_model(SLUICE_SOURCE_DIR "/README.md", "auto");

  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message,
              HasSubstr("README.md: is no GGUF file: it begins with '# Sl' instead of 'GGUF'"));
}

}  // namespace
}  // namespace sluice
