#include "models/template/parser.h"

#include "base/utf8.h"
#include "models/template/failure.h"
#include "models/template/nesting.h"

#include <algorithm>
#include <utility>

namespace sluice::jinja {

void Parser::advance() {
  if (has_ahead_) {
    current_ = std::move(ahead_);
    has_ahead_ = false;
  } else {
    current_ = lexer_.next();
  }
}

const Token& Parser::ahead() {
  if (!has_ahead_) {
    ahead_ = lexer_.next();
    has_ahead_ = true;
  }
  return ahead_;
}

bool Parser::is_sign(std::string_view sign) const {
  return current_.type == TokenType::sign && current_.text == sign;
}

bool Parser::is_name(std::string_view name) const {
  return current_.type == TokenType::name && current_.text == name;
}

bool Parser::take_sign(std::string_view sign) {
  if (!is_sign(sign)) return false;
  advance();
  return true;
}

bool Parser::take_name(std::string_view name) {
  if (!is_name(name)) return false;
  advance();
  return true;
}

void Parser::expect_sign(std::string_view sign) {
  if (!take_sign(sign))
    fail_here("expected '" + std::string(sign) + "', found " + describe_current());
}

void Parser::expect_name(std::string_view name) {
  if (!take_name(name))
    fail_here("expected '" + std::string(name) + "', found " + describe_current());
}

std::string Parser::take_any_name(std::string_view what) {
  if (current_.type != TokenType::name)
    fail_here("expected " + std::string(what) + ", found " + describe_current());
  std::string name = std::move(current_.text);
  advance();
  return name;
}

void Parser::fail_here(const std::string& message) const {
  throw TemplateFailure{ErrorCode::invalid_argument, message, current_.line};
}

std::string Parser::describe_current() const {
  switch (current_.type) {
    case TokenType::data:
      return "text";
    case TokenType::print_begin:
      return "'{{'";
    case TokenType::print_end:
      return "'}}'";
    case TokenType::tag_begin:
      return "'{%'";
    case TokenType::tag_end:
      return "'%}'";
    case TokenType::string:
      return "the string '" + excerpt(current_.text) + "'";
    case TokenType::end:
      return "the end of the template";
    default:
      return "'" + excerpt(current_.text) + "'";
  }
}

Symbol Parser::symbol(const std::string& name) {
  auto next = static_cast<Symbol>(parsed_.symbols.size());
  return parsed_.symbols.emplace(name, next).first->second;
}

ParsedTemplate Parser::parse() {
  parsed_.body = statements({});
  return std::move(parsed_);
}

/// Reads up to a tag with one of the names `ends`, which becomes current, or to the end of the
/// template if there are none.
Body Parser::statements(std::initializer_list<std::string_view> ends) {
  Nesting nesting(*this);
  Body body;
  for (;;) {
    switch (current_.type) {
      case TokenType::data: {
        auto text = std::make_unique<TextStatement>(current_.line);
        text->text = std::move(current_.text);
        advance();
        body.push_back(std::move(text));
        break;
      }
      case TokenType::print_begin: {
        auto print = std::make_unique<PrintStatement>(current_.line);
        advance();
        print->value = tuple(true);
        if (current_.type != TokenType::print_end)
          fail_here("expected '}}', found " + describe_current());
        advance();
        body.push_back(std::move(print));
        break;
      }
      case TokenType::tag_begin: {
        advance();
        if (std::any_of(ends.begin(), ends.end(), [&](auto end) { return is_name(end); }))
          return body;
        body.push_back(tag());
        if (current_.type != TokenType::tag_end)
          fail_here("expected '%}', found " + describe_current());
        advance();
        break;
      }
      default:
        if (ends.size() == 0) return body;
        fail_here("expected '{% " + std::string(*(ends.end() - 1)) + " %}', found " +
                  describe_current());
    }
  }
}

/// The end of an opening tag, before a body is read.
void Parser::end_of(std::string_view name) {
  take_sign(":");
  if (current_.type != TokenType::tag_end)
    fail_here("expected '%}' to end the tag '" + std::string(name) + "', found " +
              describe_current());
  advance();
}

std::unique_ptr<Statement> Parser::tag() {
  if (current_.type != TokenType::name)
    fail_here("expected the name of a tag, found " + describe_current());
  const std::string& name = current_.text;
  if (name == "if") return branch();
  if (name == "for") return loop();
  if (name == "set") return set();
  if (name == "macro") return macro();
  if (name == "call") return call();
  if (name == "filter") return filter_block();
  if (name == "with") return with();
  if (name == "generation") return generation();
  if (name == "break" || name == "continue") return jump();
  fail_here("there is no tag '" + excerpt(name) +
            "' here; known are if, for, set, macro, call, filter, with, generation, break, "
            "continue and raw");
}

std::unique_ptr<Statement> Parser::branch() {
  auto branch = std::make_unique<Branch>(current_.line);
  ++conditions_;
  do {
    advance();  // if, elif
    ExpressionPtr condition = tuple(false);
    end_of("if");
    Body body = statements({"elif", "else", "endif"});
    branch->choices.emplace_back(std::move(condition), std::move(body));
  } while (is_name("elif"));
  if (take_name("else")) {
    end_of("else");
    branch->otherwise = statements({"endif"});
  }
  --conditions_;
  advance();  // endif
  return branch;
}

std::unique_ptr<Statement> Parser::loop() {
  auto loop = std::make_unique<LoopStatement>(current_.line);
  advance();
  loop->target = target(true, false);
  expect_name("in");
  loop->iterable = tuple(false);
  if (take_name("if")) loop->condition = expression();
  if (is_name("recursive")) fail_here("recursive loops are not supported");
  end_of("for");
  bool outer_defines = std::exchange(defines_macro_, false);
  ++loops_;
  loop->body = statements({"else", "endfor"});
  --loops_;
  loop->keeps_scopes = defines_macro_;
  defines_macro_ = defines_macro_ || outer_defines;
  if (take_name("else")) {
    end_of("else");
    loop->otherwise = statements({"endfor"});
  }
  advance();  // endfor
  return loop;
}

std::unique_ptr<Statement> Parser::set() {
  std::uint32_t line = current_.line;
  advance();
  Target assigned = target(true, true);
  if (take_sign("=")) {
    auto set = std::make_unique<SetStatement>(line);
    set->target = std::move(assigned);
    set->value = tuple(true);
    return set;
  }
  auto block = std::make_unique<SetBlock>(line);
  block->target = std::move(assigned);
  while (is_sign("|"))
    block->filters.push_back(filter());
  end_of("set");
  block->body = statements({"endset"});
  advance();
  return block;
}

void Parser::signature(MacroNode& macro) {
  expect_sign("(");
  while (!is_sign(")")) {
    if (!macro.parameters.empty()) expect_sign(",");
    if (is_sign(")")) break;
    MacroNode::Parameter parameter;
    parameter.name = take_any_name("the name of a parameter");
    parameter.symbol = symbol(parameter.name);
    if (take_sign("=")) {
      parameter.fallback = expression();
    } else if (!macro.parameters.empty() && macro.parameters.back().fallback != nullptr) {
      fail_here("the parameter '" + parameter.name + "' needs a default, as those before it");
    }
    macro.parameters.push_back(std::move(parameter));
  }
  expect_sign(")");
}

void Parser::macro_body(MacroNode& macro, std::string_view end) {
  defines_macro_ = true;
  int loops = std::exchange(loops_, 0);
  macros_.emplace_back();
  macro.body = statements({end});
  loops_ = loops;
  MacroScope used = macros_.back();
  macros_.pop_back();
  auto declares = [&](std::string_view name) {
    return std::any_of(macro.parameters.begin(), macro.parameters.end(), [&](const auto& p) {
      return p.name == name;
    });
  };
  if (used.uses_caller && !declares("caller")) macro.caller = symbol("caller");
  if (used.uses_varargs && !declares("varargs")) macro.varargs = symbol("varargs");
  if (used.uses_kwargs && !declares("kwargs")) macro.kwargs = symbol("kwargs");
  if (macros_.empty()) return;
  // What a macro inside uses, the one around it uses as well.
  macros_.back().uses_caller |= used.uses_caller;
  macros_.back().uses_varargs |= used.uses_varargs;
  macros_.back().uses_kwargs |= used.uses_kwargs;
}

std::unique_ptr<Statement> Parser::macro() {
  auto statement = std::make_unique<MacroStatement>(current_.line);
  advance();
  statement->macro.name = take_any_name("the name of the macro");
  statement->symbol = symbol(statement->macro.name);
  signature(statement->macro);
  end_of("macro");
  macro_body(statement->macro, "endmacro");
  advance();
  return statement;
}

std::unique_ptr<Statement> Parser::call() {
  auto statement = std::make_unique<CallStatement>(current_.line);
  advance();
  statement->caller.name = "caller";
  if (is_sign("(")) signature(statement->caller);
  ExpressionPtr called = expression();
  bool is_call = called->kind == Expression::Kind::chain &&
                 static_cast<Chain&>(*called).suffixes.back().kind == Suffix::Kind::call;
  if (!is_call) fail_here("a call block needs a call, as in {% call name() %}");
  statement->call.reset(static_cast<Chain*>(called.release()));
  end_of("call");
  macro_body(statement->caller, "endcall");
  advance();
  return statement;
}

std::unique_ptr<Statement> Parser::filter_block() {
  auto statement = std::make_unique<FilterStatement>(current_.line);
  advance();
  // The first filter stands without its '|'.
  statement->filters.push_back(filter());
  while (is_sign("|"))
    statement->filters.push_back(filter());
  end_of("filter");
  statement->body = statements({"endfilter"});
  advance();
  return statement;
}

std::unique_ptr<Statement> Parser::with() {
  auto statement = std::make_unique<WithStatement>(current_.line);
  advance();
  while (current_.type != TokenType::tag_end) {
    if (!statement->assignments.empty()) expect_sign(",");
    Target assigned = target(false, false);
    expect_sign("=");
    statement->assignments.emplace_back(std::move(assigned), expression());
  }
  end_of("with");
  statement->body = statements({"endwith"});
  advance();
  return statement;
}

std::unique_ptr<Statement> Parser::generation() {
  auto statement = std::make_unique<ScopeStatement>(current_.line);
  advance();
  end_of("generation");
  // To Jinja its body is that of a macro, which `break` cannot leave.
  int loops = std::exchange(loops_, 0);
  statement->body = statements({"endgeneration"});
  loops_ = loops;
  advance();
  return statement;
}

std::unique_ptr<Statement> Parser::jump() {
  bool breaks = is_name("break");
  if (loops_ == 0) fail_here("'" + current_.text + "' stands outside of a loop");
  auto kind = breaks ? Statement::Kind::break_loop : Statement::Kind::continue_loop;
  auto statement = std::make_unique<JumpStatement>(kind, current_.line);
  advance();
  return statement;
}

Target Parser::single_target(bool may_be_attribute) {
  Target target;
  if (take_sign("(")) {
    target = this->target(true, false);
    expect_sign(")");
    return target;
  }
  target.name = take_any_name("the name of a variable");
  constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
  if (std::find(std::begin(kReserved), std::end(kReserved), target.name) != std::end(kReserved))
    fail_here("'" + target.name + "' cannot be assigned to");
  target.symbol = symbol(target.name);
  if (may_be_attribute && take_sign("."))
    target.attribute = take_any_name("the name of an attribute");
  return target;
}

Target Parser::target(bool may_be_tuple, bool may_be_attribute) {
  Nesting nesting(*this);
  Target first = single_target(may_be_attribute);
  if (!may_be_tuple || !is_sign(",")) return first;
  Target all;
  all.parts.push_back(std::move(first));
  while (take_sign(",")) {
    bool is_last = is_name("in") || is_sign("=") || is_sign(")");
    if (is_last) break;
    all.parts.push_back(single_target(may_be_attribute));
  }
  return all;
}

}  // namespace sluice::jinja
