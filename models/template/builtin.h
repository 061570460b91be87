// Chat templates that come with the server, for models that bring none.
#pragma once

#include <span>
#include <string_view>

namespace sluice::jinja {

struct BuiltinTemplate {
  std::string_view name;
  std::string_view text;
};

/// chatml, llama2, llama3, mistral, gemma, zephyr, deepseek, plain.
std::span<const BuiltinTemplate> builtin_templates();
/// The text of a built-in template; empty for a name that is none.
std::string_view find_builtin_template(std::string_view name);

}  // namespace sluice::jinja
