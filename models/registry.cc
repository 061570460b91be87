#include "models/registry.h"

#include "models/checkpoint/model_files.h"
#include "models/decoder/decoder.h"
#include "models/hash/hash_chain.h"
#include "models/hash/hash_model.h"
#include "models/template/builtin.h"
#include "models/template/chat_template.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr const char* kHashName = "hash";

/// A template that cannot be read keeps nobody from completing texts: it is told to who wants a
/// chat.
void take_template(const ModelFiles& files, ModelCard& card) {
  const Tokenizer& tokenizer = *card.tokenizer;
  if (tokenizer.bos()) card.bos_text = tokenizer.bytes(*tokenizer.bos());
  if (tokenizer.eos_token()) card.eos_text = tokenizer.bytes(*tokenizer.eos_token());
  Result<std::optional<std::string>> text = files.chat_template();
  if (!text) {
    card.template_fault = text.error().message;
  } else if (*text) {
    auto parsed = jinja::ChatTemplate::parse(**text, "chat template");
    if (parsed)
      card.chat_template = std::make_shared<const jinja::ChatTemplate>(std::move(*parsed));
    else
      card.template_fault = parsed.error().message;
  }
}

}  // namespace

Result<std::unique_ptr<Model>> load_model(const ModelSource& source) {
  if (source.path == kHashName) return make_hash_model();
  return load_decoder(source);
}

Result<ModelCard> load_model_card(const std::string& path) {
  if (path == kHashName) {
    ModelCard card{kHashName, kHashVocabulary, kHashContext, make_byte_tokenizer(), 0};
    auto plain = jinja::ChatTemplate::parse(jinja::find_builtin_template("plain"), "plain");
    if (!plain) return plain.error();
    card.chat_template = std::make_shared<const jinja::ChatTemplate>(std::move(*plain));
    return card;
  }
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
  ModelCard card{config->architecture,
                 config->vocabulary,
                 config->context,
                 std::move(*tokenizer),
                 files->tokenizer_hash()};
  take_template(*files, card);
  return card;
}

}  // namespace sluice
