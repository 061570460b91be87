// The filters of a template, by name.
#pragma once

#include "models/template/runtime.h"

#include <string_view>

namespace sluice::jinja {

using Filter = Value (*)(Runtime& runtime, const Value& input, const Arguments& arguments);

/// The filter of that name, or null.
Filter find_filter(std::string_view name);
/// Those of texts and numbers, and those of lists and dicts: two files behind one name.
Filter find_text_filter(std::string_view name);
Filter find_list_filter(std::string_view name);

}  // namespace sluice::jinja
