#include "models/tokenizer/normalizer.h"

#include "base/utf8.h"
#include "models/json_fields.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;
using Marked = Normalizer::Marked;

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::int32_t code_point_at(std::string_view text, std::size_t at) {
  utf8proc_int32_t c = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                   static_cast<utf8proc_ssize_t>(text.size() - at),
                   &c);
  return c;
}

/// True if a character can become one with those before it, in some Unicode form: marks, the
/// vowels and final consonants of Hangul, and what is compatible to either.
bool joins_backward(std::int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return true;
    default:
      return (c >= 0x1160 && c <= 0x11FF) || (c >= 0x3130 && c <= 0x318F) ||
             (c >= 0xFF9E && c <= 0xFFDC);
  }
}

std::size_t next_character(std::string_view text, std::size_t at) {
  do
    ++at;
  while (at < text.size() && (text[at] & 0xC0) == 0x80);
  return at;
}

/// The first place at `at` or behind it where a text may be cut and normalized part by part.
std::size_t cut_behind(std::string_view text, std::size_t at) {
  while (at < text.size() && ((text[at] & 0xC0) == 0x80 || joins_backward(code_point_at(text, at))))
    at = next_character(text, at);
  return at;
}

/// The last such place at `at` or before it.
std::size_t cut_before(std::string_view text, std::size_t at) {
  while (at > 0 && at < text.size() &&
         ((text[at] & 0xC0) == 0x80 || joins_backward(code_point_at(text, at))))
    --at;
  return at;
}

Result<void> append_mapped(std::string_view text, utf8proc_option_t options, std::string& out) {
  if (is_ascii(text)) {  // every form of ASCII is itself
    out += text;
    return {};
  }
  utf8proc_uint8_t* mapped = nullptr;
  utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()),
                                       &mapped,
                                       options);
  std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(mapped, &std::free);
  if (size < 0)
    return Error{ErrorCode::internal,
                 std::string("normalizing the text failed: ") + utf8proc_errmsg(size)};
  out.append(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
  return {};
}

/// Appends a plain range; what touches or overlaps the last one joins it.
void append_range(std::vector<TextRange>& ranges, std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  if (!ranges.empty() && begin <= ranges.back().end)
    ranges.back().end = std::max(ranges.back().end, end);
  else
    ranges.push_back({begin, end});
}

Result<Marked> map_unicode(Marked marked, utf8proc_option_t options) {
  if (is_ascii(marked.text)) return marked;
  Marked mapped;
  std::string_view text = marked.text;
  std::size_t done = 0;
  auto map_to = [&](std::size_t end) {
    Result<void> step = append_mapped(text.substr(done, end - done), options, mapped.text);
    done = end;
    return step;
  };
  for (const TextRange& plain : marked.plain) {
    // Cut where both sides are normalized as they would be in the whole.
    std::size_t begin = std::max(done, cut_before(text, plain.begin));
    std::size_t end = std::max(begin, cut_behind(text, plain.end));
    if (Result<void> before = map_to(begin); !before) return before.error();
    std::size_t from = mapped.text.size();
    if (Result<void> inside = map_to(end); !inside) return inside.error();
    // What stands between the cut and the range is not plain if it came out by itself: an accent
    // at the start of the range would otherwise take the character before it along.
    std::string alone;
    std::size_t between = std::max(plain.begin, begin) - begin;
    Result<void> apart = append_mapped(text.substr(begin, between), options, alone);
    if (!apart) return apart.error();
    if (std::string_view(mapped.text).substr(from).starts_with(alone)) from += alone.size();
    append_range(mapped.plain, from, mapped.text.size());
  }
  if (Result<void> rest = map_to(text.size()); !rest) return rest.error();
  return mapped;
}

/// Replaces parts of a text, which are ascending and apart, each by what `content_of` says of it.
/// A part that is plain somewhere gives a plain content.
template <class ContentOf>
Marked replace_parts(const Marked& marked,
                     const std::vector<TextRange>& parts,
                     const ContentOf& content_of) {
  Marked replaced;
  std::size_t from = 0;
  std::size_t range = 0;
  // Copies what stands before `end`, and the plain ranges in it.
  auto copy_to = [&](std::size_t end) {
    std::size_t to = replaced.text.size();
    for (; range < marked.plain.size() && marked.plain[range].begin < end; ++range) {
      const TextRange& plain = marked.plain[range];
      append_range(replaced.plain,
                   to + std::max(plain.begin, from) - from,
                   to + std::max(std::min(plain.end, end), from) - from);
      if (plain.end > end) break;
    }
    replaced.text.append(marked.text, from, end - from);
    from = end;
  };
  for (const TextRange& part : parts) {
    copy_to(part.begin);
    std::size_t to = replaced.text.size();
    bool plain = false;
    for (; range < marked.plain.size() && marked.plain[range].begin < part.end; ++range) {
      plain = plain || marked.plain[range].end > part.begin;
      if (marked.plain[range].end > part.end) break;
    }
    replaced.text += content_of(part);
    if (plain) append_range(replaced.plain, to, replaced.text.size());
    from = part.end;
  }
  copy_to(marked.text.size());
  return replaced;
}

Marked lower_case(const Marked& marked) {
  std::vector<TextRange> characters;
  for (std::size_t at = 0; at < marked.text.size();) {
    std::size_t end = next_character(marked.text, at);
    std::int32_t c = code_point_at(marked.text, at);
    if (utf8proc_tolower(c) != c) characters.push_back({at, end});
    at = end;
  }
  return replace_parts(marked, characters, [&](const TextRange& character) {
    std::string lower;
    append_utf8(
        lower,
        static_cast<char32_t>(utf8proc_tolower(code_point_at(marked.text, character.begin))));
    return lower;
  });
}

}  // namespace

Result<Normalizer> Normalizer::load(const json::value* entry, const std::string& place) {
  Normalizer normalizer;
  if (entry == nullptr || entry->is_null()) return normalizer;
  const std::string here = place + ": normalizer";
  auto components = components_of(*entry, "normalizers", here);
  if (!components) return components.error();
  for (const Component& component : *components)
    if (auto added = normalizer.add(component, here); !added) return added.error();
  return normalizer;
}

void Normalizer::add_unicode_form(int options, std::size_t shrink) {
  if (shrink == 0 || shrink_max_ == 0)
    shrink_max_ = 0;
  else
    shrink_max_ *= shrink;
  steps_.push_back([options](Marked text) {
    return map_unicode(std::move(text), static_cast<utf8proc_option_t>(options));
  });
}

void Normalizer::add_nfc() {
  // Composing shortens a text to no less than a third (Hangul: three letters of three bytes become
  // one of three).
  constexpr std::size_t kComposedMax = 3;
  add_unicode_form(UTF8PROC_STABLE | UTF8PROC_COMPOSE, kComposedMax);
}

void Normalizer::add_prepend(const std::string& prefix) {
  steps_.push_back([prefix](Marked marked) -> Result<Marked> {
    if (marked.text.empty()) return marked;
    marked.text.insert(0, prefix);
    for (TextRange& plain : marked.plain)
      plain = {plain.begin + prefix.size(), plain.end + prefix.size()};
    return marked;
  });
}

void Normalizer::add_replace(const std::string& wanted, const std::string& content) {
  if (content.size() < wanted.size()) shrink_max_ = 0;
  steps_.push_back([wanted, content](const Marked& marked) -> Result<Marked> {
    std::vector<TextRange> parts;
    for (std::size_t at = 0; (at = marked.text.find(wanted, at)) != std::string::npos;
         at += wanted.size())
      parts.push_back({at, at + wanted.size()});
    return replace_parts(
        marked, parts, [&](const TextRange&) { return std::string_view(content); });
  });
}

Result<void> Normalizer::add_replace(const json::object& entry, const std::string& place) {
  JsonFields fields(entry, place);
  std::string content = fields.string("content");
  const json::object* pattern = fields.object("pattern");
  if (pattern == nullptr) fields.refuse("pattern", "is missing");
  if (fields.failed()) return fields.error();
  JsonFields kind(*pattern, place + ": pattern");
  if (!kind.has("Regex")) {
    std::string wanted = kind.string("String");
    if (wanted.empty()) kind.refuse("String", "is empty");
    if (kind.failed()) return kind.error();
    add_replace(wanted, content);
    return {};
  }
  std::string text = kind.string("Regex");
  if (kind.failed()) return kind.error();
  Result<Regex> regex = Regex::compile(text);
  if (!regex) return Error{regex.error().code, place + ": " + regex.error().message};
  shrink_max_ = 0;
  steps_.push_back([regex = *regex, content](const Marked& marked) -> Result<Marked> {
    std::vector<TextRange> parts;
    Result<void> found = regex.find_all(marked.text, parts);
    if (!found) return found.error();
    return replace_parts(
        marked, parts, [&](const TextRange&) { return std::string_view(content); });
  });
  return {};
}

Result<void> Normalizer::add(const Component& component, const std::string& place) {
  JsonFields fields(*component.object, place);
  const std::string& type = component.type;
  if (type == "NFC") {
    add_nfc();
  } else if (type == "NFD") {
    add_unicode_form(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, 1);
  } else if (type == "NFKC") {
    add_unicode_form(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT, 0);
  } else if (type == "NFKD") {
    add_unicode_form(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, 0);
  } else if (type == "Lowercase") {
    constexpr std::size_t kLowerMax = 3;  // U+212A, the Kelvin sign, becomes k
    if (shrink_max_ != 0) shrink_max_ *= kLowerMax;
    steps_.push_back([](const Marked& text) -> Result<Marked> { return lower_case(text); });
  } else if (type == "Prepend") {
    add_prepend(fields.string("prepend"));
  } else if (type == "Replace") {
    return add_replace(*component.object, place);
  } else {
    return Error{ErrorCode::invalid_argument,
                 place + ": type '" + type +
                     "' is not supported (known: NFC, NFD, NFKC, NFKD, Lowercase, Prepend, "
                     "Replace, Sequence)"};
  }
  if (fields.failed()) return fields.error();
  return {};
}

Result<Marked> Normalizer::apply(const MarkedText& text) const {
  Marked marked{std::string(text.text), {text.plain.begin(), text.plain.end()}};
  for (const Step& step : steps_) {
    Result<Marked> next = step(std::move(marked));
    if (!next) return next.error();
    marked = std::move(*next);
  }
  return marked;
}

}  // namespace sluice
