// The keys "tokenizer.*" of a GGUF file, checked.
#pragma once

#include "base/result.h"
#include "models/checkpoint/gguf.h"
#include "models/tokenizer/gguf_tokenizer.h"

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// Errors: invalid_argument; the message names the file, the key and the value.
Result<GgufVocabulary> read_gguf_vocabulary(const Gguf& file);

/// The text of "tokenizer.chat_template", if there is one. Errors: invalid_argument (more than
/// 1 MiB, not UTF-8).
Result<std::optional<std::string>> read_gguf_chat_template(const Gguf& file);

/// The hash of every key that decides what the tokenizer does, by which two readers of a file know
/// whether they have read the same; 0 if there is none.
std::uint64_t hash_gguf_vocabulary(const Gguf& file);

}  // namespace sluice
