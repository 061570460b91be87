#include "models/template/evaluator.h"

#include "models/template/evaluation_depth.h"
#include "models/template/failure.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::jinja {
namespace {

constexpr Symbol kNoSymbol = UINT32_MAX;
constexpr std::size_t kOutputExpected = 256;

Symbol symbol_of(const ParsedTemplate& parsed, std::string_view name) {
  auto found = parsed.symbols.find(name);
  return found == parsed.symbols.end() ? kNoSymbol : found->second;
}

}  // namespace

Value* Scope::find(Symbol symbol) const {
  for (std::uint32_t i = 0; i < size; ++i)
    if (data[i].symbol == symbol) return &data[i].value;
  return nullptr;
}

Evaluator::Evaluator(Runtime& runtime, const ParsedTemplate& parsed, std::size_t output_bytes_max)
    : runtime_(runtime),
      parsed_(parsed),
      output_bytes_max_(output_bytes_max),
      loop_symbol_(symbol_of(parsed, "loop")),
      output_(runtime.heap(), kOutputExpected) {}

void Evaluator::define(std::string_view name, const Value& value) {
  Symbol symbol = symbol_of(parsed_, name);
  if (symbol != kNoSymbol) set(root_, symbol, value);
}

Scope* Evaluator::new_scope(Scope* parent) {
  Scope* scope = runtime_.heap().make<Scope>();
  scope->parent = parent;
  return scope;
}

void Evaluator::set(Scope& scope, Symbol symbol, const Value& value) {
  if (Value* present = scope.find(symbol)) {
    *present = value;
    return;
  }
  if (scope.size == scope.capacity) {
    std::uint32_t capacity = std::max(4U, scope.capacity * 2);
    auto* data = runtime_.heap().allocate<Scope::Variable>(capacity);
    std::uninitialized_copy_n(scope.data, scope.size, data);
    scope.data = data;
    scope.capacity = capacity;
  }
  new (scope.data + scope.size++) Scope::Variable{symbol, value};
}

void Evaluator::run() {
  run(parsed_.body, root_);
}

void Evaluator::write(const Text& text) {
  if (sink_ == &output_ && text.size > output_bytes_max_ - output_.size())
    fail_bound("writes more than " + std::to_string(output_bytes_max_) + " bytes");
  runtime_.spend_bytes(text.size);
  sink_->append(text);
}

Evaluator::Flow Evaluator::run(const Body& body, Scope& scope) {
  Depth depth(*this);
  for (const auto& statement : body) {
    runtime_.step();
    try {
      Flow flow = run(*statement, scope);
      if (flow != Flow::next) return flow;
    } catch (TemplateFailure& failure) {
      if (failure.line == 0) failure.line = statement->line;
      throw;
    }
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::run(const Statement& statement, Scope& scope) {
  switch (statement.kind) {
    case Statement::Kind::text:
      write(Text::trusted(static_cast<const TextStatement&>(statement).text));
      break;
    case Statement::Kind::print:
      write(
          runtime_.to_text(evaluate(*static_cast<const PrintStatement&>(statement).value, scope)));
      break;
    case Statement::Kind::branch:
      return run_branch(static_cast<const Branch&>(statement), scope);
    case Statement::Kind::loop:
      return run_loop(static_cast<const LoopStatement&>(statement), scope);
    case Statement::Kind::set: {
      const auto& set = static_cast<const SetStatement&>(statement);
      assign(set.target, evaluate(*set.value, scope), scope);
      break;
    }
    case Statement::Kind::set_block:
      run_set_block(static_cast<const SetBlock&>(statement), scope);
      break;
    case Statement::Kind::macro: {
      const auto& macro = static_cast<const MacroStatement&>(statement);
      set(scope, macro.symbol, macro_of(macro.macro, scope));
      break;
    }
    case Statement::Kind::call:
      run_call(static_cast<const CallStatement&>(statement), scope);
      break;
    case Statement::Kind::filter:
      return run_filter(static_cast<const FilterStatement&>(statement), scope);
    case Statement::Kind::with:
      return run_with(static_cast<const WithStatement&>(statement), scope);
    case Statement::Kind::scope:
      return run(static_cast<const ScopeStatement&>(statement).body, *new_scope(&scope));
    case Statement::Kind::break_loop:
      return Flow::break_loop;
    case Statement::Kind::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::run_branch(const Branch& branch, Scope& scope) {
  for (const auto& [condition, body] : branch.choices)
    if (is_true(evaluate(*condition, scope))) return run(body, scope);
  return run(branch.otherwise, scope);
}

/// What a loop goes through: all elements, or those for which its condition holds.
const List* Evaluator::loop_items(const LoopStatement& statement, Scope& scope) {
  const List* all = runtime_.iterate(evaluate(*statement.iterable, scope));
  if (statement.condition == nullptr) return all;
  List* chosen = runtime_.heap().list(Shape::tuple);
  Scope* inner = new_scope(&scope);
  for (std::uint32_t i = 0; i < all->size; ++i) {
    runtime_.step();
    assign(statement.target, all->at(i), *inner);
    if (is_true(evaluate(*statement.condition, *inner))) runtime_.heap().append(chosen, all->at(i));
  }
  return chosen;
}

Evaluator::Flow Evaluator::run_loop(const LoopStatement& statement, Scope& scope) {
  const List* items = loop_items(statement, scope);
  Value loop;
  loop.kind = Kind::loop;
  loop.loop = runtime_.heap().make<Loop>();
  loop.loop->items = items;
  Scope* inner = nullptr;
  bool any_whole = false;
  for (std::uint32_t i = 0; i < items->size; ++i) {
    runtime_.step();
    // Each round has variables of its own. What no macro can hold on to is used again.
    if (inner == nullptr || statement.keeps_scopes) inner = new_scope(&scope);
    inner->size = 0;
    loop.loop->index = i;
    if (loop_symbol_ != kNoSymbol) set(*inner, loop_symbol_, loop);
    assign(statement.target, items->at(i), *inner);
    Flow flow = run(statement.body, *inner);
    any_whole = any_whole || flow == Flow::next;
    if (flow == Flow::break_loop) break;
  }
  // To Jinja a round counts only if its end was reached.
  return any_whole ? Flow::next : run(statement.otherwise, *new_scope(&scope));
}

Evaluator::Flow Evaluator::capture(const Body& body, Scope& scope, Value& captured) {
  TextBuilder inside(runtime_.heap());
  TextBuilder* outside = std::exchange(sink_, &inside);
  Flow flow = run(body, scope);
  sink_ = outside;
  captured = inside.finish(runtime_.heap());
  return flow;
}

void Evaluator::run_set_block(const SetBlock& statement, Scope& scope) {
  Value value;
  capture(statement.body, *new_scope(&scope), value);
  assign(statement.target, apply_filters(value, statement.filters, scope), scope);
}

void Evaluator::run_call(const CallStatement& statement, Scope& scope) {
  Value caller = macro_of(statement.caller, scope);
  write(runtime_.to_text(evaluate_chain(*statement.call, scope, &caller)));
}

Evaluator::Flow Evaluator::run_filter(const FilterStatement& statement, Scope& scope) {
  Value value;
  Flow flow = capture(statement.body, *new_scope(&scope), value);
  if (flow == Flow::next) write(runtime_.to_text(apply_filters(value, statement.filters, scope)));
  return flow;
}

Evaluator::Flow Evaluator::run_with(const WithStatement& statement, Scope& scope) {
  Scope* inner = new_scope(&scope);
  for (const auto& [target, value] : statement.assignments)
    assign(target, evaluate(*value, scope), *inner);
  return run(statement.body, *inner);
}

void Evaluator::assign(const Target& target, const Value& value, Scope& scope) {
  if (!target.parts.empty()) {
    const List* parts = runtime_.iterate(value);
    if (parts->size != target.parts.size())
      fail("cannot unpack " + std::to_string(parts->size) + " values into " +
           std::to_string(target.parts.size()));
    for (std::size_t i = 0; i < target.parts.size(); ++i)
      assign(target.parts[i], parts->at(i), scope);
    return;
  }
  if (target.attribute.empty()) {
    set(scope, target.symbol, value);
    return;
  }
  const Value* space = nullptr;
  for (const Scope* at = &scope; at != nullptr && space == nullptr; at = at->parent)
    space = at->find(target.symbol);
  if (space == nullptr) fail("'" + target.name + "' is undefined");
  if (!space->is(Kind::space))
    fail("only attributes of a namespace can be set, and '" + target.name + "' is a " +
         std::string(type_name(*space)));
  runtime_.heap().set(space->dict, Value::trusted(target.attribute), value);
}

}  // namespace sluice::jinja
