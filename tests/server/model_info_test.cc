#include "server/model_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::HasSubstr;

ModelReport small_model() {
  ModelReport report;
  report.path = "/models/small.gguf";
  report.format = "GGUF version 3";
  report.file_bytes = 98'362'432;
  report.architecture = "llama";
  report.parameters = 134'515'008;
  DecoderConfig config;
  config.layers = 30;
  config.width = 576;
  config.feed_forward_width = 1536;
  config.heads = 9;
  config.kv_heads = 3;
  config.head_dim = 64;
  config.context = 8192;
  config.vocabulary = 49'152;
  config.tied_embeddings = true;
  config.rope.theta = 100'000;
  report.config = config;
  report.tensors = {{"Q4_1", 210, 66'355'200}, {"F32", 61, 140'544}};
  report.tokenizer = "gpt2, pre-tokenizer smollm";
  report.tokens = 49'152;
  report.chat_template = "{% for message in messages %}\nmore";
  report.needs = DecoderWeightsNeeds{DType::bf16, 134'515'008, 269'100'288, 268'959'744};
  report.kv_block_bytes = 368'640;
  return report;
}

TEST(ModelInfoPage, ShowsWhatIsKnown) {
  EXPECT_EQ(format_model_info(small_model(), {}),
            "model          /models/small.gguf\n"
            "format         GGUF version 3, 98,362,432 bytes (93.8 MiB)\n"
            "architecture   llama\n"
            "parameters     134,515,008\n"
            "layers         30\n"
            "width          576, feed-forward 1536\n"
            "heads          9 of 64, keys and values 3\n"
            "context        8,192\n"
            "rope           base 100000\n"
            "vocabulary     49,152, head tied to the embedding\n"
            "tensors        210 Q4_1, 66,355,200 bytes (63.3 MiB)\n"
            "               61 F32, 140,544 bytes (137.2 KiB)\n"
            "tokenizer      gpt2, pre-tokenizer smollm, 49,152 tokens\n"
            "chat template  34 bytes: {% for message in messages %}\n"
            "weights        as bf16; a step reads 269,100,288 bytes (256.6 MiB)\n"
            "memory         268,959,744 bytes (256.5 MiB) of each worker's own, the rest is the "
            "file's\n"
            "KV cache       23,040 bytes (22.5 KiB) a token; 64 sequences: 1,073,479,680 bytes "
            "(1023.8 MiB) for 46,592 tokens, which is all that --kv-memory allows by default\n"
            "can be served  yes\n");
}

TEST(ModelInfoPage, PlansTheCacheForAsManySequencesAsAsked) {
  ModelInfoOptions options;
  options.sequences_max = 2;
  EXPECT_THAT(format_model_info(small_model(), options),
              HasSubstr("2 sequences: 377,487,360 bytes (360.0 MiB)\n"));
}

TEST(ModelInfoPage, ShowsWhyAModelIsRefused) {
  ModelReport report;
  report.path = "x.gguf";
  report.format = "GGUF version 2";
  report.refusals = {"one reason", "another"};
  EXPECT_EQ(format_model_info(report, {}),
            "model          x.gguf\n"
            "format         GGUF version 2\n"
            "tokenizer      none\n"
            "chat template  none\n"
            "can be served  no: one reason\n"
            "can be served  no: another\n");
}

TEST(ModelInfo, ExitsByWhetherTheModelCouldBeServed) {
  ModelInfoOptions options;
  options.path = SLUICE_SOURCE_DIR "/models/shipped/brook";
  EXPECT_EQ(run_model_info(options), static_cast<int>(ExitCode::success));
  options.path = SLUICE_SOURCE_DIR "/tests/golden/gguf/qwen3.gguf";  // it has no tokenizer
  EXPECT_EQ(run_model_info(options), static_cast<int>(ExitCode::load_failed));
  options.path = "/absent.gguf";
  EXPECT_EQ(run_model_info(options), static_cast<int>(ExitCode::load_failed));
}

}  // namespace
}  // namespace sluice
