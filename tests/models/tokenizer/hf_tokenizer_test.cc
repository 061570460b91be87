#include "models/tokenizer/hf_tokenizer.h"

#include "base/hash.h"
#include "tests/models/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

/// A small valid tokenizer.json whose parts can be replaced.
class TokenizerFile : public ::testing::Test {
 protected:
  TokenizerFile() {
    folder_.write("tokenizer.json", R"({
      "added_tokens": [{"id": 5, "content": "<s>", "special": true},
                       {"id": 6, "content": "<end>", "special": true}],
      "normalizer": null,
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
      "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
      "decoder": {"type": "ByteLevel"},
      "model": {"type": "BPE", "unk_token": null,
        "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "<": 4}, "merges": ["a b"]}})");
  }

  std::shared_ptr<const Tokenizer> loaded() {
    auto tokenizer = load_tokenizer(folder_.path());
    EXPECT_TRUE(tokenizer) << tokenizer.error().message;
    return tokenizer ? *tokenizer : nullptr;
  }
  std::string refusal(const std::string& from, const std::string& to) {
    std::string before = folder_.read("tokenizer.json");
    folder_.replace("tokenizer.json", from, to);
    auto tokenizer = load_tokenizer(folder_.path());
    folder_.write("tokenizer.json", before);
    EXPECT_FALSE(tokenizer);
    return tokenizer ? "" : tokenizer.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(TokenizerFile, PutsSpecialTokensAroundOnlyWhenAsked) {
  auto tokenizer = loaded();

  EXPECT_THAT(*tokenizer->encode("ab a", true, false), ElementsAre(5, 2, 3, 0));
  EXPECT_THAT(*tokenizer->encode("ab a", false, false), ElementsAre(2, 3, 0));
  EXPECT_THAT(*tokenizer->encode("", true, false), ElementsAre(5));
}

TEST_F(TokenizerFile, RecognisesSpecialTokensInTheTextOnlyWhenAsked) {
  auto tokenizer = loaded();

  EXPECT_THAT(*tokenizer->encode("a<s>b", false, true), ElementsAre(0, 5, 1));
  // As plain text: the vocabulary has no "s" and no ">".
  EXPECT_THAT(*tokenizer->encode("a<s>b", false, false), ElementsAre(0, 4, 1));
}

TEST_F(TokenizerFile, RefusesATextThatIsNotUtf8) {
  auto ids = loaded()->encode("a\xC3", false, false);

  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().message, "text is not UTF-8 at byte 1 of 2");
}

TEST_F(TokenizerFile, GivesUpATextWithMoreTokensThanAreWanted) {
  auto tokenizer = loaded();
  std::string text;
  for (int i = 0; i < 100; ++i)
    text += "ab ";

  auto most = tokenizer->encode(text, false, false, {.tokens_max = 200});
  auto many = tokenizer->encode(text, false, false, {.tokens_max = 199});

  ASSERT_TRUE(most);
  EXPECT_EQ(most->size(), 200U);
  ASSERT_FALSE(many);
  EXPECT_EQ(many.error().code, ErrorCode::resource_exhausted);
}

TEST_F(TokenizerFile, GivesUpATextThatNobodyWantsAnyMore) {
  auto tokenizer = loaded();
  std::atomic<bool> stopped{true};

  auto ids = tokenizer->encode("ab ab ab", false, false, {.stopped = &stopped});

  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().code, ErrorCode::cancelled);
}

TEST_F(TokenizerFile, CollectsTheEndsOfAllFiles) {
  folder_.write("config.json", R"({"eos_token_id": 1, "bos_token_id": 5})");
  folder_.write("generation_config.json", R"({"eos_token_id": [6, 0]})");
  folder_.write("tokenizer_config.json", R"({"eos_token": {"content": "<end>"}})");

  auto tokenizer = loaded();

  EXPECT_THAT(tokenizer->eos(), ElementsAre(0, 1, 6));
  EXPECT_EQ(tokenizer->bos(), 5);
  EXPECT_EQ(tokenizer->vocabulary(), 7);
}

TEST_F(TokenizerFile, TakesTheNamesOfTheTokenizersConfiguration) {
  folder_.write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "<end>"})");

  auto tokenizer = loaded();

  EXPECT_THAT(tokenizer->eos(), ElementsAre(6));
  EXPECT_EQ(tokenizer->bos(), 5);
}

TEST_F(TokenizerFile, EndsTextsAtSpecialTokensThatAreKnownToEndATurn) {
  folder_.replace("tokenizer.json", R"("content": "<end>")", R"("content": "<|im_end|>")");
  EXPECT_THAT(loaded()->eos(), ElementsAre(6));
  folder_.replace("tokenizer.json",
                  R"("content": "<|im_end|>", "special": true)",
                  R"("content": "<|im_end|>", "special": false)");
  EXPECT_THAT(loaded()->eos(), ElementsAre());
}

TEST_F(TokenizerFile, PutsAroundATextWhatTheClassOfTheTokenizerSays) {
  auto around = [&](const std::string& type, const std::string& fields) {
    folder_.write("tokenizer_config.json",
                  R"({"tokenizer_class": ")" + type + R"(", "eos_token": "<s>")" + fields + "}");
    auto ids = loaded()->encode("a", true, false);
    return ids ? *ids : std::vector<TokenId>();
  };
  const std::string kBos = R"(, "bos_token": {"content": "<end>"})";
  for (const char* type : {"LlamaTokenizer",
                           "LlamaTokenizerFast",
                           "CodeLlamaTokenizerFast",
                           "GemmaTokenizer",
                           "CohereTokenizerFast"}) {
    EXPECT_THAT(around(type, kBos), ElementsAre(6, 0)) << type;
    EXPECT_THAT(around(type, kBos + R"(, "add_bos_token": true)"), ElementsAre(6, 0)) << type;
    EXPECT_THAT(around(type, kBos + R"(, "add_bos_token": false)"), ElementsAre(0)) << type;
    EXPECT_THAT(around(type, kBos + R"(, "add_bos_token": null)"), ElementsAre(0)) << type;
    EXPECT_THAT(around(type, kBos + R"(, "add_eos_token": true)"), ElementsAre(6, 0, 5)) << type;
    EXPECT_THAT(around(type, R"(, "bos_token": null)"), ElementsAre(0)) << type;
  }
  EXPECT_THAT(around("GPTNeoXTokenizerFast", kBos), ElementsAre(0));
  EXPECT_THAT(around("GPTNeoXTokenizerFast", kBos + R"(, "add_bos_token": true)"),
              ElementsAre(6, 0));
  // For all others it is the template of tokenizer.json.
  for (const char* type : {"PreTrainedTokenizerFast", "Qwen2Tokenizer", "GPT2Tokenizer"}) {
    EXPECT_THAT(around(type, kBos), ElementsAre(5, 0)) << type;
    EXPECT_THAT(around(type, kBos + R"(, "add_bos_token": false)"), ElementsAre(5, 0)) << type;
    EXPECT_THAT(around(type, kBos + R"(, "add_eos_token": true)"), ElementsAre(5, 0)) << type;
  }
  folder_.write("config.json", R"({"bos_token_id": 1})");
  EXPECT_THAT(around("LlamaTokenizer", ""), ElementsAre(1, 0));
  folder_.write("tokenizer_config.json", R"({"add_bos_token": "yes"})");
  EXPECT_THAT(load_tokenizer(folder_.path()).error().message,
              HasSubstr("tokenizer_config.json: add_bos_token is \"yes\""));
}

TEST_F(TokenizerFile, MergesNoTextIntoASpecialToken) {
  folder_.replace("tokenizer.json",
                  R"({"id": 6, "content": "<end>", "special": true})",
                  R"({"id": 2, "content": "ab", "special": true})");
  EXPECT_THAT(*loaded()->encode("ab", false, true), ElementsAre(2));
  EXPECT_THAT(*loaded()->encode("ab", false, false), ElementsAre(0, 1));
}

TEST_F(TokenizerFile, SurvivesEveryByteCutOrFlipped) {
  const std::string kByteLevel = folder_.read("tokenizer.json");
  const std::string kSentencePiece = R"({"added_tokens":[{"id":0,"content":"<s>","special":true}],
    "normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"\u2581"},
      {"type":"Replace","pattern":{"String":" "},"content":"\u2581"}]},
    "pre_tokenizer":{"type":"Metaspace","prepend_scheme":"first","split":true},
    "post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}}]},
    "decoder":{"type":"Sequence","decoders":[
      {"type":"Replace","pattern":{"String":"\u2581"},"content":" "},{"type":"ByteFallback"},
      {"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
    "model":{"type":"BPE","byte_fallback":true,"fuse_unk":true,"unk_token":"<u>",
      "vocab":{"<s>":0,"<u>":1,"a":2,"b":3,"ab":4,"<0x41>":5},"merges":["a b"]}})";
  for (const std::string& text : {kByteLevel, kSentencePiece}) {
    ASSERT_TRUE(read_hf_tokenizer(text, "tokenizer.json"));
    for (std::size_t at = 0; at < text.size(); ++at) {
      EXPECT_FALSE(read_hf_tokenizer(text.substr(0, at), "tokenizer.json"));
      std::string flipped = text;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << mix64(at) % 8));
      auto read = read_hf_tokenizer(flipped, "tokenizer.json");
      if (!read) {
        EXPECT_THAT(read.error().message, HasSubstr("tokenizer.json")) << flipped;
        continue;
      }
      auto tokenizer = make_bpe_tokenizer(std::move(read->parts));
      ASSERT_TRUE(tokenizer);
      auto ids = (*tokenizer)->encode("ab <s>A\u2581é", true, true);
      ASSERT_TRUE(ids) << flipped;
      for (TokenId id : *ids)
        ASSERT_LT(id, (*tokenizer)->vocabulary()) << flipped;
    }
  }
}

TEST_F(TokenizerFile, RefusesDecodersThatItDoesNotDo) {
  auto with = [&](const std::string& decoder) {
    folder_.write("tokenizer.json", R"({"pre_tokenizer": null, "decoder": )" + decoder + R"(,
      "model": {"vocab": {"a": 0}, "merges": []}})");
    auto tokenizer = load_tokenizer(folder_.path());
    return tokenizer ? "" : tokenizer.error().message;
  };
  EXPECT_EQ(with("null"), "tokenizer.json: decoder is missing");
  EXPECT_THAT(with(R"({"type": "WordPiece"})"),
              HasSubstr("decoder: type 'WordPiece' is not supported (known: ByteLevel, Metaspace"));
  EXPECT_THAT(with(R"({"type": "Strip", "content": " ", "start": 1, "stop": 0})"),
              HasSubstr("Strip without Fuse before it is not supported"));
  auto sequence = [&](const std::string& last) {
    return with(R"({"type": "Sequence", "decoders": [{"type": "Fuse"}, )" + last + "]}");
  };
  EXPECT_THAT(sequence(R"({"type": "ByteFallback"})"), HasSubstr("ByteFallback behind Fuse"));
  EXPECT_THAT(sequence(R"({"type": "Strip", "content": "x", "start": 1, "stop": 0})"),
              HasSubstr("content other than \" \" is not supported"));
  EXPECT_THAT(sequence(R"({"type": "Strip", "content": " ", "start": 2, "stop": 0})"),
              HasSubstr("start other than 0 and 1 is not supported"));
  EXPECT_THAT(sequence(R"({"type": "Strip", "content": " ", "start": 1, "stop": 1})"),
              HasSubstr("stop other than 0 is not supported"));
  EXPECT_EQ(sequence(R"({"type": "Strip", "content": " ", "start": 1, "stop": 0})"), "");
}

TEST_F(TokenizerFile, NamesTheFileAndTheEntryOfWhatIsWrong) {
  EXPECT_EQ(refusal(R"("ab": 2)", R"("ab": -2)"),
            "tokenizer.json: model: vocab['ab'] is -2, must be an integer in [0, 16777215]");
  EXPECT_EQ(refusal(R"("ab": 2)", R"("ab": 1)"),
            "tokenizer.json: model: vocab['ab'] has the id 1 of 'b'");
  EXPECT_EQ(refusal(R"(["a b"])", R"(["a c"])"),
            "tokenizer.json: model: merges[0] is \"a c\", but 'c' is not in the vocabulary");
  EXPECT_EQ(refusal(R"(["a b"])", R"([["a", 7]])"),
            "tokenizer.json: model: merges[0] is [\"a\",7], must be two tokens");
  EXPECT_EQ(refusal(R"("type": "BPE")", R"("type": "Unigram")"),
            "tokenizer.json: model: type 'Unigram' is not supported; only BPE is");
  EXPECT_EQ(
      refusal(R"("type": "BPE")", R"("type": "BPE", "byte_fallback": true)"),
      "tokenizer.json: model: byte_fallback of a ByteLevel vocabulary that lacks bytes is not "
      "supported");
  EXPECT_EQ(refusal(R"("normalizer": null)", R"("normalizer": {"type": "Precompiled"})"),
            "tokenizer.json: normalizer: type 'Precompiled' is not supported (known: NFC, NFD, "
            "NFKC, NFKD, Lowercase, Prepend, Replace, Sequence)");
  EXPECT_THAT(refusal(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
                      R"({"type": "Whitespace"})"),
              HasSubstr("tokenizer.json: pre_tokenizer: type 'Whitespace' is not supported"));
  EXPECT_EQ(
      refusal(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})", "null"),
      "tokenizer.json: decoder is {\"type\":\"ByteLevel\"}, but the pre-tokenizer has no "
      "ByteLevel");
  EXPECT_EQ(refusal(R"("decoder": {"type": "ByteLevel"})", R"("decoder": {"type": "Metaspace"})"),
            "tokenizer.json: decoder is {\"type\":\"Metaspace\"}, must be ByteLevel as the "
            "pre-tokenizer is");
  EXPECT_THAT(refusal(R"("single": [{"SpecialToken": {"id": "<s>")",
                      R"("single": [{"SpecialToken": {"id": "<x>")"),
              HasSubstr("but special_tokens has no '<x>'"));
  EXPECT_EQ(refusal(R"("id": 5, "content": "<s>")", R"("id": 5, "content": 9)"),
            "tokenizer.json: added_tokens[0]: content is 9, must be a string");
  EXPECT_EQ(refusal(R"("id": 5, "content": "<s>")",
                    R"("id": 5, "content": ")" + std::string(1025, 'x') + "\""),
            "tokenizer.json: added_tokens[0]: content has 1025 bytes, the limit is 1024");
  EXPECT_EQ(refusal(R"("id": 5, "content": "<s>")", R"("id": 5, "content": "ab")"),
            "tokenizer.json: added token 'ab' has the id 5, in the vocabulary it has 2");
  EXPECT_EQ(refusal(R"("model": {)", R"("modal": {)"), "tokenizer.json: model is missing");
}

TEST_F(TokenizerFile, NamesThePatternThatDoesNotCompile) {
  std::string message =
      refusal(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})",
              R"({"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"})");

  EXPECT_EQ(message,
            "tokenizer.json: pre_tokenizer: Split: pattern '(a': missing closing parenthesis");
}

TEST_F(TokenizerFile, RefusesEndsOutsideTheVocabulary) {
  folder_.write("config.json", R"({"eos_token_id": 7})");

  auto tokenizer = load_tokenizer(folder_.path());

  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().message,
            "config.json: eos_token_id is 7, must be an integer in [0, 6], or a list of such");
}

TEST_F(TokenizerFile, SaysWhichFileIsMissingOrDamaged) {
  std::string text = folder_.read("tokenizer.json");
  for (std::size_t size = 0; size + 1 < text.size(); size += 13) {
    folder_.write("tokenizer.json", text.substr(0, size));
    auto tokenizer = load_tokenizer(folder_.path());
    ASSERT_FALSE(tokenizer);
    EXPECT_THAT(tokenizer.error().message, HasSubstr("tokenizer.json: not valid JSON at byte"));
  }
  auto absent = load_tokenizer(folder_.path() + "/absent");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
  EXPECT_THAT(absent.error().message, HasSubstr("absent/tokenizer.json"));
}

/// How a Split or a Punctuation cuts "a-b--c", with "-" as the match. Bytes beside the vocabulary
/// are letters here, so pieces show in the ids of a vocabulary of all pieces.
TEST_F(TokenizerFile, CutsAsTheBehaviourOfASplitSays) {
  struct Case {
    const char* behavior;
    const char* invert;
    std::vector<std::string> pieces;
  };
  const Case cases[] = {
      {"Isolated", "false", {"a", "-", "b", "-", "-", "c"}},
      {"Removed", "false", {"a", "b", "c"}},
      {"MergedWithPrevious", "false", {"a-", "b-", "-", "c"}},
      {"MergedWithNext", "false", {"a", "-b", "-", "-c"}},
      {"Contiguous", "false", {"a", "-", "b", "--", "c"}},
      {"Removed", "true", {"-", "-", "-"}},
  };
  std::string pieces_vocabulary;
  std::vector<std::string> known = {"a", "b", "c", "-", "a-", "b-", "-b", "-c", "--"};
  for (std::size_t i = 0; i < known.size(); ++i)
    pieces_vocabulary += (i == 0 ? "\"" : ",\"") + known[i] + "\":" + std::to_string(i);
  std::vector<std::pair<std::string, std::vector<std::string>>> stages;
  for (const Case& wanted : cases) {
    std::string behavior = R"("behavior": ")" + std::string(wanted.behavior) + "\"";
    stages.emplace_back(R"({"type": "Split", "pattern": {"String": "-"}, )" + behavior +
                            R"(, "invert": )" + wanted.invert + "}",
                        wanted.pieces);
    if (std::string(wanted.invert) == "false")
      stages.emplace_back(R"({"type": "Punctuation", )" + behavior + "}", wanted.pieces);
  }
  for (const auto& [stage, wanted] : stages) {
    folder_.write("tokenizer.json",
                  R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                        )" +
                      stage + R"(,
                        {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]},
                      "decoder": {"type": "ByteLevel"},
                      "model": {"ignore_merges": true, "merges": [], "vocab": {)" +
                      pieces_vocabulary + "}}}");
    auto tokenizer = loaded();
    ASSERT_TRUE(tokenizer);
    auto ids = tokenizer->encode("a-b--c", false, false);
    ASSERT_TRUE(ids);
    std::vector<std::string> pieces;
    for (TokenId id : *ids)
      pieces.emplace_back(tokenizer->bytes(id));

    EXPECT_EQ(pieces, wanted) << stage;
  }
}

}  // namespace
}  // namespace sluice
