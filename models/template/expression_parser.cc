// The expressions of templates, by Jinja's ranks of operators.
#include "base/utf8.h"
#include "models/template/failure.h"
#include "models/template/nesting.h"
#include "models/template/parser.h"

#include <algorithm>
#include <utility>

namespace sluice::jinja {

ExpressionPtr Parser::expression() {
  Nesting nesting(*this);
  ExpressionPtr value = disjunction();
  int conditions = 0;
  while (is_name("if")) {
    auto conditional = std::make_unique<Conditional>(current_.line);
    advance();
    ++conditions_;
    conditional->then = std::move(value);
    conditional->condition = disjunction();
    if (take_name("else")) conditional->otherwise = expression();
    --conditions_;
    value = std::move(conditional);
    // "a if b if c": what stands on the left gets one level deeper each time.
    constexpr int kConditionsMax = 64;
    if (++conditions > kConditionsMax)
      fail_here("more than " + std::to_string(kConditionsMax) + " conditions follow each other");
  }
  return value;
}

bool Parser::ends_tuple() const {
  return current_.type == TokenType::print_end || current_.type == TokenType::tag_end ||
         is_sign(")");
}

/// One expression, or several with commas between.
ExpressionPtr Parser::tuple(bool with_condition, bool in_parentheses) {
  auto tuple = std::make_unique<ListExpression>(current_.line);
  tuple->shape = Shape::tuple;
  bool has_comma = false;
  while (!ends_tuple()) {
    tuple->elements.push_back(with_condition ? expression() : disjunction());
    if (!is_sign(",")) break;
    has_comma = true;
    advance();
  }
  if (has_comma) return tuple;
  if (!tuple->elements.empty()) return std::move(tuple->elements[0]);
  if (!in_parentheses) fail_here("expected an expression, found " + describe_current());
  return tuple;
}

ExpressionPtr Parser::disjunction() {
  ExpressionPtr first = conjunction();
  if (!is_name("or")) return first;
  auto logical = std::make_unique<Logical>(current_.line);
  logical->parts.push_back(std::move(first));
  while (take_name("or"))
    logical->parts.push_back(conjunction());
  return logical;
}

ExpressionPtr Parser::conjunction() {
  ExpressionPtr first = negation();
  if (!is_name("and")) return first;
  auto logical = std::make_unique<Logical>(current_.line);
  logical->is_and = true;
  logical->parts.push_back(std::move(first));
  while (take_name("and"))
    logical->parts.push_back(negation());
  return logical;
}

ExpressionPtr Parser::negation() {
  if (!is_name("not")) return comparison();
  Nesting nesting(*this);
  auto negation = std::make_unique<Negation>(current_.line);
  advance();
  negation->operand = this->negation();
  return negation;
}

ExpressionPtr Parser::comparison() {
  auto comparison = std::make_unique<Operation>(Expression::Kind::comparison, current_.line);
  comparison->first = sum();
  static constexpr std::pair<std::string_view, Operator> kSigns[] = {
      {"==", Operator::equal},
      {"!=", Operator::not_equal},
      {"<", Operator::less},
      {"<=", Operator::less_equal},
      {">", Operator::greater},
      {">=", Operator::greater_equal},
  };
  for (;;) {
    std::optional<Operator> found;
    for (const auto& [sign, op] : kSigns)
      if (is_sign(sign)) found = op;
    if (is_name("in")) found = Operator::in;
    bool is_not_in = is_name("not") && ahead().type == TokenType::name && ahead().text == "in";
    if (is_not_in) {
      advance();
      found = Operator::not_in;
    }
    if (!found) break;
    advance();
    comparison->rest.emplace_back(*found, sum());
  }
  if (comparison->rest.empty()) return std::move(comparison->first);
  return comparison;
}

ExpressionPtr Parser::operation(
    std::initializer_list<std::pair<std::string_view, Operator>> operators,
    ExpressionPtr (Parser::*operand)()) {
  auto operation = std::make_unique<Operation>(Expression::Kind::arithmetic, current_.line);
  operation->first = (this->*operand)();
  for (;;) {
    const auto* found = std::find_if(
        operators.begin(), operators.end(), [&](const auto& each) { return is_sign(each.first); });
    if (found == operators.end()) break;
    advance();
    operation->rest.emplace_back(found->second, (this->*operand)());
  }
  if (operation->rest.empty()) return std::move(operation->first);
  return operation;
}

ExpressionPtr Parser::sum() {
  return operation({{"+", Operator::add}, {"-", Operator::subtract}}, &Parser::concatenation);
}

ExpressionPtr Parser::concatenation() {
  ExpressionPtr first = product();
  if (!is_sign("~")) return first;
  auto concatenation = std::make_unique<Concatenation>(current_.line);
  concatenation->parts.push_back(std::move(first));
  while (take_sign("~"))
    concatenation->parts.push_back(product());
  return concatenation;
}

ExpressionPtr Parser::product() {
  return operation({{"*", Operator::multiply},
                    {"/", Operator::divide},
                    {"//", Operator::divide_floor},
                    {"%", Operator::modulo}},
                   &Parser::power);
}

ExpressionPtr Parser::power() {
  auto operation = std::make_unique<Operation>(Expression::Kind::arithmetic, current_.line);
  operation->first = unary(true);
  while (take_sign("**"))
    operation->rest.emplace_back(Operator::power, unary(true));
  if (operation->rest.empty()) return std::move(operation->first);
  return operation;
}

ExpressionPtr Parser::unary(bool with_filters) {
  ExpressionPtr value;
  if (is_sign("-") || is_sign("+")) {
    Nesting nesting(*this);
    auto sign = std::make_unique<SignExpression>(current_.line);
    sign->is_minus = is_sign("-");
    advance();
    sign->operand = unary(false);
    value = std::move(sign);
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  if (with_filters) value = filters_and_tests(std::move(value));
  return value;
}

ExpressionPtr Parser::primary() {
  switch (current_.type) {
    case TokenType::name:
      return name_or_constant();
    case TokenType::string:
      return string();
    case TokenType::integer:
    case TokenType::number: {
      auto literal = std::make_unique<Literal>(current_.line);
      literal->value = current_.type == TokenType::integer ? Value::of(current_.integer)
                                                           : Value::of(current_.number);
      advance();
      return literal;
    }
    case TokenType::sign:
      if (take_sign("(")) {
        Nesting nesting(*this);
        ExpressionPtr inside = tuple(true, true);
        expect_sign(")");
        return inside;
      }
      if (is_sign("[")) return list();
      if (is_sign("{")) return dict();
      break;
    default:
      break;
  }
  fail_here("expected an expression, found " + describe_current());
}

ExpressionPtr Parser::name_or_constant() {
  std::uint32_t line = current_.line;
  std::string name = take_any_name("a name");
  bool is_true = name == "true" || name == "True";
  bool is_false = name == "false" || name == "False";
  if (is_true || is_false || name == "none" || name == "None") {
    auto literal = std::make_unique<Literal>(line);
    literal->value = is_true || is_false ? Value::of(is_true) : Value::none();
    return literal;
  }
  auto variable = std::make_unique<Name>(line);
  variable->symbol = symbol(name);
  variable->builtin = find_builtin(name);
  if (!macros_.empty()) {
    macros_.back().uses_caller |= name == "caller";
    macros_.back().uses_varargs |= name == "varargs";
    macros_.back().uses_kwargs |= name == "kwargs";
  }
  variable->name = std::move(name);
  return variable;
}

ExpressionPtr Parser::string() {
  auto literal = std::make_unique<Literal>(current_.line);
  // Strings that stand side by side are one.
  while (current_.type == TokenType::string) {
    literal->storage += current_.text;
    advance();
  }
  literal->value = Value::trusted(literal->storage);
  return literal;
}

ExpressionPtr Parser::list() {
  auto list = std::make_unique<ListExpression>(current_.line);
  expect_sign("[");
  while (!is_sign("]")) {
    if (!list->elements.empty()) expect_sign(",");
    if (is_sign("]")) break;
    list->elements.push_back(expression());
  }
  expect_sign("]");
  return list;
}

ExpressionPtr Parser::dict() {
  auto dict = std::make_unique<DictExpression>(current_.line);
  expect_sign("{");
  while (!is_sign("}")) {
    if (!dict->entries.empty()) expect_sign(",");
    if (is_sign("}")) break;
    ExpressionPtr key = expression();
    expect_sign(":");
    dict->entries.emplace_back(std::move(key), expression());
  }
  expect_sign("}");
  return dict;
}

/// `base` as a chain that can be made longer.
Chain& Parser::chain_of(ExpressionPtr& base) {
  if (base->kind != Expression::Kind::chain) {
    auto chain = std::make_unique<Chain>(base->line);
    chain->base = std::move(base);
    base = std::move(chain);
  }
  return static_cast<Chain&>(*base);
}

ExpressionPtr Parser::postfix(ExpressionPtr base) {
  for (;;) {
    if (is_sign(".") || is_sign("[")) {
      Suffix suffix = subscript();
      chain_of(base).suffixes.push_back(std::move(suffix));
    } else if (is_sign("(")) {
      Suffix suffix = call_suffix();
      chain_of(base).suffixes.push_back(std::move(suffix));
    } else {
      return base;
    }
  }
}

ExpressionPtr Parser::filters_and_tests(ExpressionPtr base) {
  for (;;) {
    Suffix suffix;
    if (is_sign("|")) {
      suffix = filter();
    } else if (is_name("is")) {
      suffix = test();
    } else if (is_sign("(")) {
      suffix = call_suffix();
    } else {
      return base;
    }
    chain_of(base).suffixes.push_back(std::move(suffix));
  }
}

Suffix Parser::subscript() {
  Suffix suffix;
  if (take_sign(".")) {
    if (current_.type == TokenType::integer) {
      suffix.kind = Suffix::Kind::item;
      suffix.key = primary();
      return suffix;
    }
    suffix.name = take_any_name("the name of an attribute");
    suffix.method = find_method(suffix.name);
    return suffix;
  }
  expect_sign("[");
  Nesting nesting(*this);
  subscript_item(suffix);
  if (is_sign(",")) fail_here("subscripts of several parts are not supported");
  expect_sign("]");
  return suffix;
}

/// What stands between brackets: an index or a slice.
void Parser::subscript_item(Suffix& suffix) {
  suffix.kind = Suffix::Kind::item;
  if (!is_sign(":")) {
    ExpressionPtr value = expression();
    if (!is_sign(":")) {
      suffix.key = std::move(value);
      return;
    }
    suffix.start = std::move(value);
  }
  suffix.kind = Suffix::Kind::slice;
  expect_sign(":");
  auto ends = [&] { return is_sign(":") || is_sign("]") || is_sign(","); };
  if (!ends()) suffix.stop = expression();
  if (take_sign(":") && !ends()) suffix.step = expression();
}

CallArguments Parser::call_arguments() {
  Nesting nesting(*this);
  CallArguments arguments;
  expect_sign("(");
  bool is_first = true;
  while (!is_sign(")")) {
    if (!is_first) expect_sign(",");
    if (is_sign(")")) break;
    is_first = false;
    if (is_sign("*") || is_sign("**"))
      fail_here("arguments from a list or dict ('*', '**') are not supported");
    bool is_named =
        current_.type == TokenType::name && ahead().type == TokenType::sign && ahead().text == "=";
    if (is_named) {
      std::string name = take_any_name("the name of an argument");
      advance();
      for (const auto& [earlier, value] : arguments.named)
        if (earlier == name) fail_here("the argument '" + name + "' is given twice");
      arguments.named.emplace_back(std::move(name), expression());
    } else {
      if (!arguments.named.empty())
        fail_here("an argument without a name stands behind one with a name");
      arguments.values.push_back(expression());
    }
  }
  expect_sign(")");
  return arguments;
}

Suffix Parser::call_suffix() {
  Suffix suffix;
  suffix.kind = Suffix::Kind::call;
  suffix.arguments = call_arguments();
  return suffix;
}

Suffix Parser::filter() {
  Suffix suffix;
  suffix.kind = Suffix::Kind::filter;
  take_sign("|");
  suffix.name = take_any_name("the name of a filter");
  suffix.filter = find_filter(suffix.name);
  // Jinja, too, knows only then whether a filter is there when a condition lets it be used.
  if (suffix.filter == nullptr && conditions_ == 0)
    fail_here("there is no filter '" + excerpt(suffix.name) + "'");
  if (is_sign("(")) suffix.arguments = call_arguments();
  return suffix;
}

Suffix Parser::test() {
  Suffix suffix;
  suffix.kind = Suffix::Kind::test;
  expect_name("is");
  suffix.is_negated = take_name("not");
  suffix.name = take_any_name("the name of a test");
  suffix.test = find_test(suffix.name);
  if (suffix.test == nullptr && conditions_ == 0)
    fail_here("there is no test '" + excerpt(suffix.name) + "'");
  if (is_sign("(")) {
    suffix.arguments = call_arguments();
    return suffix;
  }
  // One argument may stand without parentheses.
  bool is_word =
      current_.type == TokenType::name && !is_name("else") && !is_name("or") && !is_name("and");
  if (is_name("is")) fail_here("tests cannot be chained by 'is'");
  bool is_argument = is_word || current_.type == TokenType::string ||
                     current_.type == TokenType::integer || current_.type == TokenType::number ||
                     is_sign("[") || is_sign("{");
  if (!is_argument) return suffix;
  Nesting nesting(*this);
  suffix.arguments.values.push_back(postfix(primary()));
  return suffix;
}

}  // namespace sluice::jinja
