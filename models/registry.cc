#include "models/registry.h"

#include "models/checkpoint/model_files.h"
#include "models/decoder/decoder.h"
#include "models/hash/hash_chain.h"
#include "models/hash/hash_model.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kHashName = "hash";

}  // namespace

Result<std::unique_ptr<Model>> load_model(const ModelSource& source) {
  if (source.path == kHashName) return make_hash_model();
  return load_decoder(source);
}

Result<ModelCard> load_model_card(const std::string& path) {
  if (path == kHashName)
    return ModelCard{kHashName, kHashVocabulary, kHashContext, make_byte_tokenizer(), 0};
  Result<ModelFiles> files = ModelFiles::open(path);
  if (!files) return files.error();
  Result<DecoderConfig> config = files->config();
  if (!config) return config.error();
  Result<std::shared_ptr<const Tokenizer>> tokenizer = files->tokenizer();
  if (!tokenizer) return tokenizer.error();
  // The tokenizer may know fewer ids than the model has rows (padding). It may know more if those
  // are added tokens, such as a [PAD] that the model was never resized for: a prompt that spells
  // one is refused. What every prompt needs must be there.
  auto beyond = [&](const std::string& what) {
    std::string numbers = " " + what + ", ";
    numbers += files->gguf() != nullptr ? "the vocabulary has " : "config.json: vocab_size is ";
    numbers += std::to_string(config->vocabulary);
    return Error{
        ErrorCode::invalid_argument,
        path + (files->gguf() != nullptr ? ": its tokenizer" : ": tokenizer.json") + numbers};
  };
  if ((*tokenizer)->text_vocabulary() > config->vocabulary)
    return beyond("makes text into ids up to " +
                  std::to_string((*tokenizer)->text_vocabulary() - 1));
  Result<std::vector<TokenId>> around = (*tokenizer)->encode("", true, false);
  if (!around) return around.error();
  for (TokenId id : *around) {
    if (id >= config->vocabulary)
      return beyond("puts the id " + std::to_string(id) + " around every text");
  }
  Result<std::optional<std::string>> chat_template = files->chat_template();
  if (!chat_template) return chat_template.error();
  return ModelCard{config->architecture,
                   config->vocabulary,
                   config->context,
                   std::move(*tokenizer),
                   files->tokenizer_hash(),
                   std::move(*chat_template)};
}

}  // namespace sluice
