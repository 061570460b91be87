#include "models/template/lexer.h"

#include "base/utf8.h"
#include "models/template/failure.h"
#include "models/template/numbers.h"
#include "models/template/text.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdio>

namespace sluice::jinja {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_start(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         category == UTF8PROC_CATEGORY_NL;
}

bool is_name_part(char32_t c) {
  if (c < 0x80) return is_name_start(c) || (c >= '0' && c <= '9');
  auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return is_name_start(c) || category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
         category == UTF8PROC_CATEGORY_ND;
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// All line ends become "\n", and one at the end goes.
std::string normalized(std::string_view source) {
  std::string lines;
  lines.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      lines += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      lines += source[i];
    }
  }
  if (lines.ends_with('\n')) lines.pop_back();
  return lines;
}

/// Digits with single underscores between them, from `at` on; returns where they end.
template <class IsDigit>
std::size_t digits_end(std::string_view text, std::size_t at, IsDigit is) {
  std::size_t end = at;
  while (end < text.size()) {
    if (is(text[end])) {
      ++end;
    } else if (text[end] == '_' && end > at && end + 1 < text.size() && is(text[end + 1])) {
      ++end;
    } else {
      break;
    }
  }
  return end;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    std::size_t begin = text.size() - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80)
      --begin;
    std::size_t at = begin;
    if (!is_space(next_code_point(text, at))) break;
    text = text.substr(0, begin);
  }
  return text;
}

}  // namespace

Lexer::Lexer(std::string_view source) : source_(normalized(source)) {}

void Lexer::fail_here(std::string message) const {
  throw TemplateFailure{ErrorCode::invalid_argument, std::move(message), line_};
}

void Lexer::advance(std::size_t bytes) {
  auto from = source_.begin() + static_cast<std::ptrdiff_t>(at_);
  line_ +=
      static_cast<std::uint32_t>(std::count(from, from + static_cast<std::ptrdiff_t>(bytes), '\n'));
  at_ += bytes;
}

/// How many bytes of white space stand at `at`.
std::size_t Lexer::spaces_at(std::size_t at) const {
  std::size_t end = at;
  while (end < source_.size()) {
    std::size_t next = end;
    if (!is_space(next_code_point(source_, next))) break;
    end = next;
  }
  return end - at;
}

void Lexer::skip_spaces() {
  advance(spaces_at(at_));
}

/// The size of "{% raw %}" at `at`, with its signs; 0 for anything else.
std::size_t Lexer::raw_begin_bytes(std::size_t at) const {
  std::string_view source = source_;
  std::size_t end = at + 2;
  if (end < source.size() && (source[end] == '-' || source[end] == '+')) ++end;
  end += spaces_at(end);
  if (source.substr(end, 3) != "raw") return 0;
  end += 3;
  end += spaces_at(end);
  if (source.substr(end, 2) == "%}") return end + 2 - at;
  if (source.substr(end, 3) != "-%}") return 0;
  end += 3;
  return end + spaces_at(end) - at;
}

std::string_view Lexer::before_tag(std::string_view text, char sign, bool is_print) const {
  if (sign == '-') return strip_right(text);
  if (sign == '+' || is_print) return text;
  // lstrip_blocks: nothing but blanks between the beginning of the line and the tag.
  std::size_t line = text.rfind('\n') + 1;  // npos + 1 is 0
  if (line == 0 && !is_line_start_) return text;
  std::size_t at = line;
  while (at < text.size()) {
    std::size_t next = at;
    if (!is_space(next_code_point(text, next))) return text;
    at = next;
  }
  return text.substr(0, line);
}

Token Lexer::next() {
  if (!pending_.empty()) {
    Token token = std::move(pending_.back());
    pending_.pop_back();
    return token;
  }
  return state_ == State::data ? data() : in_tag();
}

Token Lexer::data() {
  for (;;) {
    if (at_ == source_.size()) return {TokenType::end, line_, "", 0, 0};
    std::string_view source = source_;
    std::size_t tag = at_;
    for (;; ++tag) {
      tag = source.find('{', tag);
      if (tag == std::string_view::npos) break;
      char kind = tag + 1 < source.size() ? source[tag + 1] : '\0';
      if (kind == '%' || kind == '{' || kind == '#') break;
    }
    Token text{TokenType::data, line_, "", 0, 0};
    if (tag == std::string_view::npos) {
      text.text = source.substr(at_);
      advance(source.size() - at_);
      return text;
    }
    char kind = source[tag + 1];
    char sign = tag + 2 < source.size() ? source[tag + 2] : '\0';
    bool has_sign = sign == '-' || sign == '+';
    text.text = before_tag(source.substr(at_, tag - at_), has_sign ? sign : '\0', kind == '{');
    advance(tag - at_);

    if (kind == '%') {
      if (std::size_t bytes = raw_begin_bytes(at_)) {
        advance(bytes);
        is_line_start_ = source_[at_ - 1] == '\n';
        Token inside = raw();
        text.text += inside.text;
        if (text.text.empty()) continue;
        return text;
      }
    }
    std::uint32_t line = line_;
    advance(has_sign ? 3 : 2);
    if (kind == '#') {
      skip_comment();
      if (text.text.empty()) continue;
      return text;
    }
    state_ = kind == '%' ? State::tag : State::print;
    Token begin{kind == '%' ? TokenType::tag_begin : TokenType::print_begin, line, "", 0, 0};
    if (text.text.empty()) return begin;
    pending_.push_back(std::move(begin));
    return text;
  }
}

void Lexer::skip_comment() {
  std::size_t end = source_.find("#}", at_);
  if (end == std::string::npos) {
    if (at_ == source_.size()) return;  // a begin that is the last thing of all is let pass
    fail_here("a comment '{#' has no end '#}'");
  }
  char sign = end > at_ ? source_[end - 1] : '\0';
  advance(end + 2 - at_);
  if (sign == '-') {
    skip_spaces();
  } else if (sign != '+' && peek() == '\n') {
    advance(1);
  }
  is_line_start_ = source_[at_ - 1] == '\n';
}

/// What stands between "{% raw %}" and "{% endraw %}".
Token Lexer::raw() {
  Token text{TokenType::data, line_, "", 0, 0};
  std::string_view source = source_;
  for (std::size_t tag = source.find("{%", at_); tag != std::string_view::npos;
       tag = source.find("{%", tag + 1)) {
    std::size_t end = tag + 2;
    char sign = end < source.size() ? source[end] : '\0';
    bool has_sign = sign == '-' || sign == '+';
    if (has_sign) ++end;
    end += spaces_at(end);
    if (source.substr(end, 6) != "endraw") continue;
    end += 6;
    end += spaces_at(end);
    std::size_t close = end;
    if (source.substr(end, 3) == "-%}") {
      close = end + 3;
      close += spaces_at(close);
    } else if (source.substr(end, 3) == "+%}") {
      close = end + 3;
    } else if (source.substr(end, 2) == "%}") {
      close = end + 2;
      if (close < source.size() && source[close] == '\n') ++close;
    } else {
      continue;
    }
    text.text = before_tag(source.substr(at_, tag - at_), has_sign ? sign : '\0', false);
    advance(close - at_);
    is_line_start_ = source_[at_ - 1] == '\n';
    return text;
  }
  if (at_ == source.size()) return text;
  fail_here("'{% raw %}' has no end '{% endraw %}'");
}

bool Lexer::take_tag_end() {
  if (!brackets_.empty()) return false;
  std::string_view close = state_ == State::print ? "}}" : "%}";
  char sign = peek();
  bool is_plain = rest().starts_with(close);
  bool is_signed =
      rest().substr(1).starts_with(close) && (sign == '-' || (sign == '+' && state_ == State::tag));
  if (!is_plain && !is_signed) return false;
  advance(is_plain ? 2 : 3);
  if (is_signed && sign == '-') skip_spaces();
  if (is_plain && state_ == State::tag && peek() == '\n') advance(1);  // trim_blocks
  is_line_start_ = source_[at_ - 1] == '\n';
  return true;
}

Token Lexer::in_tag() {
  // The end is looked for before white space is skipped and again after it.
  for (;;) {
    Token token{TokenType::end, line_, "", 0, 0};
    if (at_ == source_.size()) return token;
    if (take_tag_end()) {
      token.type = state_ == State::print ? TokenType::print_end : TokenType::tag_end;
      state_ = State::data;
      return token;
    }
    if (spaces_at(at_) == 0) break;
    skip_spaces();
  }
  Token token{TokenType::sign, line_, "", 0, 0};
  if (take_number(token) || take_name(token) || take_string(token)) return token;
  take_sign(token);
  return token;
}

bool Lexer::take_number(Token& token) {
  std::string_view text = rest();
  if (!is_digit(text[0])) return false;
  auto decimal = [](char c) { return is_digit(c); };
  std::size_t end = digits_end(text, 0, decimal);
  // A fraction, an exponent or both make it a floating-point number, but not behind a point.
  std::size_t number_end = end;
  if (end + 1 < text.size() && text[end] == '.' && is_digit(text[end + 1]))
    number_end = digits_end(text, end + 1, decimal);
  if (number_end < text.size() && (text[number_end] == 'e' || text[number_end] == 'E')) {
    std::size_t digits = number_end + 1;
    if (digits < text.size() && (text[digits] == '+' || text[digits] == '-')) ++digits;
    if (digits < text.size() && is_digit(text[digits]))
      number_end = digits_end(text, digits, decimal);
  }
  bool is_behind_point = at_ > 0 && source_[at_ - 1] == '.';
  if (number_end > end && !is_behind_point) {
    token.type = TokenType::number;
    token.text = text.substr(0, number_end);
    token.number = parse_number(token.text).value_or(0);
    advance(number_end);
    return true;
  }

  if (text[0] == '0') {
    char mark = text.size() > 1 ? static_cast<char>(text[1] | 0x20) : '\0';
    auto digit = [mark](char c) {
      if (mark == 'x') return hex_digit(c) >= 0;
      return c >= '0' && c <= (mark == 'b' ? '1' : '7');
    };
    bool has_prefix = mark == 'x' || mark == 'o' || mark == 'b';
    // An underscore may stand right behind the prefix.
    std::size_t digits = text.size() > 2 && text[2] == '_' ? 3 : 2;
    std::size_t prefixed_end = has_prefix ? digits_end(text, digits, digit) : 0;
    end = has_prefix && prefixed_end > digits
              ? prefixed_end
              : digits_end(text, 0, [](char c) { return c == '0'; });
  }
  token.type = TokenType::integer;
  token.text = text.substr(0, end);
  std::optional<std::int64_t> integer = parse_integer(token.text, 0);
  if (!integer) fail_here("the integer " + excerpt(token.text) + " does not fit 64 bits");
  token.integer = *integer;
  advance(end);
  return true;
}

bool Lexer::take_name(Token& token) {
  std::string_view text = rest();
  std::size_t end = 0;
  if (!is_name_start(next_code_point(text, end))) return false;
  while (end < text.size()) {
    std::size_t next = end;
    if (!is_name_part(next_code_point(text, next))) break;
    end = next;
  }
  token.type = TokenType::name;
  token.text = text.substr(0, end);
  advance(end);
  return true;
}

bool Lexer::take_string(Token& token) {
  std::string_view text = rest();
  char quote = text[0];
  if (quote != '"' && quote != '\'') return false;
  token.type = TokenType::string;
  for (std::size_t i = 1; i < text.size();) {
    char c = text[i];
    if (c == quote) {
      advance(i + 1);
      return true;
    }
    if (c != '\\') {
      token.text += c;
      ++i;
      continue;
    }
    // Python's escapes; what is none keeps its backslash.
    if (++i == text.size()) break;
    c = text[i++];
    constexpr std::string_view kNames = "abfnrtv\\'\"";
    constexpr std::string_view kMeant = "\a\b\f\n\r\t\v\\'\"";
    if (std::size_t at = kNames.find(c); at != std::string_view::npos) {
      token.text += kMeant[at];
    } else if (c == '\n') {
      // A line goes on.
    } else if (c >= '0' && c <= '7') {
      char32_t code = 0;
      std::size_t first = --i;
      for (; i < text.size() && i < first + 3 && text[i] >= '0' && text[i] <= '7'; ++i)
        code = code * 8 + static_cast<char32_t>(text[i] - '0');
      append_utf8(token.text, code);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      std::size_t size = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      char32_t code = 0;
      for (std::size_t k = 0; k < size; ++k, ++i) {
        int digit = i < text.size() ? hex_digit(text[i]) : -1;
        if (digit < 0)
          fail_here(std::string("an escape \\") + c + " needs " + std::to_string(size) +
                    " hexadecimal digits");
        code = code << 4 | static_cast<char32_t>(digit);
      }
      if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        fail_here("an escape names what is no character");
      append_utf8(token.text, code);
    } else if (c == 'N') {
      fail_here("escapes by name, '\\N{...}', are not supported");
    } else {
      token.text += '\\';
      --i;
      if (static_cast<unsigned char>(c) < 0x80) {
        token.text += c;
        ++i;
        continue;
      }
      // Jinja escapes what is beyond ASCII before it looks at escapes, so that a backslash before
      // such a character leaves the digits of its code.
      char digits[16];
      auto code = static_cast<unsigned>(next_code_point(text, i));
      const char* format = code < 0x100 ? "x%02x" : code < 0x10000 ? "u%04x" : "U%08x";
      std::snprintf(digits, sizeof digits, format, code);
      token.text += digits;
    }
  }
  fail_here("a string has no end");
}

void Lexer::take_sign(Token& token) {
  static constexpr std::string_view kTwo[] = {"//", "**", "==", "!=", ">=", "<="};
  std::string_view text = rest();
  std::size_t size = 1;
  for (std::string_view sign : kTwo)
    if (text.starts_with(sign)) size = 2;
  constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
  if (size == 1 && kOne.find(text[0]) == std::string_view::npos)
    fail_here("the character '" + std::string(text.substr(0, character_bytes(text[0]))) +
              "' has no meaning here");
  token.text = text.substr(0, size);
  char c = text[0];
  if (c == '(' || c == '[' || c == '{') {
    brackets_.push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
  } else if (c == ')' || c == ']' || c == '}') {
    if (brackets_.empty()) fail_here(std::string("'") + c + "' closes nothing");
    if (brackets_.back() != c)
      fail_here(std::string("'") + c + "' stands where '" + brackets_.back() + "' is expected");
    brackets_.pop_back();
  }
  advance(size);
}

}  // namespace sluice::jinja
