#include "models/template/inspection.h"

#include <algorithm>

namespace sluice::jinja {
namespace {

/// Walks through a whole tree. Its depth is bounded by the parser.
class Walker {
 public:
  virtual ~Walker() = default;

  void walk(const Body& body) {
    for (const auto& statement : body)
      walk(*statement);
  }

 protected:
  /// Sees every expression before what it consists of. `is_compared`: it, or a list it stands in,
  /// is an operand of a comparison or an argument of a filter or test.
  virtual void see(const Expression& expression, bool is_compared) = 0;
  virtual void enter(const MacroNode&) {}
  virtual void leave(const MacroNode&) {}

 private:
  void walk(const ExpressionPtr& expression, bool is_compared = false) {
    if (expression != nullptr) walk(*expression, is_compared);
  }

  void walk(const CallArguments& arguments, bool is_compared) {
    for (const auto& value : arguments.values)
      walk(value, is_compared);
    for (const auto& [name, value] : arguments.named)
      walk(value, is_compared);
  }

  void walk(const std::vector<Suffix>& suffixes) {
    for (const Suffix& suffix : suffixes) {
      walk(suffix.key);
      walk(suffix.start);
      walk(suffix.stop);
      walk(suffix.step);
      bool compares = suffix.kind == Suffix::Kind::filter || suffix.kind == Suffix::Kind::test;
      walk(suffix.arguments, compares);
    }
  }

  void walk(const Expression& expression, bool is_compared) {
    see(expression, is_compared);
    switch (expression.kind) {
      case Expression::Kind::literal:
      case Expression::Kind::name:
        return;
      case Expression::Kind::list:
        for (const auto& element : static_cast<const ListExpression&>(expression).elements)
          walk(element, true);  // lists of texts are there to be searched
        return;
      case Expression::Kind::dict:
        for (const auto& [key, value] : static_cast<const DictExpression&>(expression).entries) {
          walk(key, true);  // looking a value up compares it with the keys
          walk(value);
        }
        return;
      case Expression::Kind::chain: {
        const auto& chain = static_cast<const Chain&>(expression);
        walk(chain.base, is_compared);
        walk(chain.suffixes);
        return;
      }
      case Expression::Kind::sign:
        walk(static_cast<const SignExpression&>(expression).operand);
        return;
      case Expression::Kind::negation:
        walk(static_cast<const Negation&>(expression).operand);
        return;
      case Expression::Kind::arithmetic:
      case Expression::Kind::comparison: {
        const auto& operation = static_cast<const Operation&>(expression);
        bool compares = expression.kind == Expression::Kind::comparison;
        walk(operation.first, compares);
        for (const auto& [op, operand] : operation.rest)
          walk(operand, compares);
        return;
      }
      case Expression::Kind::concatenation:
        for (const auto& part : static_cast<const Concatenation&>(expression).parts)
          walk(part);
        return;
      case Expression::Kind::logical:
        for (const auto& part : static_cast<const Logical&>(expression).parts)
          walk(part);
        return;
      case Expression::Kind::conditional: {
        const auto& conditional = static_cast<const Conditional&>(expression);
        walk(conditional.condition);
        walk(conditional.then, is_compared);
        walk(conditional.otherwise, is_compared);
        return;
      }
    }
  }

  void walk(const MacroNode& macro) {
    enter(macro);
    for (const auto& parameter : macro.parameters)
      walk(parameter.fallback);
    walk(macro.body);
    leave(macro);
  }

  void walk(const Statement& statement) {
    switch (statement.kind) {
      case Statement::Kind::text:
      case Statement::Kind::break_loop:
      case Statement::Kind::continue_loop:
        return;
      case Statement::Kind::print:
        walk(static_cast<const PrintStatement&>(statement).value);
        return;
      case Statement::Kind::branch: {
        const auto& branch = static_cast<const Branch&>(statement);
        for (const auto& [condition, body] : branch.choices) {
          walk(condition);
          walk(body);
        }
        walk(branch.otherwise);
        return;
      }
      case Statement::Kind::loop: {
        const auto& loop = static_cast<const LoopStatement&>(statement);
        walk(loop.iterable);
        walk(loop.condition);
        walk(loop.body);
        walk(loop.otherwise);
        return;
      }
      case Statement::Kind::set:
        walk(static_cast<const SetStatement&>(statement).value);
        return;
      case Statement::Kind::set_block: {
        const auto& block = static_cast<const SetBlock&>(statement);
        walk(block.filters);
        walk(block.body);
        return;
      }
      case Statement::Kind::macro:
        walk(static_cast<const MacroStatement&>(statement).macro);
        return;
      case Statement::Kind::call: {
        const auto& call = static_cast<const CallStatement&>(statement);
        walk(*call.call, false);
        walk(call.caller);
        return;
      }
      case Statement::Kind::filter: {
        const auto& filter = static_cast<const FilterStatement&>(statement);
        walk(filter.filters);
        walk(filter.body);
        return;
      }
      case Statement::Kind::with: {
        const auto& with = static_cast<const WithStatement&>(statement);
        for (const auto& [target, value] : with.assignments)
          walk(value);
        walk(with.body);
        return;
      }
      case Statement::Kind::scope:
        walk(static_cast<const ScopeStatement&>(statement).body);
        return;
    }
  }
};

class ReadsVariable : public Walker {
 public:
  explicit ReadsVariable(std::string_view name) : name_(name) {}
  [[nodiscard]] bool found() const { return found_; }

 private:
  [[nodiscard]] bool declares(const MacroNode& macro) const {
    return std::any_of(macro.parameters.begin(), macro.parameters.end(), [&](const auto& p) {
      return p.name == name_;
    });
  }
  void enter(const MacroNode& macro) override { hidden_ += declares(macro) ? 1 : 0; }
  void leave(const MacroNode& macro) override { hidden_ -= declares(macro) ? 1 : 0; }
  void see(const Expression& expression, bool) override {
    if (hidden_ == 0 && expression.kind == Expression::Kind::name)
      found_ = found_ || static_cast<const Name&>(expression).name == name_;
  }

  std::string_view name_;
  int hidden_ = 0;  // open macros with a parameter of the name
  bool found_ = false;
};

class ComparesWith : public Walker {
 public:
  explicit ComparesWith(std::string_view text) : text_(text) {}
  [[nodiscard]] bool found() const { return found_; }

 private:
  void see(const Expression& expression, bool is_compared) override {
    if (!is_compared || expression.kind != Expression::Kind::literal) return;
    const auto& literal = static_cast<const Literal&>(expression);
    found_ = found_ || (literal.value.is(Kind::text) && literal.storage == text_);
  }

  std::string_view text_;
  bool found_ = false;
};

}  // namespace

bool reads_variable(const ParsedTemplate& parsed, std::string_view name) {
  ReadsVariable walker(name);
  walker.walk(parsed.body);
  return walker.found();
}

bool compares_with(const ParsedTemplate& parsed, std::string_view text) {
  ComparesWith walker(text);
  walker.walk(parsed.body);
  return walker.found();
}

}  // namespace sluice::jinja
