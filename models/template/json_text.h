// Values from JSON, and as JSON: Python's json.dumps.
#pragma once

#include "base/result.h"
#include "models/template/runtime.h"

#include <boost/json/value.hpp>

namespace sluice::jinja {

/// Copies a JSON value into `heap`; all its texts and scalars are untrusted. Integers beyond 63
/// bits become floating-point numbers. Errors: invalid_argument (nests deeper than 64 levels).
Result<Value> value_from_json(ValueHeap& heap, const boost::json::value& json);

/// The arguments of json.dumps.
struct JsonStyle {
  bool ascii = false;  ///< escape everything beyond ASCII
  bool sort_keys = false;
  bool has_indent = false;  ///< one entry a line, each level behind `indent`
  Text indent;
  Text between = Text::trusted(", ");
  Text after_key = Text::trusted(": ");
};
/// Fails for what has no JSON form.
void write_json(Runtime& runtime, const Value& value, const JsonStyle& style, TextBuilder& out);

}  // namespace sluice::jinja
