// Vocabularies as GGUF files have them, for tests: from the golden files, and from a real file.
#pragma once

#include "models/tokenizer/gguf_tokenizer.h"
#include "tests/models/tokenizer/hex.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace sluice::testing {

inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

/// A vocabulary and the texts that it views.
struct OwnedVocabulary {
  std::vector<std::string> tokens;
  std::vector<std::string> merges;
  GgufVocabulary fields;  ///< without tokens and merges

  [[nodiscard]] GgufVocabulary view() const {
    GgufVocabulary all = fields;
    all.tokens.assign(tokens.begin(), tokens.end());
    all.merges.assign(merges.begin(), merges.end());
    return all;
  }
};

/// token_type by name.
namespace token_types {
enum Type : std::int32_t { normal = 1, unknown, control, user_defined, unused, byte };
}  // namespace token_types

struct Token {
  std::string text;
  std::int32_t type = token_types::normal;
  float score = 0;
};

/// A vocabulary without merges and special ids; scores for llama only.
inline OwnedVocabulary vocabulary_of(const std::string& model, const std::vector<Token>& tokens) {
  OwnedVocabulary owned;
  owned.fields.model = model;
  for (const Token& token : tokens) {
    owned.tokens.push_back(token.text);
    owned.fields.types.push_back(token.type);
    if (model == "llama") owned.fields.scores.push_back(token.score);
  }
  return owned;
}

/// The tokenizer of a sound vocabulary.
inline std::shared_ptr<const Tokenizer> made(const OwnedVocabulary& vocabulary) {
  auto tokenizer = make_gguf_tokenizer(vocabulary.view(), "m.gguf");
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? *tokenizer : nullptr;
}

/// Reads NAME.gguf.json (tools/make_gguf_tokenizer_golden.py says what is in it).
inline OwnedVocabulary read_golden_vocabulary(const std::string& path) {
  boost::json::object file = boost::json::parse(read_whole(path)).as_object();
  OwnedVocabulary owned;
  for (auto& [key, texts] : {std::pair{"tokens", &owned.tokens}, {"merges", &owned.merges}}) {
    const auto* list = file.if_contains(key);
    for (const auto& hex : list == nullptr ? boost::json::array() : list->as_array())
      texts->push_back(from_hex(hex.as_string()));
  }
  GgufVocabulary& fields = owned.fields;
  fields.model = file.at("model").as_string().c_str();
  for (const auto& type : file.at("types").as_array())
    fields.types.push_back(static_cast<std::int32_t>(type.as_int64()));
  if (const auto* scores = file.if_contains("scores")) {
    for (const auto& score : scores->as_array())
      fields.scores.push_back(score.to_number<float>());
  }
  for (auto& [key, id] :
       {std::pair{"bos", &fields.bos}, {"eos", &fields.eos}, {"unknown", &fields.unknown}}) {
    if (const auto* value = file.if_contains(key)) *id = static_cast<TokenId>(value->as_int64());
  }
  for (auto& [key, flag] :
       {std::pair{"add_bos", &fields.add_bos}, {"add_space_prefix", &fields.add_space_prefix}}) {
    if (const auto* value = file.if_contains(key)) *flag = value->as_bool();
  }
  return owned;
}

/// The tokenizer's keys of a real GGUF file that is known to be well formed.
inline OwnedVocabulary read_gguf_vocabulary(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  auto number = [&file](std::size_t bytes) {
    std::uint64_t value = 0;
    file.read(reinterpret_cast<char*>(&value), static_cast<std::streamsize>(bytes));
    return value;
  };
  auto text = [&] {
    std::string bytes(number(8), '\0');
    file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
  };
  constexpr std::size_t kSizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  constexpr std::uint64_t kString = 8;
  constexpr std::uint64_t kArray = 9;
  OwnedVocabulary owned;
  GgufVocabulary& fields = owned.fields;
  file.seekg(16);  // magic, version, number of tensors
  for (std::uint64_t keys = number(8); keys > 0 && file; --keys) {
    std::string key = text();
    std::uint64_t type = number(4);
    std::uint64_t element = type == kArray ? number(4) : type;
    std::uint64_t count = type == kArray ? number(8) : 1;
    for (; count > 0 && file; --count) {
      std::string string = element == kString ? text() : std::string();
      std::uint64_t value = element == kString ? 0 : number(kSizes[element]);
      if (key == "tokenizer.ggml.model") fields.model = string;
      if (key == "tokenizer.ggml.pre") fields.pre = string;
      if (key == "tokenizer.ggml.tokens") owned.tokens.push_back(string);
      if (key == "tokenizer.ggml.merges") owned.merges.push_back(string);
      if (key == "tokenizer.ggml.token_type")
        fields.types.push_back(static_cast<std::int32_t>(value));
      if (key == "tokenizer.ggml.scores")
        fields.scores.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(value)));
      for (const auto& [name, id] :
           {std::pair{"bos", &fields.bos}, {"eos", &fields.eos}, {"unknown", &fields.unknown}}) {
        if (key == std::string("tokenizer.ggml.") + name + "_token_id")
          *id = static_cast<TokenId>(value);
      }
      if (key == "tokenizer.ggml.add_bos_token") fields.add_bos = value != 0;
      if (key == "tokenizer.ggml.add_space_prefix") fields.add_space_prefix = value != 0;
    }
  }
  return owned;
}

}  // namespace sluice::testing
