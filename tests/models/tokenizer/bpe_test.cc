#include "models/tokenizer/bpe.h"

#include "base/hash.h"
#include "models/tokenizer/hf_model.h"

#include <boost/json/parse.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;

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

}  // namespace
}  // namespace sluice
