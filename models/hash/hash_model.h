// The model that costs nothing: every token is a known function of those before it, kept in real KV
// blocks.
#pragma once

#include "models/model.h"

#include <memory>

namespace sluice {

/// Its state is one 64-bit value a token (hash/hash_chain.h), read back through the block table, so
/// a wrong table or a block written by another sequence shows in the output. Logits: 0 for the
/// token that follows, -1e9 for all others.
std::unique_ptr<Model> make_hash_model();

}  // namespace sluice
