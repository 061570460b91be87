#include "models/tokenizer/tokenizer.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "models/tokenizer/bpe.h"
#include "models/tokenizer/hf_model.h"
#include "models/tokenizer/hf_tokenizer.h"
#include "tests/models/model_files.h"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

TEST(ByteTokenizer, GivesOneIdAByte) {
  auto tokenizer = make_byte_tokenizer();

  auto ids = tokenizer->encode("aé<|end|>", true, true);

  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->size(), 10U);
  EXPECT_EQ((*ids)[1], 0xC3);
  EXPECT_EQ(tokenizer->decode(*ids, false), "aé<|end|>");
  EXPECT_THAT(tokenizer->eos(), ElementsAre(256));
  EXPECT_FALSE(tokenizer->bos());
  EXPECT_EQ(tokenizer->token_bytes_max(), 1U);
}

TEST(ByteTokenizer, KnowsTheEndAsASpecialToken) {
  auto tokenizer = make_byte_tokenizer();

  EXPECT_TRUE(tokenizer->is_special(256));
  EXPECT_FALSE(tokenizer->is_special(255));
  EXPECT_EQ(tokenizer->decode({'h', 'i', 256}, true), "hi");
  EXPECT_EQ(tokenizer->decode({'h', 'i', 256}, false), "hi<|end|>");
  EXPECT_EQ(tokenizer->bytes(257), "");
  EXPECT_EQ(tokenizer->bytes(-1), "");
}

TEST(ByteTokenizer, RefusesATextThatIsNotUtf8) {
  auto ids = make_byte_tokenizer()->encode("ab\xFF", false, false);

  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(ids.error().message, "text is not UTF-8 at byte 2 of 3");
}

TEST(Detokenizer, GivesWholeCharactersOnlyAndTheSameTextInAll) {
  auto tokenizer = make_byte_tokenizer();
  // A family of emoji with joiners, an accent, a lone lead byte, a stray continuation, a cut emoji.
  const std::string kBytes = "a👨‍👩‍👧é\xE2\x82z\x80👍🏽\xF0\x9F\x91";
  std::vector<TokenId> ids;
  for (char c : kBytes)
    ids.push_back(static_cast<unsigned char>(c));

  Detokenizer detokenizer(tokenizer, true);
  std::string text;
  for (TokenId id : ids) {
    std::string delta = detokenizer.push(id);
    EXPECT_TRUE(is_valid_utf8(delta));
    text += delta;
    EXPECT_EQ(repair_utf8(kBytes).substr(0, text.size()), text);
  }
  text += detokenizer.finish();

  EXPECT_EQ(text, tokenizer->decode(ids, true));
  EXPECT_EQ(text, repair_utf8(kBytes));
  EXPECT_EQ(detokenizer.finish(), "");
}

/// A vocabulary in which every run of bytes of one text is a token, so that all ways to cut it are
/// sequences of ids.
class PieceTokenizer final : public Tokenizer {
 public:
  explicit PieceTokenizer(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] TokenId piece(std::size_t begin, std::size_t end) const {
    return static_cast<TokenId>(begin * 64 + end);
  }
  [[nodiscard]] std::int32_t vocabulary() const override { return 64 * 64; }
  [[nodiscard]] std::int32_t text_vocabulary() const override { return 64 * 64; }
  [[nodiscard]] std::optional<TokenId> bos() const override { return {}; }
  [[nodiscard]] bool adds_bos() const override { return false; }
  [[nodiscard]] const std::vector<TokenId>& eos() const override { return none_; }
  [[nodiscard]] std::size_t token_bytes_max() const override { return 64; }
  [[nodiscard]] Result<std::vector<TokenId>> encode(const MarkedText&,
                                                    bool,
                                                    bool,
                                                    const EncodeLimit&) const override {
    return none_;
  }
  [[nodiscard]] std::string_view bytes(TokenId id) const override {
    auto begin = static_cast<std::size_t>(id) / 64;
    return std::string_view(text_).substr(begin, static_cast<std::size_t>(id) % 64 - begin);
  }
  [[nodiscard]] bool is_special(TokenId) const override { return false; }
  [[nodiscard]] std::size_t first_spaces_dropped() const override { return 0; }

 private:
  std::string text_;
  std::vector<TokenId> none_;
};

TEST(Detokenizer, GivesTheSameTextForEveryWayToCutAnEmoji) {
  const std::string kText = "é👩‍🚀€";  // 2 + 4 + 3 + 4 + 3 bytes
  auto tokenizer = std::make_shared<PieceTokenizer>(kText);

  for (std::uint32_t cuts = 0; cuts < 1U << (kText.size() - 1); ++cuts) {
    Detokenizer detokenizer(tokenizer, false);
    std::string text;
    std::size_t begin = 0;
    for (std::size_t end = 1; end <= kText.size(); ++end) {
      if (end < kText.size() && (cuts >> (end - 1) & 1) == 0) continue;
      std::string delta = detokenizer.push(tokenizer->piece(begin, end));
      ASSERT_TRUE(is_valid_utf8(delta));
      ASSERT_EQ(delta.find("\uFFFD"), std::string::npos);
      text += delta;
      begin = end;
    }
    ASSERT_EQ(detokenizer.finish(), "");
    ASSERT_EQ(text, kText) << cuts;
  }
}

TEST(Bpe, SpellsBytesInPrintableCharacters) {
  EXPECT_EQ(bytes_of_spelling("Ġthe"), " the");
  EXPECT_EQ(bytes_of_spelling("Ċ"), "\n");
  EXPECT_EQ(bytes_of_spelling("Ń"), "\xAD");
  EXPECT_EQ(bytes_of_spelling("Ã©"), "é");
  // Outside the alphabet a spelling stands for itself.
  EXPECT_EQ(bytes_of_spelling("<｜end▁of▁text｜>"), "<｜end▁of▁text｜>");
  EXPECT_EQ(bytes_of_spelling("a b"), "a b");
}

Bpe bpe_of(const std::string& text) {
  auto model = read_hf_model(boost::json::parse(text).as_object(), "tokenizer.json");
  EXPECT_TRUE(model) << model.error().message;
  return {model->vocabulary, model->merges, model->options};
}

std::vector<TokenId> encoded(const Bpe& bpe, const std::string& word) {
  Bpe::Workspace space;
  std::vector<TokenId> ids;
  EXPECT_FALSE(bpe.encode_word(word, {}, space, ids));
  return ids;
}

TEST(Bpe, MergesTheLowestRankFirstAndTheLeftmostAmongEquals) {
  Bpe bpe = bpe_of(
      R"({"vocab":{"a":0,"b":1,"c":2,"bc":3,"ab":4,"aa":5},"merges":["b c",["a","b"],"a a"]})");

  EXPECT_THAT(encoded(bpe, "abc"), ElementsAre(0, 3));
  EXPECT_THAT(encoded(bpe, "ab"), ElementsAre(4));
  EXPECT_THAT(encoded(bpe, "aaa"), ElementsAre(5, 0));
  EXPECT_THAT(encoded(bpe, ""), ElementsAre());
}

TEST(Bpe, TakesAWholeWordWithoutMergesWhereTheModelSaysSo) {
  std::string vocabulary = R"("vocab":{"a":0,"b":1,"ab":2,"aba":3},"merges":["a b"])";

  EXPECT_THAT(encoded(bpe_of("{" + vocabulary + "}"), "aba"), ElementsAre(2, 0));
  EXPECT_THAT(encoded(bpe_of(R"({"ignore_merges":true,)" + vocabulary + "}"), "aba"),
              ElementsAre(3));
}

TEST(Bpe, PassesOverBytesItLacksOrGivesTheUnknownToken) {
  std::string vocabulary = R"("vocab":{"a":0,"?":1},"merges":[])";

  EXPECT_THAT(encoded(bpe_of("{" + vocabulary + "}"), "axa"), ElementsAre(0, 0));
  EXPECT_THAT(encoded(bpe_of(R"({"unk_token":"?",)" + vocabulary + "}"), "axya"),
              ElementsAre(0, 1, 1, 0));
  EXPECT_THAT(encoded(bpe_of(R"({"unk_token":"?","fuse_unk":true,)" + vocabulary + "}"), "axya"),
              ElementsAre(0, 1, 0));
}

TEST(Bpe, MergesAWordOfAMillionBytes) {
  // Doubling merges keep the heap busy on every level; a quadratic loop would not come back.
  std::string vocabulary;
  std::string merges;
  std::string token = "a";
  for (int level = 0; level < 8; ++level) {
    vocabulary += (level == 0 ? "\"" : ",\"") + token + "\":" + std::to_string(level);
    if (level < 7) merges += (level == 0 ? "[\"" : ",[\"") + token + "\",\"" + token + "\"]";
    token += token;
  }
  Bpe bpe = bpe_of(R"({"vocab":{)" + vocabulary + R"(},"merges":[)" + merges + "]}");

  std::vector<TokenId> ids = encoded(bpe, std::string(1 << 20, 'a'));

  EXPECT_EQ(ids, std::vector<TokenId>((1 << 20) / 128, 7));
}

/// The definition, without any cleverness: look for the best pair, merge it, begin again.
std::vector<std::string> merged_naively(
    std::string word, const std::vector<std::pair<std::string, std::string>>& merges) {
  std::vector<std::string> parts;
  for (char c : word)
    parts.emplace_back(1, c);
  while (true) {
    std::size_t best = merges.size();
    std::size_t best_at = 0;
    for (std::size_t at = 0; at + 1 < parts.size(); ++at) {
      for (std::size_t rank = 0; rank < best; ++rank) {
        if (merges[rank].first != parts[at] || merges[rank].second != parts[at + 1]) continue;
        best = rank;
        best_at = at;
      }
    }
    if (best == merges.size()) return parts;
    parts[best_at] += parts[best_at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

TEST(Bpe, MergesRandomWordsAsItsDefinitionDoes) {
  // Merges that overlap in every way; each makes a token of its own.
  const std::vector<std::pair<std::string, std::string>> kMerges = {{"b", "a"},
                                                                    {"a", "a"},
                                                                    {"aa", "ba"},
                                                                    {"a", "b"},
                                                                    {"aa", "aa"},
                                                                    {"ba", "ba"},
                                                                    {"b", "b"},
                                                                    {"bb", "aa"},
                                                                    {"ab", "ba"}};
  std::string vocabulary = R"("a":0,"b":1)";
  std::string merges;
  std::vector<std::string> spellings = {"a", "b"};
  for (const auto& [left, right] : kMerges) {
    vocabulary += ",\"" + left + right + "\":" + std::to_string(spellings.size());
    spellings.push_back(left + right);
    merges += (merges.empty() ? "[\"" : ",[\"") + left + "\",\"" + right + "\"]";
  }
  Bpe bpe = bpe_of(R"({"vocab":{)" + vocabulary + R"(},"merges":[)" + merges + "]}");

  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    std::string word;
    for (std::uint64_t i = 0; i < 1 + seed % 40; ++i)
      word.push_back(mix64(seed * 64 + i) % 3 == 0 ? 'b' : 'a');
    std::vector<std::string> parts;
    for (TokenId id : encoded(bpe, word))
      parts.push_back(spellings[static_cast<std::size_t>(id)]);
    ASSERT_EQ(parts, merged_naively(word, kMerges)) << word;
  }
}

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

TEST_F(TokenizerFile, PutsAroundATextWhatTheTokenizersConfigurationSays) {
  auto around = [&](const std::string& config) {
    folder_.write("tokenizer_config.json", config);
    auto ids = loaded()->encode("a", true, false);
    return ids ? *ids : std::vector<TokenId>();
  };
  // The distilled models of DeepSeek R1: no template in tokenizer.json, `add_bos_token` beside it.
  EXPECT_THAT(around(R"({"bos_token": "<end>", "add_bos_token": true})"), ElementsAre(6, 0));
  EXPECT_THAT(around(R"({"bos_token": {"content": "<end>"}, "eos_token": "<s>",
                         "add_bos_token": true, "add_eos_token": true})"),
              ElementsAre(6, 0, 5));
  EXPECT_THAT(around(R"({"bos_token": "<end>", "add_bos_token": false})"), ElementsAre(0));
  EXPECT_THAT(around(R"({"bos_token": "<end>", "add_eos_token": false})"), ElementsAre(0));
  EXPECT_THAT(around(R"({"bos_token": null, "add_bos_token": true})"), ElementsAre(0));
  EXPECT_THAT(around(R"({"add_bos_token": null})"), ElementsAre(0));
  // Without either the template of tokenizer.json counts.
  EXPECT_THAT(around(R"({"bos_token": "<end>"})"), ElementsAre(5, 0));
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
