// Cuts the text of a template into tokens: Jinja's, with trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::jinja {

enum class TokenType : std::uint8_t {
  data,  ///< text between tags, as it is printed
  print_begin,
  print_end,
  tag_begin,
  tag_end,
  name,
  string,
  integer,
  number,
  sign,  ///< an operator or bracket
  end,
};

struct Token {
  TokenType type = TokenType::end;
  std::uint32_t line = 1;
  std::string text;  ///< data, the name, the string's value, the sign
  std::int64_t integer = 0;
  double number = 0;
};

/// Gives one token after the other. Throws TemplateFailure with the line.
class Lexer {
 public:
  /// `source` is valid UTF-8.
  explicit Lexer(std::string_view source);
  Token next();

 private:
  enum class State : std::uint8_t { data, print, tag };

  [[nodiscard]] std::string_view rest() const { return std::string_view(source_).substr(at_); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }
  void advance(std::size_t bytes);
  void skip_spaces();
  [[nodiscard]] std::size_t spaces_at(std::size_t at) const;
  [[nodiscard]] std::size_t raw_begin_bytes(std::size_t at) const;
  void skip_comment();
  /// The text before a tag with the white space taken off that its sign asks for.
  [[nodiscard]] std::string_view before_tag(std::string_view text, char sign, bool is_print) const;
  Token data();
  Token raw();
  Token in_tag();
  bool take_tag_end();
  bool take_number(Token& token);
  bool take_name(Token& token);
  bool take_string(Token& token);
  void take_sign(Token& token);
  [[noreturn]] void fail_here(std::string message) const;

  std::string source_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  State state_ = State::data;
  bool is_line_start_ = true;  // what was read before ended in a line end
  std::vector<char> brackets_;
  std::vector<Token> pending_;  // the begin of a tag whose text before was just given
};

}  // namespace sluice::jinja
