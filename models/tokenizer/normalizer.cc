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

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

Result<std::string> map_unicode(const std::string& text, utf8proc_option_t options) {
  if (is_ascii(text)) return text;  // every form of ASCII is itself
  utf8proc_uint8_t* mapped = nullptr;
  utf8proc_ssize_t size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()),
                                       &mapped,
                                       options);
  std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(mapped, &std::free);
  if (size < 0)
    return Error{ErrorCode::internal,
                 std::string("normalizing the text failed: ") + utf8proc_errmsg(size)};
  return std::string(reinterpret_cast<const char*>(mapped), static_cast<std::size_t>(size));
}

Result<std::string> lower_case(const std::string& text) {
  std::string lower;
  lower.reserve(text.size());
  auto bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (std::size_t at = 0; at < text.size();) {
    utf8proc_int32_t c = 0;
    at += static_cast<std::size_t>(
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &c));
    append_utf8(lower, static_cast<char32_t>(utf8proc_tolower(c)));
  }
  return lower;
}

std::string replace_spans(const std::string& text,
                          const std::vector<TextSpan>& spans,
                          const std::string& content) {
  std::string replaced;
  std::size_t from = 0;
  for (const TextSpan& span : spans) {
    replaced.append(text, from, span.begin - from);
    replaced += content;
    from = span.end;
  }
  return replaced.append(text, from);
}

}  // namespace

Result<Normalizer> Normalizer::load(const json::value* entry, const std::string& place) {
  Normalizer normalizer;
  if (entry == nullptr || entry->is_null()) return normalizer;
  Result<void> added = normalizer.add(*entry, place + ": normalizer", 0);
  if (!added) return added.error();
  return normalizer;
}

Result<void> Normalizer::add(const json::value& entry, const std::string& place, int depth) {
  constexpr int kDepthMax = 8;
  if (!entry.is_object() || depth > kDepthMax)
    return Error{ErrorCode::invalid_argument, place + ": is " + describe(entry)};
  JsonFields fields(entry.get_object(), place);
  std::string type = fields.string("type");
  if (fields.failed()) return fields.error();
  auto unicode_form = [&](int options) {
    steps_.push_back([options](const std::string& text) {
      return map_unicode(text, static_cast<utf8proc_option_t>(options));
    });
  };
  if (type == "Sequence") {
    const json::array* list = fields.array("normalizers");
    if (fields.failed() || list == nullptr)
      return Error{ErrorCode::invalid_argument, place + ": a Sequence without 'normalizers'"};
    for (const json::value& inner : *list) {
      Result<void> added = add(inner, place, depth + 1);
      if (!added) return added;
    }
  } else if (type == "NFC") {
    unicode_form(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  } else if (type == "NFD") {
    unicode_form(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE);
  } else if (type == "NFKC") {
    keeps_text_ = false;
    unicode_form(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
  } else if (type == "NFKD") {
    keeps_text_ = false;
    unicode_form(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
  } else if (type == "Lowercase") {
    steps_.push_back([](const std::string& text) { return lower_case(text); });
  } else if (type == "Prepend") {
    std::string prefix = fields.string("prepend");
    steps_.push_back([prefix](const std::string& text) -> Result<std::string> {
      return text.empty() ? text : prefix + text;
    });
  } else if (type == "Replace") {
    keeps_text_ = false;
    std::string content = fields.string("content");
    const json::object* pattern = fields.object("pattern");
    if (pattern == nullptr) {
      fields.refuse("pattern", "is missing");
      return fields.error();
    }
    JsonFields kind(*pattern, place + ": pattern");
    if (kind.has("Regex")) {
      Result<Regex> regex = Regex::compile(kind.string("Regex"));
      if (!regex) return Error{regex.error().code, place + ": " + regex.error().message};
      steps_.push_back([regex = *regex, content](const std::string& text) -> Result<std::string> {
        std::vector<TextSpan> spans;
        Result<void> found = regex.find_all(text, spans);
        if (!found) return found.error();
        return replace_spans(text, spans, content);
      });
    } else {
      std::string wanted = kind.string("String");
      if (wanted.empty()) kind.refuse("String", "is empty");
      fields.adopt(kind);
      steps_.push_back([wanted, content](const std::string& text) -> Result<std::string> {
        std::vector<TextSpan> spans;
        for (std::size_t at = 0; (at = text.find(wanted, at)) != std::string::npos;
             at += wanted.size())
          spans.push_back({at, at + wanted.size()});
        return replace_spans(text, spans, content);
      });
    }
  } else {
    return Error{ErrorCode::invalid_argument,
                 place + ": type '" + type +
                     "' is not supported (known: NFC, NFD, NFKC, NFKD, Lowercase, Prepend, "
                     "Replace, Sequence)"};
  }
  if (fields.failed()) return fields.error();
  return {};
}

Result<std::string> Normalizer::apply(std::string_view text) const {
  std::string normal(text);
  for (const Step& step : steps_) {
    Result<std::string> next = step(std::move(normal));
    if (!next) return next.error();
    normal = std::move(*next);
  }
  return normal;
}

}  // namespace sluice
