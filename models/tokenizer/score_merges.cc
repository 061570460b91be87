#include "models/tokenizer/score_merges.h"

#include "base/utf8.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <unordered_map>
#include <utility>

namespace sluice {
namespace {

/// The work is the square of a token's length; the longest known ones have some 100 bytes.
constexpr std::size_t kTokenBytesMax = 512;

/// Ranks by score: the highest has 0, equal ones have the same.
Result<std::vector<std::int32_t>> rank_scores(std::span<const float> scores,
                                              const std::string& place) {
  std::vector<float> order(scores.begin(), scores.end());
  for (std::size_t id = 0; id < order.size(); ++id) {
    if (!std::isfinite(order[id]))
      return Error{ErrorCode::invalid_argument,
                   place + ": the score of token " + std::to_string(id) + " is " +
                       std::to_string(order[id]) + ", must be a finite number"};
  }
  std::sort(order.begin(), order.end(), std::greater<>());
  std::vector<std::int32_t> ranks;
  ranks.reserve(scores.size());
  for (float score : scores) {
    auto at = std::lower_bound(order.begin(), order.end(), score, std::greater<>());
    ranks.push_back(static_cast<std::int32_t>(at - order.begin()));
  }
  return ranks;
}

/// Where the characters of a valid text end.
std::vector<std::size_t> character_ends(std::string_view text) {
  std::vector<std::size_t> ends;
  for (std::size_t at = 1; at <= text.size(); ++at) {
    if (at == text.size() || (text[at] & 0xC0) != 0x80) ends.push_back(at);
  }
  return ends;
}

}  // namespace

Result<ScoreMerges> merges_by_score(const Vocabulary& vocabulary,
                                    std::span<const float> scores,
                                    const std::string& place) {
  Result<std::vector<std::int32_t>> ranks = rank_scores(scores, place);
  if (!ranks) return ranks.error();
  ScoreMerges result;
  std::unordered_map<std::string_view, TokenId> parts;  // views into the vocabulary
  auto token_of = [&](std::string_view text) -> TokenId {
    std::optional<TokenId> id = vocabulary.find(text);
    return id && vocabulary.from_text(*id) ? *id : -1;
  };
  // A character that is a part of a token and no token itself has an id behind the vocabulary.
  auto symbol_of = [&](std::string_view text, bool one_character) -> TokenId {
    TokenId id = token_of(text);
    if (id >= 0 || !one_character) return id;
    auto next = static_cast<TokenId>(vocabulary.size() + result.parts.size());
    auto [part, fresh] = parts.try_emplace(text, next);
    if (fresh) result.parts.emplace_back(text);
    return part->second;
  };
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    auto id = static_cast<TokenId>(i);
    if (!vocabulary.from_text(id)) continue;
    std::string_view token = vocabulary.spelling(id);
    if (token.size() > kTokenBytesMax)
      return Error{ErrorCode::invalid_argument,
                   place + ": token " + std::to_string(id) + " has " +
                       std::to_string(token.size()) + " bytes, at most " +
                       std::to_string(kTokenBytesMax) + " are supported"};
    std::vector<std::size_t> ends = character_ends(token);
    for (std::size_t k = 0; k + 1 < ends.size(); ++k) {
      TokenId left = symbol_of(token.substr(0, ends[k]), k == 0);
      TokenId right = left < 0 ? -1 : symbol_of(token.substr(ends[k]), k + 2 == ends.size());
      if (right >= 0) result.merges.push_back({left, right, id, (*ranks)[i]});
    }
  }
  return result;
}

}  // namespace sluice
