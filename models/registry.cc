#include "models/registry.h"

#include "models/config.h"
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
    return ModelCard{kHashName, kHashVocabulary, kHashContext, make_byte_tokenizer()};
  Result<DecoderConfig> config = load_decoder_config(path);
  if (!config) return config.error();
  Result<std::shared_ptr<const Tokenizer>> tokenizer = load_tokenizer(path);
  if (!tokenizer) return tokenizer.error();
  // The tokenizer may know fewer ids than the model has rows (padding), but not more.
  if ((*tokenizer)->vocabulary() > config->vocabulary)
    return Error{ErrorCode::invalid_argument,
                 path + ": tokenizer.json has ids up to " +
                     std::to_string((*tokenizer)->vocabulary() - 1) +
                     ", config.json: vocab_size is " + std::to_string(config->vocabulary)};
  return ModelCard{
      config->architecture, config->vocabulary, config->context, std::move(*tokenizer)};
}

}  // namespace sluice
