// Reads the text of a template into statements and expressions.
#pragma once

#include "models/template/ast.h"
#include "models/template/lexer.h"

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::jinja {

/// One reading of one text, by recursive descent with one token of foresight. Throws
/// TemplateFailure (invalid_argument) with the line. Nesting is bounded.
class Parser {
 public:
  /// `source` is valid UTF-8.
  explicit Parser(std::string_view source) : lexer_(source), current_(lexer_.next()) {}
  ParsedTemplate parse();

 private:
  class Nesting;
  /// What a macro's body may use without declaring it, while it is read.
  struct MacroScope {
    bool uses_caller = false;
    bool uses_varargs = false;
    bool uses_kwargs = false;
  };

  // Tokens.
  void advance();
  const Token& ahead();
  [[nodiscard]] bool is_sign(std::string_view sign) const;
  [[nodiscard]] bool is_name(std::string_view name) const;
  bool take_sign(std::string_view sign);
  bool take_name(std::string_view name);
  void expect_sign(std::string_view sign);
  void expect_name(std::string_view name);
  std::string take_any_name(std::string_view what);
  [[noreturn]] void fail_here(const std::string& message) const;
  [[nodiscard]] std::string describe_current() const;
  Symbol symbol(const std::string& name);

  // Statements (parser.cc).
  Body statements(std::initializer_list<std::string_view> ends);
  std::unique_ptr<Statement> tag();
  std::unique_ptr<Statement> branch();
  std::unique_ptr<Statement> loop();
  std::unique_ptr<Statement> set();
  std::unique_ptr<Statement> macro();
  std::unique_ptr<Statement> call();
  std::unique_ptr<Statement> filter_block();
  std::unique_ptr<Statement> with();
  std::unique_ptr<Statement> generation();
  std::unique_ptr<Statement> jump();
  void end_of(std::string_view name);
  void signature(MacroNode& macro);
  void macro_body(MacroNode& macro, std::string_view end);
  Target target(bool may_be_tuple, bool may_be_attribute);
  Target single_target(bool may_be_attribute);
  std::vector<Suffix> filters();

  // Expressions (expression_parser.cc).
  ExpressionPtr expression();
  ExpressionPtr tuple(bool with_condition, bool in_parentheses = false);
  ExpressionPtr disjunction();
  ExpressionPtr conjunction();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr name_or_constant();
  ExpressionPtr string();
  ExpressionPtr operation(std::initializer_list<std::pair<std::string_view, Operator>> operators,
                          ExpressionPtr (Parser::*operand)());
  ExpressionPtr postfix(ExpressionPtr base);
  ExpressionPtr filters_and_tests(ExpressionPtr base);
  Chain& chain_of(ExpressionPtr& base);
  Suffix subscript();
  void subscript_item(Suffix& suffix);
  Suffix call_suffix();
  Suffix filter();
  Suffix test();
  CallArguments call_arguments();
  [[nodiscard]] bool ends_tuple() const;

  Lexer lexer_;
  Token current_;
  Token ahead_;
  bool has_ahead_ = false;
  int depth_ = 0;
  int loops_ = 0;  // open in this macro
  int conditions_ =
      0;  // open branches: an unknown filter may stand there, as long as none takes it
  std::vector<MacroScope> macros_;
  bool defines_macro_ = false;  // since the innermost open loop began
  ParsedTemplate parsed_;
};

}  // namespace sluice::jinja
