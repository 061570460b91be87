#include "models/tokenizer/token_decoder.h"

#include "models/json_fields.h"
#include "models/tokenizer/vocabulary.h"

#include <algorithm>
#include <limits>

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::string_view kSpaceSymbol = "\u2581";

std::string replace_all(std::string_view text, std::string_view wanted, std::string_view content) {
  std::string replaced;
  for (std::size_t at = 0;;) {
    std::size_t found = text.find(wanted, at);
    replaced += text.substr(at, found - at);
    if (found == std::string_view::npos) return replaced;
    replaced += content;
    at = found + wanted.size();
  }
}

}  // namespace

TokenDecoder TokenDecoder::byte_level() {
  TokenDecoder decoder;
  decoder.steps_ = {Step::byte_level};
  return decoder;
}

TokenDecoder TokenDecoder::sentence_piece(bool drops_first_space) {
  TokenDecoder decoder;
  decoder.steps_ = {Step::replace, Step::byte_fallback};
  decoder.replacements_ = {{std::string(kSpaceSymbol), " "}};
  decoder.first_spaces_dropped_ = drops_first_space ? 1 : 0;
  return decoder;
}

Result<TokenDecoder> TokenDecoder::load(const json::value* entry,
                                        bool byte_level,
                                        const std::string& file) {
  std::string place = file + ": decoder";
  TokenDecoder decoder;
  if (entry == nullptr || entry->is_null())
    return Error{ErrorCode::invalid_argument, place + " is missing"};
  auto components = components_of(*entry, "decoders", place);
  if (!components) return components.error();
  for (const Component& component : *components)
    if (auto added = decoder.add(component, place); !added) return added.error();
  auto of_bytes = std::count(decoder.steps_.begin(), decoder.steps_.end(), Step::byte_level);
  if (of_bytes != (byte_level ? 1 : 0) || (byte_level && decoder.steps_.size() != 1))
    return Error{ErrorCode::invalid_argument,
                 place + " is " + describe(*entry) +
                     (byte_level ? ", must be ByteLevel as the pre-tokenizer is"
                                 : ", but the pre-tokenizer has no ByteLevel")};
  return decoder;
}

Result<void> TokenDecoder::add(const Component& component, const std::string& place) {
  JsonFields fields(*component.object, place);
  const std::string& type = component.type;
  if (type == "Fuse") {
    fused_ = true;
    return {};
  }
  if (type == "Strip") return add_strip(*component.object, place + ": Strip");
  if (fused_)
    return Error{ErrorCode::invalid_argument,
                 place + ": " + type + " behind Fuse is not supported (only Strip is)"};
  if (type == "Replace") return add_replace(*component.object, place + ": Replace");
  if (type == "ByteLevel") {
    steps_.push_back(Step::byte_level);
  } else if (type == "ByteFallback") {
    steps_.push_back(Step::byte_fallback);
  } else if (type == "Metaspace") {
    if (fields.string("replacement", std::string(kSpaceSymbol)) != kSpaceSymbol)
      fields.refuse("replacement", "other than U+2581 is not supported");
    std::string scheme = fields.string(
        "prepend_scheme", fields.boolean("add_prefix_space", true) ? "always" : "never");
    if (fields.failed()) return fields.error();
    steps_.push_back(Step::replace);
    replacements_.emplace_back(kSpaceSymbol, " ");
    if (scheme != "never") first_spaces_dropped_ = std::numeric_limits<std::size_t>::max();
  } else {
    return Error{ErrorCode::invalid_argument,
                 place + ": type '" + type +
                     "' is not supported (known: ByteLevel, Metaspace, Replace, ByteFallback, "
                     "Fuse, Strip, Sequence)"};
  }
  return {};
}

Result<void> TokenDecoder::add_strip(const json::object& entry, const std::string& place) {
  JsonFields fields(entry, place);
  constexpr std::int64_t kMany = std::numeric_limits<std::int32_t>::max();
  if (fields.string("content") != " ")
    fields.refuse("content", "other than \" \" is not supported");
  if (fields.integer("stop", 0, kMany) != 0) fields.refuse("stop", "other than 0 is not supported");
  std::int64_t start = fields.integer("start", 0, kMany);
  // More than one could be those of several tokens.
  if (start > 1) fields.refuse("start", "other than 0 and 1 is not supported");
  if (!fused_)
    return Error{ErrorCode::invalid_argument,
                 place + " without Fuse before it is not supported: it strips every token"};
  if (fields.failed()) return fields.error();
  first_spaces_dropped_ += static_cast<std::size_t>(start);
  if (first_spaces_dropped_ > 1) fields.refuse("start", "is not supported twice");
  if (fields.failed()) return fields.error();
  return {};
}

Result<void> TokenDecoder::add_replace(const json::object& entry, const std::string& place) {
  JsonFields fields(entry, place);
  std::string content = fields.string("content");
  const json::object* pattern = fields.object("pattern");
  if (pattern == nullptr) fields.refuse("pattern", "is missing");
  if (fields.failed()) return fields.error();
  JsonFields kind(*pattern, place + ": pattern");
  if (kind.has("Regex")) kind.refuse("Regex", "is not supported");
  std::string wanted = kind.string("String");
  if (wanted.empty()) kind.refuse("String", "is empty");
  if (kind.failed()) return kind.error();
  steps_.push_back(Step::replace);
  replacements_.emplace_back(std::move(wanted), std::move(content));
  return {};
}

std::string TokenDecoder::bytes(std::string_view spelling) const {
  std::string bytes(spelling);
  std::size_t replacement = 0;
  for (Step step : steps_) {
    switch (step) {
      case Step::byte_level:
        bytes = bytes_of_spelling(bytes);
        break;
      case Step::replace: {
        const auto& [wanted, content] = replacements_[replacement++];
        bytes = replace_all(bytes, wanted, content);
        break;
      }
      case Step::byte_fallback:
        if (auto byte = byte_of_token_name(bytes)) bytes.assign(1, static_cast<char>(*byte));
        break;
    }
  }
  return bytes;
}

}  // namespace sluice
