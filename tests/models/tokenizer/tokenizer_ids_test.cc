// GGUF's and SentencePiece's tokenizers against `tokenizers` and `sentencepiece`, text by text.
#include "models/tokenizer/tokenizer.h"
#include "tests/models/tokenizer/gguf_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

using testing::from_hex;

const std::string kGolden = SLUICE_SOURCE_DIR "/tests/golden/tokenizers/";

/// FNV-1a over the ids as little-endian numbers of four bytes.
std::uint32_t hash_of(const std::vector<TokenId>& ids) {
  std::uint32_t hash = 0x811C9DC5;
  for (TokenId id : ids) {
    for (int shift = 0; shift < 32; shift += 8)
      hash = (hash ^ (static_cast<std::uint32_t>(id) >> shift & 0xFF)) * 0x01000193;
  }
  return hash;
}

/// A line of NAME.ids for some ids.
std::string line_of(const std::vector<TokenId>& ids) {
  constexpr std::size_t kFirst = 8;
  char hash[9];
  std::snprintf(hash, sizeof hash, "%08x", hash_of(ids));
  std::string line = std::to_string(ids.size()) + " " + hash;
  for (std::size_t i = 0; i < ids.size() && i < kFirst; ++i)
    line += " " + std::to_string(ids[i]);
  return line;
}

std::string pieces_of(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::string pieces;
  for (TokenId id : ids)
    pieces += std::to_string(id) + " '" + std::string(tokenizer.bytes(id)) + "', ";
  return pieces;
}

struct Reference {
  std::string text;
  std::string line;
  std::string decoded;
};

/// The references of one file, each with its text.
std::vector<Reference> references_of(const std::string& name) {
  std::ifstream texts(kGolden + "gpt2.jsonl");
  std::ifstream lines(kGolden + name + ".ids");
  EXPECT_TRUE(lines) << name;
  std::vector<Reference> all;
  std::string text;
  for (std::string line; std::getline(lines, line) && std::getline(texts, text);) {
    Reference reference;
    reference.text = from_hex(boost::json::parse(text).at("text").as_string());
    std::size_t equals = line.find(" = ");
    reference.line = line.substr(0, equals);
    reference.decoded =
        equals == std::string::npos ? reference.text : from_hex(line.substr(equals + 3));
    all.push_back(std::move(reference));
  }
  return all;
}

void expect_references(const Tokenizer& tokenizer,
                       const std::string& name,
                       bool parse_special,
                       bool decodes = true) {
  std::vector<Reference> references = references_of(name);
  ASSERT_GE(references.size(), 2000U);
  for (const Reference& reference : references) {
    auto ids = tokenizer.encode(reference.text, false, parse_special);
    ASSERT_TRUE(ids) << ids.error().message;
    ASSERT_EQ(line_of(*ids), reference.line) << name << ": " << reference.text << "\n"
                                             << pieces_of(tokenizer, *ids);
    ASSERT_LE(reference.text.size() / tokenizer.token_bytes_max(), ids->size()) << reference.text;
    if (decodes) {
      ASSERT_EQ(tokenizer.decode(*ids, false), reference.decoded) << name << ": " << reference.text;
    }
  }
}

std::shared_ptr<const Tokenizer> tokenizer_of(const testing::OwnedVocabulary& vocabulary) {
  auto made = make_gguf_tokenizer(vocabulary.view(), "test.gguf");
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : nullptr;
}

std::shared_ptr<const Tokenizer> golden_vocabulary(const std::string& name,
                                                   const std::string& pre = "") {
  testing::OwnedVocabulary vocabulary =
      testing::read_golden_vocabulary(kGolden + name + ".gguf.json");
  vocabulary.fields.pre = pre;
  return tokenizer_of(vocabulary);
}

TEST(TokenizerIds, AreThoseOfTokenizersForEachPreTokenizerOfGguf) {
  for (const char* pre : {"gpt-2", "smollm", "qwen2", "qwen35", "llama-bpe"}) {
    auto tokenizer = golden_vocabulary("bytes", pre);
    ASSERT_TRUE(tokenizer);
    expect_references(*tokenizer, std::string("bytes.") + pre, true);
  }
}

TEST(TokenizerIds, AreTheSameForTheOtherNamesOfAPreTokenizer) {
  const std::pair<const char*, std::vector<const char*>> names[] = {
      {"gpt-2", {"phi-2", "mpt", "olmo"}},
      {"smollm", {"starcoder", "refact", "command-r"}},
      {"qwen2", {"deepseek-r1-qwen", "megrez"}},
      {"llama-bpe", {"llama3", "llama-v3", "falcon3", "pixtral"}}};
  for (const auto& [pre, others] : names) {
    for (const char* other : others)
      expect_references(*golden_vocabulary("bytes", other), std::string("bytes.") + pre, true);
  }
}

TEST(TokenizerIds, AreThoseOfSentencePieceForEachKindOfVocabulary) {
  for (const char* name : {"prefix", "plain", "across"})
    expect_references(*golden_vocabulary(name), std::string(name) + ".sp", false);
  expect_references(*golden_vocabulary("unknown"), "unknown.sp", false, /*decodes=*/false);
}

TEST(TokenizerIds, AreThoseOfTokenizersForEveryTokenizerJsonOfTheLlamaFamily) {
  for (const char* name :
       {"prefix", "metaspace_always", "metaspace_first", "metaspace_split", "gemma"}) {
    auto tokenizer = load_tokenizer(kGolden + name);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    expect_references(**tokenizer, name, true);
  }
}

TEST(TokenizerIds, AreThoseOfTokenizersWhereCutsFollowByteLevel) {
  auto tokenizer = load_tokenizer(kGolden + "falcon");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  expect_references(**tokenizer, "falcon", true);
}

TEST(TokenizerIds, AreThoseOfTheTokenizerJsonForTheGgufOfTheSameModel) {
  // A space is put before what follows a special token, too: Llama 2's way.
  expect_references(*golden_vocabulary("prefix"), "prefix", true);
}

/// Needs the real model's file, which is not part of the repository.
class SmolLm2Tokenizer : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("SLUICE_SMOLLM2");
    if (path == nullptr)
      GTEST_SKIP() << "SLUICE_SMOLLM2 does not name SmolLM2-135M-Instruct.Q4_1.gguf";
    tokenizer_ = tokenizer_of(testing::read_gguf_vocabulary(path));
    ASSERT_TRUE(tokenizer_);
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_F(SmolLm2Tokenizer, HasTheIdsOfTokenizers) {
  expect_references(*tokenizer_, "smollm2", true);
}

TEST_F(SmolLm2Tokenizer, HasTheIdsOfLlamaCppForTextsAndPrompts) {
  std::ifstream file(kGolden + "smollm2.prompts");
  std::size_t count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    std::size_t equals = line.find(" = ");
    std::string text = from_hex(line.substr(equals + 3));
    auto ids = encode_prompt(*tokenizer_, text);
    ASSERT_TRUE(ids);
    std::string found;
    for (TokenId id : *ids)
      found += (found.empty() ? "" : " ") + std::to_string(id);
    EXPECT_EQ(found, line.substr(0, equals)) << text;
  }
  EXPECT_EQ(count, 25U);
  EXPECT_THAT(tokenizer_->eos(), ::testing::ElementsAre(0, 2));
  EXPECT_FALSE(tokenizer_->adds_bos());
}

TEST(TokenizerIds, BecomeTheTextThatSentencePieceGivesAtOnceAndOneByOne) {
  auto tokenizer = golden_vocabulary("prefix");
  std::ifstream file(kGolden + "prefix.decoded");
  std::size_t count = 0;
  for (std::string line; std::getline(file, line); ++count) {
    std::size_t equals = line.find(" = ");
    std::string wanted = from_hex(line.substr(equals + 3));
    std::istringstream numbers(line.substr(0, equals));
    std::vector<TokenId> ids;
    for (TokenId id = 0; numbers >> id;)
      ids.push_back(id);

    ASSERT_EQ(tokenizer->decode(ids, true), wanted) << line;
    Detokenizer detokenizer(tokenizer, true);
    std::string text;
    for (TokenId id : ids)
      text += detokenizer.push(id);
    ASSERT_EQ(text + detokenizer.finish(), wanted) << line;
  }
  EXPECT_GE(count, 300U);
}

}  // namespace
}  // namespace sluice
