// The tests of a template ("x is defined"), by name.
#pragma once

#include "models/template/runtime.h"

#include <string_view>

namespace sluice::jinja {

using Test = bool (*)(Runtime& runtime, const Value& value, const Arguments& arguments);

/// The test of that name, or null.
Test find_test(std::string_view name);

}  // namespace sluice::jinja
