// The values of expressions.
#include "models/template/evaluation_depth.h"
#include "models/template/evaluator.h"
#include "models/template/failure.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sluice::jinja {
namespace {

constexpr int kMacroDepthMax = 64;

Value function_value(Function* function) {
  Value value;
  value.kind = Kind::function;
  value.function = function;
  return value;
}

}  // namespace

Value Evaluator::evaluate(const Expression& expression, Scope& scope) {
  Depth depth(*this);
  runtime_.step();
  switch (expression.kind) {
    case Expression::Kind::literal:
      return static_cast<const Literal&>(expression).value;
    case Expression::Kind::name:
      return evaluate_name(static_cast<const Name&>(expression), scope);
    case Expression::Kind::list:
      return evaluate_list(static_cast<const ListExpression&>(expression), scope);
    case Expression::Kind::dict:
      return evaluate_dict(static_cast<const DictExpression&>(expression), scope);
    case Expression::Kind::chain:
      return evaluate_chain(static_cast<const Chain&>(expression), scope);
    case Expression::Kind::sign: {
      const auto& sign = static_cast<const SignExpression&>(expression);
      Value operand = evaluate(*sign.operand, scope);
      // Plus is minus twice, which also refuses what is no number.
      return sign.is_minus ? negate(operand) : negate(negate(operand));
    }
    case Expression::Kind::negation:
      return Value::of(
          !is_true(evaluate(*static_cast<const Negation&>(expression).operand, scope)));
    case Expression::Kind::arithmetic: {
      const auto& operation = static_cast<const Operation&>(expression);
      Value value = evaluate(*operation.first, scope);
      for (const auto& [op, operand] : operation.rest)
        value = apply(runtime_, op, value, evaluate(*operand, scope));
      return value;
    }
    case Expression::Kind::concatenation: {
      Text text;
      for (const ExpressionPtr& part : static_cast<const Concatenation&>(expression).parts) {
        Text tail = runtime_.to_text(evaluate(*part, scope));
        runtime_.spend_bytes(std::size_t(text.size) + tail.size);
        text = runtime_.heap().join(text, tail);
      }
      return Value::of(text);
    }
    case Expression::Kind::comparison:
      return evaluate_comparison(static_cast<const Operation&>(expression), scope);
    case Expression::Kind::logical:
      return evaluate_logical(static_cast<const Logical&>(expression), scope);
    case Expression::Kind::conditional: {
      const auto& conditional = static_cast<const Conditional&>(expression);
      if (is_true(evaluate(*conditional.condition, scope)))
        return evaluate(*conditional.then, scope);
      if (conditional.otherwise != nullptr) return evaluate(*conditional.otherwise, scope);
      return Value::undefined(Text::trusted("the value of an 'if' without 'else'"));
    }
  }
  return {};
}

Value Evaluator::evaluate_name(const Name& name, Scope& scope) {
  for (const Scope* at = &scope; at != nullptr; at = at->parent)
    if (const Value* value = at->find(name.symbol)) return *value;
  if (!name.builtin) return Value::undefined(Text::trusted(name.name));
  Function* function = runtime_.heap().make<Function>();
  function->type = Function::Type::builtin;
  function->builtin = *name.builtin;
  return function_value(function);
}

Value Evaluator::evaluate_list(const ListExpression& list, Scope& scope) {
  List* values = runtime_.heap().list(list.shape, list.elements.size());
  for (const ExpressionPtr& element : list.elements)
    runtime_.heap().append(values, evaluate(*element, scope));
  return Value::of(values);
}

Value Evaluator::evaluate_dict(const DictExpression& expression, Scope& scope) {
  Dict* dict = runtime_.heap().dict(expression.entries.size());
  for (const auto& [key_expression, value_expression] : expression.entries) {
    Value key = evaluate(*key_expression, scope);
    if (key.is(Kind::list) || key.is(Kind::dict))
      fail("a " + std::string(type_name(key)) + " cannot be a key of a dict");
    runtime_.heap().set(dict, key, evaluate(*value_expression, scope));
  }
  return Value::of(dict);
}

Value Evaluator::evaluate_comparison(const Operation& comparison, Scope& scope) {
  Value left = evaluate(*comparison.first, scope);
  Value result;
  for (const auto& [op, operand] : comparison.rest) {
    Value right = evaluate(*operand, scope);
    result = apply(runtime_, op, left, right);
    if (!is_true(result)) break;
    left = right;
  }
  return result;
}

Value Evaluator::evaluate_logical(const Logical& logical, Scope& scope) {
  Value value;
  for (const ExpressionPtr& part : logical.parts) {
    value = evaluate(*part, scope);
    if (is_true(value) != logical.is_and) break;
  }
  return value;
}

Value Evaluator::evaluate_chain(const Chain& chain, Scope& scope, const Value* caller) {
  Value value = evaluate(*chain.base, scope);
  for (std::size_t i = 0; i < chain.suffixes.size(); ++i) {
    runtime_.step();
    const Suffix& suffix = chain.suffixes[i];
    bool is_last = i + 1 == chain.suffixes.size();
    if (suffix.kind == Suffix::Kind::call) {
      value = call(value, evaluate_arguments(suffix.arguments, scope, is_last ? caller : nullptr));
      continue;
    }
    // A method that is called at once needs no value of its own.
    bool is_method_call = suffix.kind == Suffix::Kind::attribute && suffix.method && !is_last &&
                          chain.suffixes[i + 1].kind == Suffix::Kind::call && caller == nullptr &&
                          has_method(value, *suffix.method);
    if (is_method_call) {
      ++i;
      value = call_method(
          runtime_, value, *suffix.method, evaluate_arguments(chain.suffixes[i].arguments, scope));
      continue;
    }
    value = apply_suffix(value, suffix, scope);
  }
  return value;
}

Value Evaluator::apply_suffix(const Value& value, const Suffix& suffix, Scope& scope) {
  switch (suffix.kind) {
    case Suffix::Kind::attribute:
      return runtime_.attribute(value, suffix.name, suffix.method);
    case Suffix::Kind::item:
      return runtime_.item(value, evaluate(*suffix.key, scope));
    case Suffix::Kind::slice: {
      Value bounds[3];
      const Value* given[3] = {};
      const ExpressionPtr* parts[3] = {&suffix.start, &suffix.stop, &suffix.step};
      for (int i = 0; i < 3; ++i) {
        if (*parts[i] == nullptr) continue;
        bounds[i] = evaluate(**parts[i], scope);
        given[i] = &bounds[i];
      }
      return runtime_.slice(value, given[0], given[1], given[2]);
    }
    case Suffix::Kind::filter:
      if (suffix.filter == nullptr) fail("there is no filter '" + suffix.name + "'");
      return suffix.filter(runtime_, value, evaluate_arguments(suffix.arguments, scope));
    case Suffix::Kind::test: {
      if (suffix.test == nullptr) fail("there is no test '" + suffix.name + "'");
      bool holds = suffix.test(runtime_, value, evaluate_arguments(suffix.arguments, scope));
      return Value::of(holds != suffix.is_negated);
    }
    case Suffix::Kind::call:
      break;
  }
  return call(value, evaluate_arguments(suffix.arguments, scope));
}

Value Evaluator::apply_filters(Value value, const std::vector<Suffix>& filters, Scope& scope) {
  for (const Suffix& filter : filters)
    value = apply_suffix(value, filter, scope);
  return value;
}

Arguments Evaluator::evaluate_arguments(const CallArguments& expressions,
                                        Scope& scope,
                                        const Value* caller) {
  Arguments arguments;
  std::size_t named_count = expressions.named.size() + (caller != nullptr ? 1 : 0);
  if (!expressions.values.empty()) {
    auto* values = runtime_.heap().allocate<Value>(expressions.values.size());
    arguments.values = values;
    for (const ExpressionPtr& expression : expressions.values)
      new (values + arguments.count++) Value(evaluate(*expression, scope));
  }
  if (named_count == 0) return arguments;
  auto* named = runtime_.heap().allocate<NamedArgument>(named_count);
  arguments.named = named;
  for (const auto& [name, expression] : expressions.named)
    new (named + arguments.named_count++) NamedArgument{name, evaluate(*expression, scope)};
  if (caller != nullptr) new (named + arguments.named_count++) NamedArgument{"caller", *caller};
  return arguments;
}

Value Evaluator::call(const Value& callee, const Arguments& arguments) {
  if (callee.is(Kind::undefined)) fail_undefined(callee);
  if (callee.is(Kind::loop)) fail("recursive loops are not supported");
  if (!callee.is(Kind::function)) fail("a " + std::string(type_name(callee)) + " cannot be called");
  Function& function = *callee.function;
  switch (function.type) {
    case Function::Type::builtin:
      return call_builtin(runtime_, function.builtin, arguments);
    case Function::Type::method:
      return call_method(runtime_, function.self, function.method, arguments);
    case Function::Type::macro:
      return call_macro(function, arguments);
    case Function::Type::joiner:
      return call_joiner(function, arguments);
    case Function::Type::cycler:
      break;
  }
  fail("a cycler cannot be called; its method is next()");
}

Value Evaluator::macro_of(const MacroNode& macro, Scope& scope) {
  Function* function = runtime_.heap().make<Function>();
  function->type = Function::Type::macro;
  function->macro = &macro;
  function->scope = &scope;
  return function_value(function);
}

Value Evaluator::call_macro(const Function& function, const Arguments& arguments) {
  const MacroNode& macro = *function.macro;
  if (macro_depth_ == kMacroDepthMax)
    fail_bound("macros call each other deeper than " + std::to_string(kMacroDepthMax) + " levels");
  ++macro_depth_;
  Scope* scope = new_scope(function.scope);
  bind_parameters(macro, arguments, *scope);
  Value result;
  capture(macro.body, *scope, result);
  --macro_depth_;
  return result;
}

void Evaluator::bind_parameters(const MacroNode& macro, const Arguments& arguments, Scope& scope) {
  ValueHeap& heap = runtime_.heap();
  std::size_t declared = macro.parameters.size();
  List* more = heap.list(Shape::tuple);
  for (std::size_t i = declared; i < arguments.count; ++i)
    heap.append(more, arguments.values[i]);
  if (more->size > 0 && !macro.varargs)
    fail("the macro '" + macro.name + "' takes at most " + std::to_string(declared) +
         " arguments, not " + std::to_string(arguments.count));

  // Named arguments, to the parameters or into kwargs.
  Dict* others = heap.dict();
  const Value* caller = nullptr;
  std::vector<const Value*> given(declared);
  for (std::size_t i = 0; i < std::min(declared, arguments.count); ++i)
    given[i] = &arguments.values[i];
  for (std::size_t i = 0; i < arguments.named_count; ++i) {
    const NamedArgument& argument = arguments.named[i];
    auto parameter = std::find_if(macro.parameters.begin(),
                                  macro.parameters.end(),
                                  [&](const auto& p) { return p.name == argument.name; });
    if (parameter != macro.parameters.end()) {
      const Value*& place = given[static_cast<std::size_t>(parameter - macro.parameters.begin())];
      if (place != nullptr)
        fail("the macro '" + macro.name + "' got '" + std::string(argument.name) + "' twice");
      place = &argument.value;
    } else if (argument.name == "caller" && macro.caller) {
      caller = &argument.value;
    } else if (macro.kwargs) {
      heap.set(others, Value::trusted(argument.name), argument.value);
    } else {
      fail("the macro '" + macro.name + "' has no argument '" + std::string(argument.name) + "'");
    }
  }

  // Defaults may use the parameters before them.
  for (std::size_t i = 0; i < declared; ++i) {
    const MacroNode::Parameter& parameter = macro.parameters[i];
    if (given[i] != nullptr) {
      set(scope, parameter.symbol, *given[i]);
    } else if (parameter.fallback != nullptr) {
      set(scope, parameter.symbol, evaluate(*parameter.fallback, scope));
    } else {
      set(scope, parameter.symbol, Value::undefined(Text::trusted(parameter.name)));
    }
  }
  if (macro.caller)
    set(scope,
        *macro.caller,
        caller != nullptr ? *caller : Value::undefined(Text::trusted("caller")));
  if (macro.varargs) set(scope, *macro.varargs, Value::of(more));
  if (macro.kwargs) set(scope, *macro.kwargs, Value::of(others));
}

}  // namespace sluice::jinja
