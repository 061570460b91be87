#include "models/tokenizer/tokenizer.h"

#include "base/utf8.h"

#include <algorithm>
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
  [[nodiscard]] bool adds_bos() const override { return false; }
  [[nodiscard]] std::optional<TokenId> eos_token() const override { return std::nullopt; }
  [[nodiscard]] const std::vector<TokenId>& eos() const override { return eos_; }
  [[nodiscard]] std::size_t token_bytes_max() const override { return 1; }

  [[nodiscard]] Result<std::vector<TokenId>> encode(const MarkedText& marked,
                                                    bool /*add_special*/,
                                                    bool /*parse_special*/,
                                                    const EncodeLimit& limit) const override {
    std::string_view text = marked.text;
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
  [[nodiscard]] std::size_t first_spaces_dropped() const override { return 0; }

 private:
  static constexpr TokenId kEnd = 256;
  std::array<char, 256> bytes_{};
  std::vector<TokenId> eos_{kEnd};
};

/// How many spaces a text begins with, `most` at the most.
std::size_t leading_spaces(std::string_view text, std::size_t most) {
  std::size_t spaces = std::min(text.find_first_not_of(' '), text.size());
  return std::min(spaces, most);
}

}  // namespace

std::string Tokenizer::decode(const std::vector<TokenId>& ids, bool skip_special) const {
  std::string text;
  bool at_start = true;
  for (TokenId id : ids) {
    std::string_view more = bytes(id);
    if (more.empty() || (skip_special && is_special(id))) continue;
    if (std::exchange(at_start, false))
      more.remove_prefix(leading_spaces(more, first_spaces_dropped()));
    text += more;
  }
  return repair_utf8(text);
}

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

Result<std::vector<TokenId>> encode_prompt(const Tokenizer& tokenizer,
                                           const MarkedText& prompt,
                                           const EncodeLimit& limit) {
  Result<std::vector<TokenId>> ids = tokenizer.encode(prompt, false, true, limit);
  if (!ids || !tokenizer.adds_bos()) return ids;
  TokenId bos = *tokenizer.bos();
  if (ids->empty() || ids->front() != bos) ids->insert(ids->begin(), bos);
  return ids;
}

Detokenizer::Detokenizer(std::shared_ptr<const Tokenizer> tokenizer,
                         bool skip_special,
                         bool continues)
    : tokenizer_(std::move(tokenizer)), skip_special_(skip_special), at_start_(!continues) {}

std::string Detokenizer::push(TokenId id) {
  if (skip_special_ && tokenizer_->is_special(id)) return {};
  std::string_view bytes = tokenizer_->bytes(id);
  if (at_start_ && !bytes.empty()) {
    at_start_ = false;
    bytes.remove_prefix(leading_spaces(bytes, tokenizer_->first_spaces_dropped()));
  }
  pending_ += bytes;
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
