// SentencePiece's BPE: tokens have scores, and their merges follow from them.
#pragma once

#include "base/result.h"
#include "models/tokenizer/bpe.h"
#include "models/tokenizer/vocabulary.h"

#include <span>
#include <string>
#include <vector>

namespace sluice {

/// As `BpeOptions::parts` and the merges of a `Bpe` have it.
struct ScoreMerges {
  std::vector<BpeMerge> merges;
  std::vector<std::string> parts;
};

/// Every way to put a token together from two that texts become, or from single characters; the
/// token of the highest score merges first, and of equal ones the leftmost. Source: Kudo and
/// Richardson 2018, and its published code. (It differs from that only where a vocabulary has
/// unused tokens in the middle of used ones: there they are merged and taken apart again, here not
/// made.)
///   vocabulary   valid UTF-8, except for what no text becomes
///   scores       one for each id
/// Errors: invalid_argument for a score that is no number and a token longer than 512 bytes.
Result<ScoreMerges> merges_by_score(const Vocabulary& vocabulary,
                                    std::span<const float> scores,
                                    const std::string& place);

}  // namespace sluice
