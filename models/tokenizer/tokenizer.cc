#include "models/tokenizer/tokenizer.h"

#include "base/utf8.h"

#include <array>
#include <utility>

namespace sluice {
namespace {

/// One id a byte, and one for the end. The end's name is not recognised in texts.
class ByteTokenizer final : public Tokenizer {
 public:
  ByteTokenizer() {
    for (std::size_t i = 0; i < bytes_.size(); ++i)
      bytes_[i] = static_cast<char>(i);
  }

  [[nodiscard]] std::int32_t vocabulary() const override { return kEnd + 1; }
  [[nodiscard]] std::int32_t text_vocabulary() const override { return kEnd; }
  [[nodiscard]] std::optional<TokenId> bos() const override { return std::nullopt; }
  [[nodiscard]] const std::vector<TokenId>& eos() const override { return eos_; }
  [[nodiscard]] std::size_t token_bytes_max() const override { return 1; }

  [[nodiscard]] Result<std::vector<TokenId>> encode(std::string_view text,
                                                    bool /*add_special*/,
                                                    bool /*parse_special*/,
                                                    const EncodeLimit& limit) const override {
    std::size_t valid = valid_utf8_prefix(text);
    if (valid < text.size())
      return Error{ErrorCode::invalid_argument,
                   "text is not UTF-8 at byte " + std::to_string(valid) + " of " +
                       std::to_string(text.size())};
    if (auto reached = limit.reached(text.size())) return *reached;
    std::vector<TokenId> ids;
    ids.reserve(text.size());
    for (char c : text)
      ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }

  [[nodiscard]] std::string_view bytes(TokenId id) const override {
    if (id == kEnd) return "<|end|>";
    if (id < 0 || id > kEnd) return {};
    return {&bytes_[static_cast<std::size_t>(id)], 1};
  }
  [[nodiscard]] bool is_special(TokenId id) const override { return id == kEnd; }

  [[nodiscard]] std::string decode(const std::vector<TokenId>& ids,
                                   bool skip_special) const override {
    std::string text;
    for (TokenId id : ids) {
      if (!(skip_special && is_special(id))) text += bytes(id);
    }
    return repair_utf8(text);
  }

 private:
  static constexpr TokenId kEnd = 256;
  std::array<char, 256> bytes_{};
  std::vector<TokenId> eos_{kEnd};
};

}  // namespace

std::optional<Error> EncodeLimit::reached(std::size_t tokens) const {
  if (tokens > tokens_max)
    return Error{ErrorCode::resource_exhausted,
                 "the text has more than " + std::to_string(tokens_max) + " tokens"};
  if (stopped != nullptr && stopped->load(std::memory_order_relaxed))
    return Error{ErrorCode::cancelled, "nobody wants the tokens any more"};
  return std::nullopt;
}

std::shared_ptr<const Tokenizer> make_byte_tokenizer() {
  return std::make_shared<ByteTokenizer>();
}

Detokenizer::Detokenizer(std::shared_ptr<const Tokenizer> tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special) {}

std::string Detokenizer::push(TokenId id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  pending_ += tokenizer_->bytes(id);
  // What could still become a character stays; it starts at a lead byte, so repairing the rest by
  // itself gives what repairing the whole would give.
  std::size_t certain = pending_.size() - incomplete_utf8_tail(pending_);
  std::string text = repair_utf8(std::string_view(pending_).substr(0, certain));
  pending_.erase(0, certain);
  return text;
}

std::string Detokenizer::finish() {
  return repair_utf8(std::exchange(pending_, {}));
}

}  // namespace sluice
