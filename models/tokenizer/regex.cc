#include "models/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <string>

namespace sluice {
namespace {

// Unicode's White_Space, which is Oniguruma's \s. (PCRE2's also holds U+180E.)
constexpr std::string_view kSpaces =
    "\\t-\\r\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}"
    "\\x{3000}";
// Oniguruma's \w. (PCRE2's is letters, numbers and underscore.)
constexpr std::string_view kWord = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}";
constexpr std::string_view kHexDigits = "0-9A-Fa-f";

// Bounds for one match in the interpreter, which takes over where the compiled code's stack ends.
constexpr std::uint32_t kMatchSteps = 20'000'000;
constexpr std::uint32_t kHeapKib = 64 * 1024;

Error refused(std::string_view pattern, std::size_t at, const std::string& why) {
  return Error{ErrorCode::invalid_argument,
               "pattern '" + std::string(pattern) + "', byte " + std::to_string(at) + ": " + why};
}

/// Rewrites what PCRE2 would read in another sense, refuses what it cannot say.
class Translation {
 public:
  explicit Translation(std::string_view pattern) : pattern_(pattern) {}

  Result<std::string> run() {
    while (at_ < pattern_.size()) {
      Result<void> step = pattern_[at_] == '\\' ? escape() : plain();
      if (!step) return step.error();
    }
    return out_;
  }

 private:
  /// A set by name: inside a class its ranges, outside a class of its own.
  void put_set(std::string_view ranges, bool negated) {
    if (in_class_) {
      out_ += ranges;
    } else {
      out_ += negated ? "[^" : "[";
      out_ += ranges;
      out_ += ']';
    }
  }

  Result<void> escape() {
    if (at_ + 1 == pattern_.size()) return refused(pattern_, at_, "ends in a backslash");
    char c = pattern_[at_ + 1];
    after_interval_ = false;
    if (in_class_ && (c == 'S' || c == 'W' || c == 'H'))
      return refused(pattern_, at_, std::string("\\") + c + " inside a class is not supported");
    std::size_t used = 2;
    if (c == 's' || c == 'S') {
      put_set(kSpaces, c == 'S');
    } else if (c == 'w' || c == 'W') {
      put_set(kWord, c == 'W');
    } else if (c == 'h' || c == 'H') {
      put_set(kHexDigits, c == 'H');
    } else if (c == 'u') {
      if (at_ + 6 > pattern_.size()) return refused(pattern_, at_, "\\u needs four hex digits");
      out_ += "\\x{";
      out_ += pattern_.substr(at_ + 2, 4);
      out_ += '}';
      used = 6;
    } else {
      // The braces of \p{L} and \x{A0} belong to the escape; they close no interval.
      if (pattern_.substr(at_ + 2, 1) == "{") {
        std::size_t end = pattern_.find('}', at_);
        if (end == std::string_view::npos) return refused(pattern_, at_, "{ without }");
        used = end + 1 - at_;
      }
      out_ += pattern_.substr(at_, used);
    }
    at_ += used;
    class_start_ = false;
    return {};
  }

  Result<void> plain() {
    char c = pattern_[at_];
    if (in_class_) {
      if (c == '[' && pattern_.substr(at_, 2) != "[:")
        return refused(pattern_, at_, "a class inside a class is not supported");
      if (c == '&' && pattern_.substr(at_, 2) == "&&")
        return refused(pattern_, at_, "&& is not supported");
      if (pattern_.substr(at_, 2) == "[:") {
        std::size_t end = pattern_.find(":]", at_);
        if (end == std::string_view::npos) return refused(pattern_, at_, "[: without :]");
        out_ += pattern_.substr(at_, end + 2 - at_);
        at_ = end + 2;
        class_start_ = false;
        return {};
      }
      if (c == ']' && !class_start_) in_class_ = false;
      if (c != '^') class_start_ = false;
    } else if (c == '[') {
      in_class_ = class_start_ = true;
    } else if (c == '+' && after_interval_) {
      return refused(pattern_, at_, "+ after {n,m} is not supported");
    }
    after_interval_ = !in_class_ && c == '}';
    out_ += c;
    ++at_;
    return {};
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::string out_;
  bool in_class_ = false;
  bool class_start_ = false;     // only '[' or '[^' so far: a ']' is a member
  bool after_interval_ = false;  // the last character closed {n,m}
};

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof text);
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Regex::Impl {
  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;

  Impl() = default;
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
};

Result<Regex> Regex::compile(std::string_view pattern) {
  Result<std::string> translated = Translation(pattern).run();
  if (!translated) return translated.error();
  std::unique_ptr<pcre2_compile_context, void (*)(pcre2_compile_context*)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  std::size_t error_at = 0;
  auto impl = std::make_shared<Impl>();
  impl->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated->data()),
                             translated->size(),
                             PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                             &error,
                             &error_at,
                             context.get());
  if (impl->code == nullptr) {
    return Error{ErrorCode::invalid_argument,
                 "pattern '" + std::string(pattern) + "': " + message_of(error)};
  }
  // Without a compiler for this machine the interpreter does the work, with the same results.
  pcre2_jit_compile(impl->code, PCRE2_JIT_COMPLETE);
  impl->limits = pcre2_match_context_create(nullptr);
  CHECK(impl->limits != nullptr);
  pcre2_set_match_limit(impl->limits, kMatchSteps);
  pcre2_set_heap_limit(impl->limits, kHeapKib);
  Regex regex;
  regex.impl_ = std::move(impl);
  return regex;
}

Result<void> Regex::find_all(std::string_view text, std::vector<TextRange>& matches) const {
  return find_each(text, [&matches](const TextRange& match) {
    matches.push_back(match);
    return true;
  });
}

Result<void> Regex::find_each(std::string_view text,
                              const std::function<bool(const TextRange&)>& visit) const {
  std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> data(
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free);
  CHECK(data != nullptr);
  const PCRE2_SIZE* found = pcre2_get_ovector_pointer(data.get());
  // PCRE2 refuses a null subject even when it is empty.
  auto subject = reinterpret_cast<PCRE2_SPTR>(text.empty() ? "" : text.data());
  bool any = false;
  std::size_t last_end = 0;
  for (std::size_t from = 0; from <= text.size();) {
    std::uint32_t options = PCRE2_NO_UTF_CHECK;
    int count =
        pcre2_match(impl_->code, subject, text.size(), from, options, data.get(), impl_->limits);
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;
      count =
          pcre2_match(impl_->code, subject, text.size(), from, options, data.get(), impl_->limits);
    }
    if (count == PCRE2_ERROR_NOMATCH) break;
    if (count < 0)
      return Error{ErrorCode::internal, "splitting the text failed: " + message_of(count)};
    TextRange match{found[0], found[1]};
    bool empty = match.begin == match.end;
    if (empty && any && match.end == last_end) {
      // One character on, past its continuation bytes.
      for (++from; from < text.size() && (text[from] & 0xC0) == 0x80;)
        ++from;
      continue;
    }
    if (!visit(match)) break;
    any = true;
    from = last_end = match.end;
  }
  return {};
}

}  // namespace sluice
