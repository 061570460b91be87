#include "models/tokenizer/added_tokens.h"

#include "models/json_fields.h"

#include <utf8proc.h>

#include <algorithm>
#include <limits>

namespace sluice {
namespace {

namespace json = boost::json;

/// Far more than any is long; finding them takes memory for every byte.
constexpr std::size_t kContentBytesMax = 1024;

/// The code point of a valid text that starts at `at`; `size` is its length in bytes.
std::int32_t code_point_at(std::string_view text, std::size_t at, std::size_t& size) {
  utf8proc_int32_t c = 0;
  size = static_cast<std::size_t>(
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                       static_cast<utf8proc_ssize_t>(text.size() - at),
                       &c));
  return c;
}

std::size_t start_of_last(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (text[at] & 0xC0) == 0x80)
    --at;
  return at;
}

bool is_space(std::int32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

/// Letters, marks, decimal and letter numbers, connecting punctuation, joiners: Unicode's "word
/// character" (UTS 18, annex C), but for the few symbols it counts as alphabetic.
bool is_word(std::int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return c == 0x200C || c == 0x200D;
  }
}

bool ends_with_word(std::string_view text) {
  std::size_t size = 0;
  return !text.empty() && is_word(code_point_at(text, start_of_last(text), size));
}

bool starts_with_word(std::string_view text) {
  std::size_t size = 0;
  return !text.empty() && is_word(code_point_at(text, 0, size));
}

std::size_t without_spaces_at_end(std::string_view text) {
  while (!text.empty()) {
    std::size_t at = start_of_last(text);
    std::size_t size = 0;
    if (!is_space(code_point_at(text, at, size))) break;
    text = text.substr(0, at);
  }
  return text.size();
}

std::size_t spaces_at_start(std::string_view text) {
  std::size_t at = 0;
  for (std::size_t size = 0; at < text.size(); at += size) {
    if (!is_space(code_point_at(text, at, size))) break;
  }
  return at;
}

}  // namespace

void AddedTokenFinder::add(const AddedToken& token, std::string_view content) {
  if (content.empty()) return;
  std::uint32_t node = 0;
  for (char c : content) {
    auto byte = static_cast<unsigned char>(c);
    auto [edge, fresh] =
        nodes_[node].next.try_emplace(byte, static_cast<std::uint32_t>(nodes_.size()));
    std::uint32_t next = edge->second;
    if (fresh) nodes_.emplace_back();
    node = next;
  }
  if (nodes_[node].token >= 0) return;  // the first of two with the same name
  nodes_[node].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
  starts_[static_cast<unsigned char>(content.front())] = true;
  has_special_ = has_special_ || token.special;
}

std::int32_t AddedTokenFinder::longest_at(std::string_view text,
                                          std::size_t at,
                                          std::size_t special_end,
                                          std::size_t& end) const {
  std::int32_t found = -1;
  std::uint32_t node = 0;
  for (std::size_t i = at; i < text.size(); ++i) {
    auto edge = nodes_[node].next.find(static_cast<unsigned char>(text[i]));
    if (edge == nodes_[node].next.end()) break;
    node = edge->second;
    if (nodes_[node].token < 0) continue;
    bool special = tokens_[static_cast<std::size_t>(nodes_[node].token)].special;
    if (!special || i < special_end) {
      found = nodes_[node].token;
      end = i + 1;
    }
  }
  return found;
}

void AddedTokenFinder::split(const MarkedText& marked, std::vector<TextSection>& out) const {
  std::string_view text = marked.text;
  std::size_t done = 0;   // everything before is in `out`
  std::size_t range = 0;  // the first plain range that does not end before `at`
  for (std::size_t at = 0; at < text.size() && !tokens_.empty();) {
    if (!starts_[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    // A special name has to end before the next plain range begins.
    auto passed = [&](const TextRange& plain) {
      return plain.end <= at || plain.begin == plain.end;
    };
    while (range < marked.plain.size() && passed(marked.plain[range]))
      ++range;
    std::size_t special_end = range < marked.plain.size() ? marked.plain[range].begin : text.size();
    std::size_t end = 0;
    std::int32_t found = longest_at(text, at, special_end, end);
    if (found < 0) {
      ++at;
      continue;
    }
    // A name that does not count still covers its bytes: no other name is sought inside it.
    const AddedToken& token = tokens_[static_cast<std::size_t>(found)];
    std::size_t begin = at;
    at = end;
    if (token.single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
      continue;
    if (token.lstrip) begin = without_spaces_at_end(text.substr(0, begin));
    begin = std::max(begin, done);
    if (token.rstrip) end += spaces_at_start(text.substr(end));
    if (done < begin) out.push_back({text.substr(done, begin - done), -1});
    out.push_back({text.substr(begin, end - begin), token.id});
    done = end;
    at = std::max(at, done);
  }
  if (done < text.size()) out.push_back({text.substr(done), -1});
}

Result<std::vector<AddedToken>> load_added_tokens(const json::value* list,
                                                  const std::string& place) {
  std::vector<AddedToken> tokens;
  if (list == nullptr || list->is_null()) return tokens;
  if (!list->is_array())
    return Error{ErrorCode::invalid_argument, place + ": added_tokens is not a list"};
  for (const json::value& entry : list->get_array()) {
    std::string here = place + ": added_tokens[" + std::to_string(tokens.size()) + "]";
    if (!entry.is_object())
      return Error{ErrorCode::invalid_argument, here + " is " + describe(entry)};
    JsonFields fields(entry.get_object(), here);
    AddedToken token;
    token.id =
        static_cast<TokenId>(fields.integer("id", 0, std::numeric_limits<TokenId>::max() - 1));
    token.content = fields.string("content");
    if (token.content.empty()) fields.refuse("content", "is empty");
    if (token.content.size() > kContentBytesMax)
      fields.refuse("content",
                    "has " + std::to_string(token.content.size()) + " bytes, the limit is " +
                        std::to_string(kContentBytesMax));
    token.special = fields.boolean("special", false);
    token.single_word = fields.boolean("single_word", false);
    token.lstrip = fields.boolean("lstrip", false);
    token.rstrip = fields.boolean("rstrip", false);
    token.normalized = fields.boolean("normalized", !token.special);
    if (fields.failed()) return fields.error();
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace sluice
