#include "models/tokenizer/score_merges.h"

#include "base/hash.h"
#include "tests/models/tokenizer/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace sluice {
namespace {

using namespace testing::token_types;
using testing::made;
using testing::OwnedVocabulary;
using testing::Token;
using testing::vocabulary_of;

/// The definition, without any cleverness: look for the best pair, merge it, begin again.
std::vector<std::string> merged_naively(const std::vector<std::string>& characters,
                                        const std::vector<Token>& tokens) {
  std::vector<std::string> parts = characters;
  while (true) {
    std::size_t best_at = 0;
    const Token* best = nullptr;
    for (std::size_t at = 0; at + 1 < parts.size(); ++at) {
      for (const Token& token : tokens) {
        if (token.text != parts[at] + parts[at + 1]) continue;
        if (best == nullptr || token.score > best->score) {
          best = &token;
          best_at = at;
        }
      }
    }
    if (best == nullptr) return parts;
    parts[best_at] += parts[best_at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

TEST(ScoreMerges, MergeRandomWordsAsTheirDefinitionDoes) {
  // Equal scores, tokens made in several ways, and characters (é) that are parts of tokens only.
  const std::vector<Token> tokens = {{"a", normal, -9},
                                     {"b", normal, -9},
                                     {"ab", normal, -2},
                                     {"ba", normal, -2},
                                     {"aa", normal, -1},
                                     {"aaa", normal, -3},
                                     {"abab", normal, -1},
                                     {"bé", normal, -2},
                                     {"éé", normal, -2},
                                     {"ébé", normal, 0},
                                     {"éaé", normal, -4}};
  OwnedVocabulary owned = vocabulary_of("llama", tokens);
  for (int i = 0; i < 256; ++i) {
    owned.tokens.push_back(byte_token_name(static_cast<unsigned char>(i)));
    owned.fields.types.push_back(byte);
    owned.fields.scores.push_back(0);
  }
  owned.fields.add_space_prefix = false;
  auto tokenizer = made(owned);
  ASSERT_TRUE(tokenizer);

  for (std::uint64_t seed = 0; seed < 4000; ++seed) {
    std::vector<std::string> word;
    for (std::uint64_t i = 0; i < 1 + seed % 24; ++i) {
      const char* characters[] = {"a", "b", "é"};
      word.emplace_back(characters[mix64(seed * 32 + i) % 3]);
    }
    std::vector<TokenId> wanted;
    std::string text;
    for (const std::string& part : merged_naively(word, tokens)) {
      text += part;
      auto known = std::find(owned.tokens.begin(), owned.tokens.end(), part);
      if (known != owned.tokens.end()) {
        wanted.push_back(static_cast<TokenId>(known - owned.tokens.begin()));
      } else {
        for (char c : part)
          wanted.push_back(static_cast<TokenId>(tokens.size() + static_cast<unsigned char>(c)));
      }
    }
    ASSERT_EQ(*tokenizer->encode(text, false, false), wanted) << text;
  }
}

}  // namespace
}  // namespace sluice
