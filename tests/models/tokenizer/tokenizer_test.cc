#include "models/tokenizer/tokenizer.h"

#include "base/utf8.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;

TEST(ByteTokenizer, GivesOneIdAByte) {
  auto tokenizer = make_byte_tokenizer();

  auto ids = tokenizer->encode("aé<|end|>", true, true);

  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->size(), 10U);
  EXPECT_EQ((*ids)[1], 0xC3);
  EXPECT_EQ(tokenizer->decode(*ids, false), "aé<|end|>");
  EXPECT_THAT(tokenizer->eos(), ElementsAre(256));
  EXPECT_FALSE(tokenizer->bos());
  EXPECT_EQ(tokenizer->token_bytes_max(), 1U);
}

TEST(ByteTokenizer, KnowsTheEndAsASpecialToken) {
  auto tokenizer = make_byte_tokenizer();

  EXPECT_TRUE(tokenizer->is_special(256));
  EXPECT_FALSE(tokenizer->is_special(255));
  EXPECT_EQ(tokenizer->decode({'h', 'i', 256}, true), "hi");
  EXPECT_EQ(tokenizer->decode({'h', 'i', 256}, false), "hi<|end|>");
  EXPECT_EQ(tokenizer->bytes(257), "");
  EXPECT_EQ(tokenizer->bytes(-1), "");
}

TEST(ByteTokenizer, RefusesATextThatIsNotUtf8) {
  auto ids = make_byte_tokenizer()->encode("ab\xFF", false, false);

  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(ids.error().message, "text is not UTF-8 at byte 2 of 3");
}

TEST(Detokenizer, GivesWholeCharactersOnlyAndTheSameTextInAll) {
  auto tokenizer = make_byte_tokenizer();
  // A family of emoji with joiners, an accent, a lone lead byte, a stray continuation, a cut emoji.
  const std::string kBytes = "a👨‍👩‍👧é\xE2\x82z\x80👍🏽\xF0\x9F\x91";
  std::vector<TokenId> ids;
  for (char c : kBytes)
    ids.push_back(static_cast<unsigned char>(c));

  Detokenizer detokenizer(tokenizer, true);
  std::string text;
  for (TokenId id : ids) {
    std::string delta = detokenizer.push(id);
    EXPECT_TRUE(is_valid_utf8(delta));
    text += delta;
    EXPECT_EQ(repair_utf8(kBytes).substr(0, text.size()), text);
  }
  text += detokenizer.finish();

  EXPECT_EQ(text, tokenizer->decode(ids, true));
  EXPECT_EQ(text, repair_utf8(kBytes));
  EXPECT_EQ(detokenizer.finish(), "");
}

/// A vocabulary in which every run of bytes of one text is a token, so that all ways to cut it are
/// sequences of ids.
class PieceTokenizer final : public Tokenizer {
 public:
  explicit PieceTokenizer(std::string text) : text_(std::move(text)) {}
  [[nodiscard]] TokenId piece(std::size_t begin, std::size_t end) const {
    return static_cast<TokenId>(begin * 64 + end);
  }
  [[nodiscard]] std::int32_t vocabulary() const override { return 64 * 64; }
  [[nodiscard]] std::int32_t text_vocabulary() const override { return 64 * 64; }
  [[nodiscard]] std::optional<TokenId> bos() const override { return {}; }
  [[nodiscard]] bool adds_bos() const override { return false; }
  [[nodiscard]] std::optional<TokenId> eos_token() const override { return std::nullopt; }
  [[nodiscard]] const std::vector<TokenId>& eos() const override { return none_; }
  [[nodiscard]] std::size_t token_bytes_max() const override { return 64; }
  [[nodiscard]] Result<std::vector<TokenId>> encode(const MarkedText&,
                                                    bool,
                                                    bool,
                                                    const EncodeLimit&) const override {
    return none_;
  }
  [[nodiscard]] std::string_view bytes(TokenId id) const override {
    auto begin = static_cast<std::size_t>(id) / 64;
    return std::string_view(text_).substr(begin, static_cast<std::size_t>(id) % 64 - begin);
  }
  [[nodiscard]] bool is_special(TokenId) const override { return false; }
  [[nodiscard]] std::size_t first_spaces_dropped() const override { return 0; }

 private:
  std::string text_;
  std::vector<TokenId> none_;
};

TEST(Detokenizer, GivesTheSameTextForEveryWayToCutAnEmoji) {
  const std::string kText = "é👩‍🚀€";  // 2 + 4 + 3 + 4 + 3 bytes
  auto tokenizer = std::make_shared<PieceTokenizer>(kText);

  for (std::uint32_t cuts = 0; cuts < 1U << (kText.size() - 1); ++cuts) {
    Detokenizer detokenizer(tokenizer, false);
    std::string text;
    std::size_t begin = 0;
    for (std::size_t end = 1; end <= kText.size(); ++end) {
      if (end < kText.size() && (cuts >> (end - 1) & 1) == 0) continue;
      std::string delta = detokenizer.push(tokenizer->piece(begin, end));
      ASSERT_TRUE(is_valid_utf8(delta));
      ASSERT_EQ(delta.find("\uFFFD"), std::string::npos);
      text += delta;
      begin = end;
    }
    ASSERT_EQ(detokenizer.finish(), "");
    ASSERT_EQ(text, kText) << cuts;
  }
}

}  // namespace
}  // namespace sluice
