#include "models/checkpoint/gguf_vocabulary.h"

#include "tests/models/checkpoint/gguf_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

namespace sluice {
namespace {

using testing::as_bytes;
using ::testing::ElementsAre;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::raw;

/// A file, and the views of its vocabulary.
class GgufVocabularyTest : public ::testing::Test {
 protected:
  static GgufBytes minimal() {
    GgufBytes file;
    file.text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {"a", "\xFF", ""});
    return file;
  }
  const Gguf& parse(const GgufBytes& file) {
    bytes_ = file.bytes();
    auto parsed = Gguf::parse(as_bytes(bytes_), "x.gguf");
    EXPECT_TRUE(parsed) << parsed.error().message;
    gguf_ = std::move(*parsed);
    return *gguf_;
  }
  GgufVocabulary read(const GgufBytes& file) {
    auto vocabulary = read_gguf_vocabulary(parse(file));
    EXPECT_TRUE(vocabulary) << vocabulary.error().message;
    return vocabulary ? *vocabulary : GgufVocabulary{};
  }
  std::string refusal(const GgufBytes& file) {
    auto vocabulary = read_gguf_vocabulary(parse(file));
    EXPECT_FALSE(vocabulary);
    return vocabulary ? "" : vocabulary.error().message;
  }
  std::uint64_t hash(const GgufBytes& file) { return hash_gguf_vocabulary(parse(file)); }

  std::string bytes_;
  std::optional<Gguf> gguf_;
};

TEST_F(GgufVocabularyTest, IsReadWhole) {
  GgufBytes file = minimal();
  file.text("tokenizer.ggml.pre", "smollm").integers("tokenizer.ggml.token_type", {1, 6, 3});
  file.floats("tokenizer.ggml.scores", {0.5F, -1, 0}).texts("tokenizer.ggml.merges", {"a b"});
  file.integer("tokenizer.ggml.bos_token_id", 0).integer("tokenizer.ggml.eos_token_id", 1);
  file.integer("tokenizer.ggml.eot_token_id", 2).integer("tokenizer.ggml.eom_token_id", 0);
  file.integer("tokenizer.ggml.unknown_token_id", 1);
  file.integer("tokenizer.ggml.padding_token_id", 2);
  file.integer("tokenizer.ggml.seperator_token_id", 0);
  file.boolean("tokenizer.ggml.add_bos_token", true);
  file.boolean("tokenizer.ggml.add_eos_token", false);
  file.boolean("tokenizer.ggml.add_space_prefix", false);
  file.text("tokenizer.huggingface.json", "{}");

  GgufVocabulary vocabulary = read(file);

  EXPECT_EQ(vocabulary.model, "gpt2");
  EXPECT_EQ(vocabulary.pre, "smollm");
  EXPECT_THAT(vocabulary.tokens, ElementsAre("a", "\xFF", ""));
  EXPECT_THAT(vocabulary.types, ElementsAre(1, 6, 3));
  EXPECT_THAT(vocabulary.scores, ElementsAre(0.5F, -1, 0));
  EXPECT_THAT(vocabulary.merges, ElementsAre("a b"));
  EXPECT_EQ(vocabulary.bos, 0);
  EXPECT_EQ(vocabulary.eos, 1);
  EXPECT_EQ(vocabulary.eot, 2);
  EXPECT_EQ(vocabulary.eom, 0);
  EXPECT_EQ(vocabulary.unknown, 1);
  EXPECT_EQ(vocabulary.padding, 2);
  EXPECT_EQ(vocabulary.separator, 0);
  EXPECT_EQ(vocabulary.add_bos, true);
  EXPECT_EQ(vocabulary.add_eos, false);
  EXPECT_EQ(vocabulary.add_space_prefix, false);
  EXPECT_EQ(vocabulary.huggingface_json, "{}");
  EXPECT_EQ(vocabulary.tokens[0].data() - bytes_.data() > 0, true) << "a view, no copy";
}

TEST_F(GgufVocabularyTest, LeavesOpenWhatAFileDoesNotSay) {
  GgufVocabulary vocabulary = read(minimal());

  EXPECT_EQ(vocabulary.pre, "");
  EXPECT_THAT(vocabulary.types, ElementsAre(1, 1, 1));
  EXPECT_TRUE(vocabulary.scores.empty() && vocabulary.merges.empty());
  EXPECT_FALSE(vocabulary.bos || vocabulary.eos || vocabulary.eot || vocabulary.unknown);
  EXPECT_FALSE(vocabulary.add_bos || vocabulary.add_eos || vocabulary.add_space_prefix);
}

TEST_F(GgufVocabularyTest, NamesTheKeyThatIsWrong) {
  EXPECT_EQ(refusal(GgufBytes()), "x.gguf: key 'tokenizer.ggml.model' is missing");
  EXPECT_EQ(refusal(GgufBytes().text("tokenizer.ggml.model", "gpt2")),
            "x.gguf: key 'tokenizer.ggml.tokens' is missing");
  EXPECT_EQ(
      refusal(GgufBytes().text("tokenizer.ggml.model", "gpt2").texts("tokenizer.ggml.tokens", {})),
      "x.gguf: key 'tokenizer.ggml.tokens' is empty");
  EXPECT_THAT(refusal(minimal().integers("tokenizer.ggml.token_type", {1, 1})),
              HasSubstr("token_type' has 2 entries, tokenizer.ggml.tokens has 3"));
  EXPECT_THAT(refusal(minimal().integers("tokenizer.ggml.token_type", {1, 7, 1})),
              HasSubstr("token_type' [1] is 7, must be an integer in [1, 6]"));
  EXPECT_THAT(refusal(minimal().floats("tokenizer.ggml.scores", {1})),
              HasSubstr("scores' has 1 entries, tokenizer.ggml.tokens has 3"));
  EXPECT_THAT(refusal(minimal().floats("tokenizer.ggml.scores",
                                       {1, 2, std::numeric_limits<float>::quiet_NaN()})),
              HasSubstr("scores' [2] is nan, must be finite"));
  EXPECT_THAT(refusal(minimal().integer("tokenizer.ggml.bos_token_id", 3)),
              HasSubstr("bos_token_id' is 3, must be an integer in [0, 2]"));
  EXPECT_THAT(refusal(minimal().integer("tokenizer.ggml.seperator_token_id", 0xFFFFFFFF)),
              HasSubstr("seperator_token_id' is 4294967295, must be an integer in [0, 2]"));
  EXPECT_THAT(refusal(minimal().integer("tokenizer.ggml.add_bos_token", 1)),
              HasSubstr("add_bos_token' is 1, must be a bool"));
  EXPECT_THAT(refusal(GgufBytes()
                          .text("tokenizer.ggml.model", "gpt2")
                          .texts("tokenizer.ggml.tokens", {"a", std::string(65537, 'x')})),
              HasSubstr("tokens' [1] has 65537 bytes, the limit is 65536"));
}

TEST_F(GgufVocabularyTest, HasAHashOfEverythingThatDecidesIt) {
  std::uint64_t plain = hash(minimal());

  EXPECT_NE(plain, 0U);
  EXPECT_EQ(hash(minimal()), plain);
  EXPECT_EQ(hash(minimal().integer("llama.context_length", 5)), plain);
  EXPECT_EQ(hash(minimal().text("tokenizer.chat_template", "{{ x }}")), plain);
  EXPECT_NE(hash(minimal().integer("tokenizer.ggml.eos_token_id", 1)), plain);
  EXPECT_NE(hash(minimal().text("tokenizer.ggml.pre", "qwen2")), plain);
  EXPECT_EQ(hash(GgufBytes()), 0U) << "there is none";
}

TEST_F(GgufVocabularyTest, ComesWithAChatTemplateOrWithout) {
  auto none = read_gguf_chat_template(parse(minimal()));
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, std::nullopt);
  auto some = read_gguf_chat_template(parse(minimal().text("tokenizer.chat_template", "{{ x }}")));
  ASSERT_TRUE(some);
  EXPECT_EQ(*some, "{{ x }}");
  auto large = read_gguf_chat_template(
      parse(minimal().text("tokenizer.chat_template", std::string((1 << 20) + 1, 'x'))));
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, HasSubstr("has 1048577 bytes, the limit is 1048576"));
  auto bad = read_gguf_chat_template(parse(minimal().text("tokenizer.chat_template", "ab\xFF")));
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("chat_template' is not UTF-8 at byte 2"));
}

}  // namespace
}  // namespace sluice
