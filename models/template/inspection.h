// What a parsed template uses, read from its tree.
#pragma once

#include "models/template/ast.h"

#include <string_view>

namespace sluice::jinja {

/// Whether it reads a variable of that name from its context: anywhere, but not where a macro's
/// parameter has the name.
bool reads_variable(const ParsedTemplate& parsed, std::string_view name);
/// Whether it compares something with the text: by an operator, as an element of a list or a key
/// of a dict, or as an argument of a filter or test.
bool compares_with(const ParsedTemplate& parsed, std::string_view text);

}  // namespace sluice::jinja
