#include "api/prompt_tokens.h"

#include "api/chat_prompt.h"
#include "api/errors.h"
#include "base/utf8.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace sluice {
namespace {

/// A text is counted to its end only if it has no more tokens than so many contexts.
constexpr std::size_t kCountedContexts = 8;

/// Work on one prompt. Lives for one call.
class PromptTokenizer {
 public:
  PromptTokenizer(const ModelCard& model, const TokenizeOptions& options)
      : model_(model), tokenizer_(*model.tokenizer), options_(options) {}

  std::optional<ApiError> operator()(const std::string& text) {
    if (auto error = check_length(text)) return error;
    if (auto error = take(tokenizer_.encode(text, options_.add_special, true, limit())))
      return error;
    if (options_.echo) result_.text = text;
    return check_text_tokens();
  }

  std::optional<ApiError> operator()(const std::vector<TokenId>& tokens) {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (tokens[i] >= 0 && tokens[i] < model_.vocabulary) continue;
      return errors::invalid_value(options_.name,
                                   "Token id " + std::to_string(tokens[i]) + " at position " +
                                       std::to_string(i) + " is outside the vocabulary [0, " +
                                       std::to_string(model_.vocabulary) + ").");
    }
    result_.tokens = tokens;
    if (options_.echo) result_.text = tokenizer_.decode(tokens, true);
    return std::nullopt;
  }

  std::optional<ApiError> operator()(const std::shared_ptr<const Conversation>& conversation) {
    auto rendered = render_conversation(*conversation, model_);
    if (auto* error = std::get_if<ApiError>(&rendered)) return std::move(*error);
    const auto& prompt = std::get<jinja::Prompt>(rendered);
    if (auto error = check_length(prompt.text)) return error;
    if (auto error =
            take(encode_prompt(tokenizer_, MarkedText(prompt.text, prompt.untrusted), limit())))
      return error;
    if (options_.echo) result_.text = prompt.text;
    return check_text_tokens();
  }

  TokenizedPrompt finish() {
    auto& tokens = result_.tokens;
    if (options_.truncate && tokens.size() > *options_.truncate) {
      tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(*options_.truncate));
      if (options_.echo) result_.text = tokenizer_.decode(tokens, true);
    }
    return std::move(result_);
  }

 private:
  /// A text that is too long for any tokenization is refused before it costs anything.
  [[nodiscard]] std::optional<ApiError> check_length(const std::string& text) const {
    std::size_t token_bytes = std::max<std::size_t>(1, tokenizer_.token_bytes_max());
    std::size_t tokens_min = text.size() / token_bytes;
    if (options_.truncate || tokens_min <= static_cast<std::size_t>(options_.context))
      return std::nullopt;
    return errors::context_length_exceeded(static_cast<std::uint64_t>(options_.context),
                                           tokens_min,
                                           options_.max_tokens,
                                           token_bytes > 1);
  }

  /// Of a text that is far too long nobody needs the exact number of tokens.
  [[nodiscard]] EncodeLimit limit() const {
    EncodeLimit limit;
    if (!options_.truncate)
      limit.tokens_max = kCountedContexts * static_cast<std::size_t>(options_.context);
    limit.stopped = options_.stopped;
    return limit;
  }

  std::optional<ApiError> take(Result<std::vector<TokenId>> ids) {
    if (!ids && ids.error().code == ErrorCode::resource_exhausted) {
      return errors::context_length_exceeded(static_cast<std::uint64_t>(options_.context),
                                             limit().tokens_max + 1,
                                             options_.max_tokens,
                                             true);
    }
    if (!ids) return errors::invalid_value(options_.name, ids.error().message);
    result_.tokens = std::move(*ids);
    return std::nullopt;
  }

  std::optional<ApiError> check_text_tokens() {
    if (result_.tokens.empty() && !options_.may_be_empty) {
      // An empty prompt without a BOS leaves nothing to start from.
      if (tokenizer_.bos()) {
        result_.tokens.push_back(*tokenizer_.bos());
      } else if (!tokenizer_.eos().empty()) {
        result_.tokens.push_back(tokenizer_.eos().front());
      } else {
        return errors::invalid_value(options_.name,
                                     "The prompt is empty and the model has no first token.");
      }
    }
    // A token that was added to the tokenizer and never to the model.
    for (TokenId id : result_.tokens) {
      if (id < model_.vocabulary) continue;
      return errors::invalid_value(options_.name,
                                   "The text spells the token \"" + excerpt(tokenizer_.bytes(id)) +
                                       "\", whose id " + std::to_string(id) +
                                       " is outside the model's vocabulary [0, " +
                                       std::to_string(model_.vocabulary) + ").");
    }
    return std::nullopt;
  }

  const ModelCard& model_;
  const Tokenizer& tokenizer_;
  const TokenizeOptions& options_;
  TokenizedPrompt result_;
};

}  // namespace

std::optional<ApiError> check_token_ids(const std::string& name,
                                        const std::vector<TokenId>& ids,
                                        std::int32_t vocabulary) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < vocabulary) continue;
    return errors::invalid_value(name,
                                 "Token id " + std::to_string(ids[i]) + " at position " +
                                     std::to_string(i) + " is outside the vocabulary [0, " +
                                     std::to_string(vocabulary) + ").");
  }
  return std::nullopt;
}

std::variant<TokenizedPrompt, ApiError> tokenize_prompt(const Prompt& prompt,
                                                        const ModelCard& model,
                                                        const TokenizeOptions& options) {
  PromptTokenizer work(model, options);
  if (auto error = std::visit(work, prompt)) return std::move(*error);
  return work.finish();
}

}  // namespace sluice
