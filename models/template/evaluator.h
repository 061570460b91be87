// Runs a parsed template: one rendering.
#pragma once

#include "models/template/ast.h"
#include "models/template/runtime.h"
#include "models/template/text.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace sluice::jinja {

/// The variables of a stretch of template, and what lies around it.
struct Scope {
  struct Variable {
    Symbol symbol;
    Value value;
  };
  Scope* parent = nullptr;
  Variable* data = nullptr;
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;

  /// The variable of this scope alone, or null.
  [[nodiscard]] Value* find(Symbol symbol) const;
};

/// Not thread-safe; throws TemplateFailure with the line.
class Evaluator {
 public:
  Evaluator(Runtime& runtime, const ParsedTemplate& parsed, std::size_t output_bytes_max);

  /// A variable of the context; one that the template does not name is left out.
  void define(std::string_view name, const Value& value);
  void run();
  [[nodiscard]] TextBuilder& output() { return output_; }

 private:
  enum class Flow : std::uint8_t { next, break_loop, continue_loop };
  class Depth;

  // Statements (evaluator.cc).
  Flow run(const Body& body, Scope& scope);
  Flow run(const Statement& statement, Scope& scope);
  Flow run_branch(const Branch& branch, Scope& scope);
  Flow run_loop(const LoopStatement& statement, Scope& scope);
  void run_set_block(const SetBlock& statement, Scope& scope);
  void run_call(const CallStatement& statement, Scope& scope);
  Flow run_filter(const FilterStatement& statement, Scope& scope);
  Flow run_with(const WithStatement& statement, Scope& scope);
  const List* loop_items(const LoopStatement& statement, Scope& scope);
  void assign(const Target& target, const Value& value, Scope& scope);
  void write(const Text& text);
  /// Runs a body whose output is wanted as a value.
  Flow capture(const Body& body, Scope& scope, Value& captured);

  // Expressions (expression_evaluator.cc).
  Value evaluate(const Expression& expression, Scope& scope);
  Value evaluate_name(const Name& name, Scope& scope);
  Value evaluate_list(const ListExpression& list, Scope& scope);
  Value evaluate_dict(const DictExpression& dict, Scope& scope);
  Value evaluate_comparison(const Operation& comparison, Scope& scope);
  Value evaluate_logical(const Logical& logical, Scope& scope);
  /// A chain; `caller` is given to its last call, if there is one.
  Value evaluate_chain(const Chain& chain, Scope& scope, const Value* caller = nullptr);
  Value apply_suffix(const Value& value, const Suffix& suffix, Scope& scope);
  Value apply_filters(Value value, const std::vector<Suffix>& filters, Scope& scope);
  Arguments evaluate_arguments(const CallArguments& arguments,
                               Scope& scope,
                               const Value* caller = nullptr);
  Value call(const Value& callee, const Arguments& arguments);
  Value call_macro(const Function& function, const Arguments& arguments);
  void bind_parameters(const MacroNode& macro, const Arguments& arguments, Scope& scope);
  Value macro_of(const MacroNode& macro, Scope& scope);

  Scope* new_scope(Scope* parent);
  void set(Scope& scope, Symbol symbol, const Value& value);

  Runtime& runtime_;
  const ParsedTemplate& parsed_;
  std::size_t output_bytes_max_;
  Symbol loop_symbol_;
  Scope root_;
  TextBuilder output_;
  TextBuilder* sink_ = &output_;  // where text goes now
  int depth_ = 0;
  int macro_depth_ = 0;
};

}  // namespace sluice::jinja
