// The entry "model" of a tokenizer.json: vocabulary and merges.
#pragma once

#include "base/result.h"
#include "models/tokenizer/bpe.h"
#include "models/tokenizer/vocabulary.h"

#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace sluice {

/// All that a `Bpe` is made from.
struct HfModel {
  Vocabulary vocabulary;
  std::vector<BpeMerge> merges;
  BpeOptions options;  ///< `symbols` is decided by the pre-tokenizer, which is not part of it
};

/// Reads "type" (BPE), "vocab", "merges" (pairs, or strings with a space), "byte_fallback",
/// "ignore_merges", "unk_token", "fuse_unk". Errors: invalid_argument, with the entry.
Result<HfModel> read_hf_model(const boost::json::object& model, const std::string& file);

}  // namespace sluice
