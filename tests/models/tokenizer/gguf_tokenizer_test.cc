#include "models/tokenizer/gguf_tokenizer.h"

#include "base/hash.h"
#include "base/utf8.h"
#include "models/tokenizer/vocabulary.h"
#include "tests/models/tokenizer/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using namespace testing::token_types;
using testing::made;
using testing::OwnedVocabulary;
using testing::Token;
using testing::vocabulary_of;

/// Byte-level: a and b and their pair, and a token of every other type.
OwnedVocabulary small_gpt2() {
  OwnedVocabulary owned = vocabulary_of("gpt2",
                                        {{"a"},
                                         {"b"},
                                         {"ab"},
                                         {"Ġ"},
                                         {"<|end|>", control},
                                         {"<tool é>", user_defined},
                                         {"[PAD]", unused},
                                         {"<unk>", unknown}});
  owned.fields.pre = "gpt-2";
  owned.merges = {"a b"};
  return owned;
}

/// SentencePiece: all bytes, and some pieces.
OwnedVocabulary small_llama() {
  std::vector<Token> tokens = {{"<unk>", unknown},
                               {"<s>", control},
                               {"</s>", control},
                               {"\u2581", normal, -6},
                               {"a", normal, -7},
                               {"b", normal, -8},
                               {"ab", normal, -1},
                               {"\u2581ab", normal, -2},
                               {"<tag>", user_defined}};
  for (int i = 0; i < 256; ++i)
    tokens.push_back({byte_token_name(static_cast<unsigned char>(i)), byte});
  OwnedVocabulary owned = vocabulary_of("llama", tokens);
  owned.fields.bos = 1;
  owned.fields.eos = 2;
  return owned;
}

constexpr TokenId kFirstByte = 9;

std::string refusal(OwnedVocabulary vocabulary,
                    const std::function<void(OwnedVocabulary&)>& change) {
  change(vocabulary);
  auto tokenizer = make_gguf_tokenizer(vocabulary.view(), "m.gguf");
  EXPECT_FALSE(tokenizer);
  if (tokenizer) return "";
  EXPECT_EQ(tokenizer.error().code, ErrorCode::invalid_argument);
  return tokenizer.error().message;
}

TEST(GgufTokenizer, TreatsEachTypeOfTokenAsItIs) {
  auto tokenizer = made(small_gpt2());

  EXPECT_THAT(*tokenizer->encode("ab a", false, true), ElementsAre(2, 3, 0));
  EXPECT_THAT(*tokenizer->encode("a<|end|>b", false, true), ElementsAre(0, 4, 1));
  EXPECT_THAT(*tokenizer->encode("a<|end|>b", false, false), ElementsAre(0, 1));
  EXPECT_THAT(*tokenizer->encode("a<tool é>b", false, false), ElementsAre(0, 5, 1));
  EXPECT_THAT(*tokenizer->encode("[PAD]", false, true), ElementsAre());
  EXPECT_THAT(*tokenizer->encode("<unk>", false, true), ElementsAre(7));
  EXPECT_EQ(tokenizer->decode({0, 4, 5, 6, 7, 2}, true), "a<tool é>ab");
  EXPECT_EQ(tokenizer->decode({0, 4, 5, 6, 7, 2}, false), "a<|end|><tool é><unk>ab");
  EXPECT_EQ(tokenizer->vocabulary(), 8);
  EXPECT_EQ(tokenizer->text_vocabulary(), 4);
}

TEST(GgufTokenizer, MergesNoTextIntoATokenThatIsNotForTexts) {
  for (std::int32_t type : {control, unknown}) {
    OwnedVocabulary vocabulary = small_gpt2();
    vocabulary.fields.types[2] = type;
    EXPECT_THAT(*made(vocabulary)->encode("ab", false, false), ElementsAre(0, 1));
    vocabulary.fields.pre = "llama-bpe";  // takes whole words that are tokens
    EXPECT_THAT(*made(vocabulary)->encode("ab", false, false), ElementsAre(0, 1));
  }
  OwnedVocabulary llama = small_llama();
  llama.fields.types[7] = unused;
  EXPECT_THAT(*made(llama)->encode("ab", false, false), ElementsAre(3, 6));
}

TEST(GgufTokenizer, BeginsTextsWithTheBosWhereModelsOfThatKindDo) {
  OwnedVocabulary vocabulary = small_gpt2();
  vocabulary.fields.bos = 4;
  EXPECT_FALSE(made(vocabulary)->adds_bos());
  EXPECT_EQ(made(vocabulary)->bos(), 4);
  vocabulary.fields.pre = "llama-bpe";
  EXPECT_TRUE(made(vocabulary)->adds_bos());
  vocabulary.fields.add_bos = false;
  EXPECT_FALSE(made(vocabulary)->adds_bos());
  vocabulary.fields.pre = "qwen2";
  vocabulary.fields.add_bos = true;
  EXPECT_THAT(*made(vocabulary)->encode("ab", true, false), ElementsAre(4, 2));

  OwnedVocabulary llama = small_llama();
  EXPECT_THAT(*made(llama)->encode("ab", true, false), ElementsAre(1, 7));
  llama.fields.add_eos = true;
  EXPECT_THAT(*made(llama)->encode("ab", true, false), ElementsAre(1, 7, 2));
  llama.fields.bos.reset();
  EXPECT_FALSE(made(llama)->adds_bos());
}

TEST(GgufTokenizer, EndsTextsAtEveryTokenThatEndsATurn) {
  OwnedVocabulary vocabulary = small_gpt2();
  vocabulary.fields.eos = 0;
  vocabulary.fields.eot = 7;
  vocabulary.fields.eom = 1;
  // And 4, a control token called <|end|>.
  EXPECT_THAT(made(vocabulary)->eos(), ElementsAre(0, 1, 4, 7));
  vocabulary.fields.types[4] = normal;
  EXPECT_THAT(made(vocabulary)->eos(), ElementsAre(0, 1, 7));
}

TEST(GgufTokenizer, LetsNobodyWriteAnEndThatItsFileCallsUserDefined) {
  OwnedVocabulary vocabulary = small_gpt2();
  vocabulary.fields.types[4] = user_defined;
  EXPECT_THAT(*made(vocabulary)->encode("<|end|>", false, false), ElementsAre());
  EXPECT_TRUE(made(vocabulary)->is_special(4));
  vocabulary.fields.bos = 5;
  EXPECT_TRUE(made(vocabulary)->is_special(5));
}

TEST(GgufTokenizer, PutsASpaceBeforeATextAndFallsBackToBytes) {
  auto tokenizer = made(small_llama());

  EXPECT_THAT(*tokenizer->encode("ab", false, true), ElementsAre(7));
  EXPECT_THAT(*tokenizer->encode(" ab", false, true), ElementsAre(3, 7));
  EXPECT_THAT(*tokenizer->encode("a<s>ab", false, true), ElementsAre(3, 4, 1, 7));
  EXPECT_THAT(*tokenizer->encode("a<tag>ab", false, false), ElementsAre(3, 4, 8, 7));
  EXPECT_THAT(*tokenizer->encode("é", false, true),
              ElementsAre(3, kFirstByte + 0xC3, kFirstByte + 0xA9));
  // A byte token has a name, which is text like any other.
  EXPECT_EQ(tokenizer->decode(*tokenizer->encode("<0x41>", false, true), false), "<0x41>");
  EXPECT_EQ(tokenizer->encode("<0x41>", false, true)->size(), 7U);
  EXPECT_THAT(*tokenizer->encode("", false, true), ElementsAre());
}

TEST(GgufTokenizer, GivesTheUnknownTokenForWhatHasNeitherTokenNorBytes) {
  OwnedVocabulary vocabulary = small_llama();
  vocabulary.tokens.resize(kFirstByte);
  vocabulary.fields.types.resize(kFirstByte);
  vocabulary.fields.scores.resize(kFirstByte);

  EXPECT_THAT(*made(vocabulary)->encode("aéüb", false, true), ElementsAre(3, 4, 0, 5));
  // Characters that only parts of tokens are made of are unknown like all others, side by side
  // once.
  vocabulary.tokens.emplace_back("éb");
  vocabulary.fields.types.push_back(normal);
  vocabulary.fields.scores.push_back(-3);
  EXPECT_THAT(*made(vocabulary)->encode("aéb", false, true), ElementsAre(3, 4, kFirstByte));
  EXPECT_THAT(*made(vocabulary)->encode("aüéüéa", false, true), ElementsAre(3, 4, 0, 4));
  vocabulary.fields.types[0] = normal;
  EXPECT_THAT(refusal(vocabulary, [](auto&) {}), HasSubstr("has neither all of <0x00> to <0xFF>"));
}

TEST(Detokenizer, DropsTheSpaceThatBeginsATextAndKeepsThatOfAContinuation) {
  auto tokenizer = made(small_llama());
  auto text_of = [&](const std::vector<TokenId>& ids, bool continues) {
    Detokenizer detokenizer(tokenizer, true, continues);
    std::string text;
    for (TokenId id : ids)
      text += detokenizer.push(id);
    return text + detokenizer.finish();
  };

  EXPECT_EQ(text_of({1, 7, 7}, false), "ab ab");
  EXPECT_EQ(text_of({7, 7}, true), " ab ab");
  EXPECT_EQ(text_of({3, 7}, false), " ab");  // the text " ab"
  EXPECT_EQ(text_of({4, 7}, false), "a ab");
  EXPECT_EQ(tokenizer->decode({1, 7, 7}, true), "ab ab");
  EXPECT_EQ(tokenizer->decode({1, 7, 7}, false), "<s> ab ab");
}

TEST(Detokenizer, CollectsByteTokensIntoCharacters) {
  auto tokenizer = made(small_llama());
  Detokenizer detokenizer(tokenizer, true, true);

  EXPECT_EQ(detokenizer.push(kFirstByte + 0xE2), "");
  EXPECT_EQ(detokenizer.push(kFirstByte + 0x82), "");
  EXPECT_EQ(detokenizer.push(kFirstByte + 0xAC), "€");
  EXPECT_EQ(detokenizer.push(kFirstByte + 0x0A), "\n");
  EXPECT_EQ(detokenizer.push(kFirstByte + 0xE2), "");
  EXPECT_EQ(detokenizer.push(4), "\uFFFDa");
}

TEST(GgufTokenizer, EncodesALongTextWithoutSpacesAndGivesItUpWhenAsked) {
  // A quadratic loop would not come back.
  auto tokenizer = made(small_llama());
  std::string text;
  for (int i = 0; i < 500'000; ++i)
    text += i % 3 == 0 ? "a" : "b";

  auto ids = tokenizer->encode(text, false, false);
  ASSERT_TRUE(ids);
  EXPECT_EQ(tokenizer->decode(*ids, true), text);
  EXPECT_EQ(tokenizer->encode(text, false, false, {.tokens_max = 1000}).error().code,
            ErrorCode::resource_exhausted);
  std::atomic<bool> stopped{true};
  EXPECT_EQ(tokenizer->encode(text, false, false, {.stopped = &stopped}).error().code,
            ErrorCode::cancelled);
}

TEST(GgufTokenizer, RefusesWhatItDoesNotKnowByName) {
  OwnedVocabulary gpt2 = small_gpt2();
  auto named = [&](const std::string& model, const std::string& pre) {
    return refusal(gpt2, [&](OwnedVocabulary& vocabulary) {
      vocabulary.fields.model = model;
      vocabulary.fields.pre = pre;
    });
  };
  EXPECT_EQ(named("bert", ""),
            "m.gguf: tokenizer.ggml.model 'bert' is not supported (known: gpt2, llama)");
  for (const char* pre :
       {"tekken", "deepseek-llm", "deepseek-coder", "deepseek-v3", "gpt-4o", "falcon", "dbrx"})
    EXPECT_THAT(named("gpt2", pre),
                HasSubstr("m.gguf: tokenizer.ggml.pre '" + std::string(pre) +
                          "' is not supported (known: smollm, "));
  EXPECT_THAT(named("gpt2", ""),
              HasSubstr("tokenizer.ggml.pre is missing, which cuts texts as no"));
  EXPECT_THAT(named("gpt2", "default"), HasSubstr("tokenizer.ggml.pre is 'default', which"));
}

TEST(GgufTokenizer, NamesTheKeyAndTheIdOfWhatIsWrong) {
  OwnedVocabulary gpt2 = small_gpt2();
  OwnedVocabulary llama = small_llama();
  auto gpt2_with = [&](auto change) { return refusal(gpt2, change); };
  auto llama_with = [&](auto change) { return refusal(llama, change); };
  using V = OwnedVocabulary;

  EXPECT_EQ(gpt2_with([](V& v) { v.tokens.clear(); }),
            "m.gguf: tokenizer.ggml.tokens is missing or empty");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.types.pop_back(); }),
            "m.gguf: tokenizer.ggml.token_type has 7 entries, ggml.tokens has 8");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.scores = {1}; }),
            "m.gguf: tokenizer.ggml.scores has 1 entries, ggml.tokens has 8");
  EXPECT_EQ(llama_with([](V& v) { v.fields.scores.clear(); }),
            "m.gguf: tokenizer.ggml.scores has 0 entries, ggml.tokens has 265");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.eot = 8; }),
            "m.gguf: tokenizer.ggml.eot_token_id is 8, must be in [0, 7]");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.padding = -1; }),
            "m.gguf: tokenizer.ggml.padding_token_id is -1, must be in [0, 7]");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.add_bos = true; }),
            "m.gguf: tokenizer.ggml.add_bos_token is true, but there is no ggml.bos_token_id");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.add_eos = true; }),
            "m.gguf: tokenizer.ggml.add_eos_token is true, but there is no ggml.eos_token_id");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.types[3] = 7; }),
            "m.gguf: tokenizer.ggml.token_type[3] is 7, must be in [1, 6]");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.types[3] = 0; }),
            "m.gguf: tokenizer.ggml.token_type[3] is 0, must be in [1, 6]");
  EXPECT_EQ(gpt2_with([](V& v) { v.fields.types[1] = byte; }),
            "m.gguf: tokenizer.ggml.tokens[1] 'b' is a byte token, which model gpt2 has not");
  EXPECT_EQ(gpt2_with([](V& v) { v.tokens[1] = "a\xFF"; }),
            "m.gguf: tokenizer.ggml.tokens[1] 'a\uFFFD' is not UTF-8");
  EXPECT_EQ(gpt2_with([](V& v) { v.tokens[1] = "a"; }),
            "m.gguf: tokenizer.ggml.tokens: the ids 0 and 1 are both 'a'");
  EXPECT_THAT(gpt2_with([](V& v) { v.tokens[1].assign(70'000, 'x'); }),
              HasSubstr("has 70000 bytes, at most 65536 are supported"));
  for (const char* merge : {"ab", "a ", " a", "", " "})
    EXPECT_THAT(gpt2_with([&](V& v) {
                  v.merges = {"a b", merge};
                }),
                HasSubstr("m.gguf: tokenizer.ggml.merges[1] '"));
  EXPECT_EQ(gpt2_with([](V& v) { v.merges = {"b a"}; }),
            "m.gguf: tokenizer.ggml.merges[0] 'b a' needs 'ba', which is no token");
  EXPECT_EQ(gpt2_with([](V& v) {
              v.merges = {"a b", "a b"};
            }),
            "m.gguf: tokenizer.ggml.merges[1] 'a b' is there twice");
  EXPECT_EQ(llama_with([](V& v) { v.fields.scores[4] = std::numeric_limits<float>::quiet_NaN(); }),
            "m.gguf: tokenizer.ggml.scores: the score of token 4 is nan, must be a finite number");
  EXPECT_EQ(llama_with([](V& v) { v.tokens[kFirstByte] = "x"; }),
            "m.gguf: tokenizer.ggml.tokens[9] 'x' is a byte token and not called <0x00> to <0xFF>");
  EXPECT_EQ(llama_with([](V& v) { v.fields.types[kFirstByte] = normal; }),
            "m.gguf: tokenizer.ggml.tokens[9] '<0x00>' is called like a byte token and of type 1");
  EXPECT_THAT(llama_with([](V& v) { v.tokens[4].assign(600, 'x'); }),
              HasSubstr("token 4 has 600 bytes, at most 512 are supported"));
}

TEST(GgufTokenizer, TakesGapsAndUnusedTokensOfAnyBytes) {
  OwnedVocabulary vocabulary = small_gpt2();
  for (const char* text : {"\xFF\xFE", "", "a", "[PAD]"}) {  // the latter are there already
    vocabulary.tokens.emplace_back(text);
    vocabulary.fields.types.push_back(unused);
  }
  vocabulary.tokens.emplace_back();
  vocabulary.fields.types.push_back(normal);

  auto tokenizer = made(vocabulary);
  EXPECT_EQ(tokenizer->decode({8, 9, 10, 11, 12, 0}, false), "a");
  EXPECT_THAT(*tokenizer->encode("a", false, true), ElementsAre(0));
}

TEST(GgufTokenizer, PrefersAWholeTokenizerJson) {
  OwnedVocabulary vocabulary = small_gpt2();
  vocabulary.fields.bos = 4;
  vocabulary.fields.eos = 7;
  vocabulary.fields.add_bos = true;
  std::string text = R"({
    "added_tokens": [{"id": 4, "content": "<|end|>", "special": true}],
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "decoder": {"type": "ByteLevel"},
    "model": {"vocab": {"b": 0, "a": 1}, "merges": []}})";
  GgufVocabulary view = vocabulary.view();
  view.huggingface_json = text;

  auto tokenizer = make_gguf_tokenizer(view, "m.gguf");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT(*(*tokenizer)->encode("ab", true, true), ElementsAre(4, 1, 0));
  EXPECT_THAT((*tokenizer)->eos(), ElementsAre(4, 7));

  view.huggingface_json = "{}";
  EXPECT_EQ(make_gguf_tokenizer(view, "m.gguf").error().message,
            "m.gguf: tokenizer.huggingface.json: model is missing");
  view.huggingface_json = text;
  view.tokens.resize(4);
  view.types.resize(4);
  view.bos = view.eos = 0;
  EXPECT_THAT(make_gguf_tokenizer(view, "m.gguf").error().message,
              HasSubstr("has ids up to 4, ggml.tokens has 4 entries"));
}

/// Whatever comes out of damage, it is an error with a place, or a tokenizer within its bounds.
void expect_bounded(const OwnedVocabulary& vocabulary) {
  auto tokenizer = make_gguf_tokenizer(vocabulary.view(), "m.gguf");
  if (!tokenizer) {
    EXPECT_THAT(tokenizer.error().message, HasSubstr("m.gguf: tokenizer."));
    EXPECT_TRUE(is_valid_utf8(tokenizer.error().message)) << tokenizer.error().message;
    return;
  }
  auto ids = (*tokenizer)->encode("ab ab<s>é\u2581<|end|>", true, true);
  ASSERT_TRUE(ids);
  for (TokenId id : *ids) {
    EXPECT_GE(id, 0);
    EXPECT_LT(id, (*tokenizer)->vocabulary());
  }
  EXPECT_TRUE(is_valid_utf8((*tokenizer)->decode(*ids, false)));
  (void)(*tokenizer)->decode({-1, 0, 1 << 30}, true);
}

TEST(GgufTokenizer, SurvivesDamageOfEveryKind) {
  for (const OwnedVocabulary& sound : {small_gpt2(), small_llama()}) {
    for (std::uint64_t seed = 0; seed < 3000; ++seed) {
      OwnedVocabulary damaged = sound;
      GgufVocabulary& fields = damaged.fields;
      for (std::uint64_t i = 0; i < 1 + seed % 3; ++i) {
        std::uint64_t draw = mix64(seed * 4 + i);
        std::size_t at = draw / 16 % damaged.tokens.size();
        std::string& token = damaged.tokens[at];
        auto id = static_cast<TokenId>(draw / 16 % 600) - 40;
        switch (draw % 12) {
          case 0:
            if (!token.empty())
              token[draw / 64 % token.size()] ^= static_cast<char>(1 << draw / 7 % 8);
            break;
          case 1:
            token = token.substr(0, draw / 64 % (token.size() + 1));
            break;
          case 2:
            if (at < fields.types.size())
              fields.types[at] = static_cast<std::int32_t>(draw / 64 % 9) - 1;
            break;
          case 3:
            if (at < fields.scores.size()) fields.scores[at] = static_cast<float>(draw % 5) * 1e30F;
            break;
          case 4:
            if (!fields.types.empty()) fields.types.pop_back();
            break;
          case 5:
            damaged.tokens.resize(1 + at);
            fields.types.resize(1 + at);
            if (!fields.scores.empty()) fields.scores.resize(1 + at);
            break;
          case 6:
            damaged.merges.push_back(token + " " + damaged.tokens.front());
            break;
          case 7:
            for (auto* role : {&fields.bos, &fields.eos, &fields.eot, &fields.unknown})
              *role = id;
            break;
          case 8:
            fields.add_bos = draw / 64 % 2 == 0;
            fields.add_eos = draw / 128 % 2 == 0;
            fields.add_space_prefix = draw / 256 % 2 == 0;
            break;
          case 9:
            token = damaged.tokens[draw / 640 % damaged.tokens.size()];
            break;
          case 10:
            fields.model = fields.model == "llama" ? "gpt2" : "llama";
            break;
          default:
            token.append("\xC3");
        }
      }
      expect_bounded(damaged);
    }
  }
}

}  // namespace
}  // namespace sluice
