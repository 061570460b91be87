// A parsed template: expressions and statements. Immutable after parsing, so that many threads may
// render it at once.
#pragma once

#include "models/template/filters.h"
#include "models/template/globals.h"
#include "models/template/methods.h"
#include "models/template/operators.h"
#include "models/template/tests.h"
#include "models/template/value.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice::jinja {

/// The number of a variable's name in its template.
using Symbol = std::uint32_t;

/// Operators of one rank that follow each other are one node, as is a whole chain of suffixes, so
/// that the depth of a tree is that of the nesting in the text, however long its chains are.
struct Expression {
  enum class Kind : std::uint8_t {
    literal,
    name,
    list,
    dict,
    chain,
    sign,
    negation,
    arithmetic,
    concatenation,
    comparison,
    logical,
    conditional,
  };
  Kind kind;
  std::uint32_t line;

  Expression(Kind kind, std::uint32_t line) : kind(kind), line(line) {}
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;
  virtual ~Expression() = default;
};
using ExpressionPtr = std::unique_ptr<Expression>;

struct Literal : Expression {
  explicit Literal(std::uint32_t line) : Expression(Kind::literal, line) {}
  std::string storage;  // of a text
  Value value;
};

struct Name : Expression {
  explicit Name(std::uint32_t line) : Expression(Kind::name, line) {}
  std::string name;
  Symbol symbol = 0;
  std::optional<Builtin> builtin;  ///< what it means where no variable has the name
};

/// [a, b] or (a, b).
struct ListExpression : Expression {
  explicit ListExpression(std::uint32_t line) : Expression(Kind::list, line) {}
  Shape shape = Shape::list;
  std::vector<ExpressionPtr> elements;
};

struct DictExpression : Expression {
  explicit DictExpression(std::uint32_t line) : Expression(Kind::dict, line) {}
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};

struct CallArguments {
  std::vector<ExpressionPtr> values;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
};

/// What stands behind a value: .name, [key], [a:b:c], (...), |filter(...), is test(...).
struct Suffix {
  enum class Kind : std::uint8_t { attribute, item, slice, call, filter, test };
  Kind kind = Kind::attribute;
  std::string name;  ///< of an attribute, filter or test
  std::optional<Method> method;
  Filter filter = nullptr;  ///< null: there is none of that name
  Test test = nullptr;
  bool is_negated = false;  ///< is not
  ExpressionPtr key;        ///< of an item
  ExpressionPtr start, stop, step;
  CallArguments arguments;
};

struct Chain : Expression {
  explicit Chain(std::uint32_t line) : Expression(Kind::chain, line) {}
  ExpressionPtr base;
  std::vector<Suffix> suffixes;
};

/// +x or -x.
struct SignExpression : Expression {
  explicit SignExpression(std::uint32_t line) : Expression(Kind::sign, line) {}
  bool is_minus = false;
  ExpressionPtr operand;
};

struct Negation : Expression {
  explicit Negation(std::uint32_t line) : Expression(Kind::negation, line) {}
  ExpressionPtr operand;
};

/// Operators of one rank, from left to right; or a chain of comparisons, all of which hold.
struct Operation : Expression {
  Operation(Kind kind, std::uint32_t line) : Expression(kind, line) {}
  ExpressionPtr first;
  std::vector<std::pair<Operator, ExpressionPtr>> rest;
};

struct Concatenation : Expression {
  explicit Concatenation(std::uint32_t line) : Expression(Kind::concatenation, line) {}
  std::vector<ExpressionPtr> parts;
};

/// a and b and c, or with `or`.
struct Logical : Expression {
  explicit Logical(std::uint32_t line) : Expression(Kind::logical, line) {}
  bool is_and = false;
  std::vector<ExpressionPtr> parts;
};

/// then if condition else otherwise.
struct Conditional : Expression {
  explicit Conditional(std::uint32_t line) : Expression(Kind::conditional, line) {}
  ExpressionPtr condition;
  ExpressionPtr then;
  ExpressionPtr otherwise;  ///< null: undefined
};

struct Statement {
  enum class Kind : std::uint8_t {
    text,
    print,
    branch,
    loop,
    set,
    set_block,
    macro,
    call,
    filter,
    with,
    scope,
    break_loop,
    continue_loop,
  };
  Kind kind;
  std::uint32_t line;

  Statement(Kind kind, std::uint32_t line) : kind(kind), line(line) {}
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  virtual ~Statement() = default;
};
using Body = std::vector<std::unique_ptr<Statement>>;

struct TextStatement : Statement {
  explicit TextStatement(std::uint32_t line) : Statement(Kind::text, line) {}
  std::string text;
};

struct PrintStatement : Statement {
  explicit PrintStatement(std::uint32_t line) : Statement(Kind::print, line) {}
  ExpressionPtr value;
};

/// if, elif, else.
struct Branch : Statement {
  explicit Branch(std::uint32_t line) : Statement(Kind::branch, line) {}
  std::vector<std::pair<ExpressionPtr, Body>> choices;
  Body otherwise;
};

/// What a value is assigned to: a name, several, or an attribute of a namespace.
struct Target {
  Symbol symbol = 0;
  std::string attribute;      ///< empty: the name itself
  std::string name;           ///< for messages
  std::vector<Target> parts;  ///< not empty: the elements of a tuple
};

struct LoopStatement : Statement {
  explicit LoopStatement(std::uint32_t line) : Statement(Kind::loop, line) {}
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  ///< null: every element
  Body body;
  Body otherwise;
  bool keeps_scopes = false;  ///< a macro in its body may outlive an iteration
};

struct SetStatement : Statement {
  explicit SetStatement(std::uint32_t line) : Statement(Kind::set, line) {}
  Target target;
  ExpressionPtr value;
};

struct SetBlock : Statement {
  explicit SetBlock(std::uint32_t line) : Statement(Kind::set_block, line) {}
  Target target;
  std::vector<Suffix> filters;
  Body body;
};

/// The definition of a macro, or of what a call block gives to its macro.
struct MacroNode {
  struct Parameter {
    std::string name;
    Symbol symbol = 0;
    ExpressionPtr fallback;  ///< null: undefined
  };
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  // The symbols of the names that a macro may use without declaring them; absent: it does not.
  std::optional<Symbol> caller;
  std::optional<Symbol> varargs;
  std::optional<Symbol> kwargs;
};

struct MacroStatement : Statement {
  explicit MacroStatement(std::uint32_t line) : Statement(Kind::macro, line) {}
  Symbol symbol = 0;
  MacroNode macro;
};

struct CallStatement : Statement {
  explicit CallStatement(std::uint32_t line) : Statement(Kind::call, line) {}
  MacroNode caller;
  std::unique_ptr<Chain> call;  ///< ends in a call
};

struct FilterStatement : Statement {
  explicit FilterStatement(std::uint32_t line) : Statement(Kind::filter, line) {}
  std::vector<Suffix> filters;
  Body body;
};

struct WithStatement : Statement {
  explicit WithStatement(std::uint32_t line) : Statement(Kind::with, line) {}
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Body body;
};

/// A body with variables of its own: a generation block.
struct ScopeStatement : Statement {
  explicit ScopeStatement(std::uint32_t line) : Statement(Kind::scope, line) {}
  Body body;
};

struct JumpStatement : Statement {
  using Statement::Statement;
};

struct ParsedTemplate {
  Body body;
  std::map<std::string, Symbol, std::less<>> symbols;
};

}  // namespace sluice::jinja
