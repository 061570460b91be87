#include "models/template/builtin.h"

namespace sluice::jinja {
namespace {

// ChatML: each turn in a frame that begins with the role.
constexpr std::string_view kChatml = R"jinja(
{%- for message in messages -%}
  {{- '<|im_start|>' ~ ('system' if message.role == 'developer' else message.role) ~ '\n' ~ message.content ~ '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
)jinja";

// Llama 2: questions in [INST], each exchange between bos and eos, the system text inside the first
// question.
constexpr std::string_view kLlama2 = R"jinja(
{%- set has_system = messages and messages[0].role in ['system', 'developer'] -%}
{%- set turns = messages[1:] if has_system else messages -%}
{%- if has_system and not turns -%}
  {{- raise_exception('a system message needs a message of the user behind it') -}}
{%- endif -%}
{%- for message in turns -%}
  {%- if message.role != ['user', 'assistant'][loop.index0 % 2] -%}
    {{- raise_exception('user and assistant have to take turns, and message ' ~ loop.index ~ ' is out of order') -}}
  {%- endif -%}
  {%- if message.role == 'user' -%}
    {%- set system = '<<SYS>>\n' ~ messages[0].content ~ '\n<</SYS>>\n\n' if has_system and loop.first else '' -%}
    {{- bos_token ~ '[INST] ' ~ (system ~ message.content) | trim ~ ' [/INST]' -}}
  {%- else -%}
    {{- ' ' ~ message.content | trim ~ ' ' ~ eos_token -}}
  {%- endif -%}
{%- endfor -%}
)jinja";

// Llama 3: a header with the role, then the content.
constexpr std::string_view kLlama3 = R"jinja(
{{- bos_token -}}
{%- for message in messages -%}
  {%- set role = 'system' if message.role == 'developer' else message.role -%}
  {{- '<|start_header_id|>' ~ role ~ '<|end_header_id|>\n\n' ~ message.content | trim ~ '<|eot_id|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' -}}{%- endif -%}
)jinja";

// Mistral: one bos, questions in [INST]; a system text leads the last question.
constexpr std::string_view kMistral = R"jinja(
{%- set has_system = messages and messages[0].role in ['system', 'developer'] -%}
{%- set turns = messages[1:] if has_system else messages -%}
{%- if has_system and not turns -%}
  {{- raise_exception('a system message needs a message of the user behind it') -}}
{%- endif -%}
{{- bos_token -}}
{%- for message in turns -%}
  {%- if message.role != ['user', 'assistant'][loop.index0 % 2] -%}
    {{- raise_exception('user and assistant have to take turns, and message ' ~ loop.index ~ ' is out of order') -}}
  {%- endif -%}
  {%- if message.role == 'user' -%}
    {{- '[INST] ' ~ (messages[0].content ~ '\n\n' if has_system and loop.revindex0 < 2) ~ message.content ~ '[/INST]' -}}
  {%- else -%}
    {{- ' ' ~ message.content | trim ~ eos_token -}}
  {%- endif -%}
{%- endfor -%}
)jinja";

// Gemma: two speakers, user and model; a system text leads the first question.
constexpr std::string_view kGemma = R"jinja(
{%- set has_system = messages and messages[0].role in ['system', 'developer'] -%}
{%- set turns = messages[1:] if has_system else messages -%}
{%- if has_system and not turns -%}
  {{- raise_exception('a system message needs a message of the user behind it') -}}
{%- endif -%}
{{- bos_token -}}
{%- for message in turns -%}
  {%- if message.role != ['user', 'assistant'][loop.index0 % 2] -%}
    {{- raise_exception('user and assistant have to take turns, and message ' ~ loop.index ~ ' is out of order') -}}
  {%- endif -%}
  {%- set lead = messages[0].content ~ '\n\n' if has_system and loop.first else '' -%}
  {{- '<start_of_turn>' ~ ('user' if message.role == 'user' else 'model') ~ '\n' -}}
  {{- lead ~ message.content | trim ~ '<end_of_turn>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<start_of_turn>model\n' -}}{%- endif -%}
)jinja";

// Zephyr: the role in bars on a line of its own, eos behind each turn.
constexpr std::string_view kZephyr = R"jinja(
{%- for message in messages -%}
  {{- '<|' ~ ('system' if message.role == 'developer' else message.role) ~ '|>\n' ~ message.content ~ eos_token ~ '\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>\n' -}}{%- endif -%}
)jinja";

// DeepSeek V3 and R1: system texts first, then marks for the two speakers.
constexpr std::string_view kDeepseek = R"jinja(
{{- bos_token -}}
{{- messages | selectattr('role', 'in', ['system', 'developer']) | map(attribute='content') | join('\n\n') -}}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}
    {{- '<｜User｜>' ~ message.content -}}
  {%- elif message.role == 'assistant' -%}
    {{- '<｜Assistant｜>' ~ (message.content or '').split('</think>')[-1] ~ eos_token -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<｜Assistant｜>' -}}{%- endif -%}
)jinja";

// Plain: for models without control tokens.
constexpr std::string_view kPlain = R"jinja(
{%- for message in messages -%}
  {{- (message.role | capitalize) ~ ': ' ~ message.content | trim ~ '\n\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}
)jinja";

constexpr BuiltinTemplate kTemplates[] = {
    {"chatml", kChatml},
    {"llama2", kLlama2},
    {"llama3", kLlama3},
    {"mistral", kMistral},
    {"gemma", kGemma},
    {"zephyr", kZephyr},
    {"deepseek", kDeepseek},
    {"plain", kPlain},
};

}  // namespace

std::span<const BuiltinTemplate> builtin_templates() {
  return kTemplates;
}

std::string_view find_builtin_template(std::string_view name) {
  for (const BuiltinTemplate& each : kTemplates)
    if (each.name == name) return each.text;
  return {};
}

}  // namespace sluice::jinja
