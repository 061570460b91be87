// Every reference encoding of the `tokenizers` library, id by id: tests/golden/tokenizers.
#include "models/json_fields.h"
#include "models/tokenizer/tokenizer.h"
#include "tests/models/tokenizer/hex.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

namespace json = boost::json;

const std::string kGolden = SLUICE_SOURCE_DIR "/tests/golden/tokenizers/";

std::string from_hex(const json::value& hex) {
  return testing::from_hex(hex.as_string());
}

std::vector<TokenId> ids_of(const json::value& list) {
  std::vector<TokenId> ids;
  for (const json::value& id : list.as_array())
    ids.push_back(static_cast<TokenId>(id.as_int64()));
  return ids;
}

std::vector<json::object> lines_of(const std::string& name) {
  std::vector<json::object> lines;
  std::ifstream file(kGolden + name);
  for (std::string line; std::getline(file, line);)
    lines.push_back(json::parse(line).as_object());
  return lines;
}

class TokenizerGolden : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    std::string name = GetParam();
    auto loaded = load_tokenizer(name == "brook" ? SLUICE_SOURCE_DIR "/models/shipped/brook"
                                                 : kGolden + name);
    ASSERT_TRUE(loaded) << loaded.error().message;
    tokenizer_ = *loaded;
  }

  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(TokenizerGolden, EncodesEveryTextToTheSameIds) {
  std::vector<json::object> lines = lines_of(std::string(GetParam()) + ".jsonl");

  ASSERT_GE(lines.size(), 2000U);
  for (const json::object& line : lines) {
    std::string text = from_hex(line.at("text"));
    std::vector<TokenId> plain = ids_of(line.at("ids"));
    const json::value* special = line.if_contains("special_ids");
    auto ids = tokenizer_->encode(text, false, true);
    auto special_ids = tokenizer_->encode(text, true, true);
    ASSERT_TRUE(ids && special_ids) << line.at("text");
    ASSERT_EQ(*ids, plain) << line.at("text") << "\n" << text;
    ASSERT_EQ(*special_ids, special == nullptr ? plain : ids_of(*special)) << text;
    ASSERT_GE(ids->size() * tokenizer_->token_bytes_max(), text.size()) << text;
  }
}

TEST_P(TokenizerGolden, DecodesEveryEncodingToTheSameText) {
  for (const json::object& line : lines_of(std::string(GetParam()) + ".jsonl")) {
    std::string text = from_hex(line.at("text"));
    std::vector<TokenId> ids = ids_of(line.at("ids"));
    const json::value* decoded = line.if_contains("decoded");
    const json::value* skipped = line.if_contains("skipped");
    std::string whole = decoded == nullptr ? text : from_hex(*decoded);
    ASSERT_EQ(tokenizer_->decode(ids, false), whole) << text;
    ASSERT_EQ(tokenizer_->decode(ids, true), skipped == nullptr ? whole : from_hex(*skipped))
        << text;
  }
}

TEST_P(TokenizerGolden, DecodesRandomIdsToTheSameTextAtOnceAndOneByOne) {
  std::vector<json::object> lines = lines_of(std::string(GetParam()) + ".decode.jsonl");

  ASSERT_GE(lines.size(), 100U);
  for (const json::object& line : lines) {
    std::vector<TokenId> ids = ids_of(line.at("ids"));
    const json::value* skipped = line.if_contains("skipped");
    std::string whole = from_hex(line.at("decoded"));
    std::string without = skipped == nullptr ? whole : from_hex(*skipped);
    ASSERT_EQ(tokenizer_->decode(ids, false), whole);
    ASSERT_EQ(tokenizer_->decode(ids, true), without);
    for (bool skip : {false, true}) {
      Detokenizer detokenizer(tokenizer_, skip);
      std::string text;
      for (TokenId id : ids)
        text += detokenizer.push(id);
      ASSERT_EQ(text + detokenizer.finish(), skip ? without : whole);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All,
                         TokenizerGolden,
                         ::testing::Values("gpt2", "qwen2", "llama3", "brook"),
                         [](const auto& name) { return std::string(name.param); });

}  // namespace
}  // namespace sluice
