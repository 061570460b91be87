#include "api/completion_fields.h"

#include <algorithm>
#include <iterator>

namespace sluice {
namespace {

using F = CompletionField;
using U = FieldUse;

/// Sorted by name.
constexpr FieldRule kRules[] = {
    {"audio", U::only_null},
    {"best_of", U::read, F::best_of},
    {"echo", U::read, F::echo},
    {"frequency_penalty", U::read, F::frequency_penalty},
    {"function_call", U::only_none},
    {"functions", U::only_null},
    {"guided_choice", U::only_null},
    {"guided_decoding_backend", U::only_null},
    {"guided_grammar", U::only_null},
    {"guided_json", U::only_null},
    {"guided_regex", U::only_null},
    {"guided_whitespace_pattern", U::only_null},
    {"ignore_eos", U::read, F::ignore_eos},
    {"include_stop_str_in_output", U::read, F::include_stop_str_in_output},
    {"logit_bias", U::read, F::logit_bias},
    {"logprobs", U::read, F::logprobs},
    {"max_completion_tokens", U::read, F::max_completion_tokens},
    {"max_tokens", U::read, F::max_tokens},
    {"metadata", U::read, F::metadata},
    {"min_p", U::read, F::min_p},
    {"min_tokens", U::read, F::min_tokens},
    {"modalities", U::without_audio},
    {"model", U::read, F::model},
    {"moderation", U::only_null},
    {"n", U::read, F::n},
    {"parallel_tool_calls", U::anything},
    {"prediction", U::only_null},
    {"presence_penalty", U::read, F::presence_penalty},
    {"priority", U::read, F::priority},
    {"prompt", U::read, F::prompt},
    {"prompt_cache_key", U::anything},
    {"prompt_embeds", U::only_null},
    {"reasoning_effort", U::only_null},
    {"repetition_penalty", U::read, F::repetition_penalty},
    {"response_format", U::read, F::response_format},
    {"safety_identifier", U::anything},
    {"seed", U::read, F::seed},
    {"service_tier", U::read, F::service_tier},
    {"skip_special_tokens", U::read, F::skip_special_tokens},
    {"stop", U::read, F::stop},
    {"stop_token_ids", U::read, F::stop_token_ids},
    {"store", U::only_false},
    {"stream", U::read, F::stream},
    {"stream_interval", U::read, F::stream_interval},
    {"stream_options", U::read, F::stream_options},
    {"structured_outputs", U::only_null},
    {"suffix", U::read, F::suffix},
    {"temperature", U::read, F::temperature},
    {"tool_choice", U::only_none},
    {"tools", U::only_null},
    {"top_k", U::read, F::top_k},
    {"top_p", U::read, F::top_p},
    {"truncate_prompt_tokens", U::read, F::truncate_prompt_tokens},
    {"typical_p", U::read, F::typical_p},
    {"use_beam_search", U::only_false},
    {"user", U::read, F::user},
    {"web_search_options", U::only_absent},
};

static_assert(std::is_sorted(std::begin(kRules), std::end(kRules), [](auto& a, auto& b) {
  return a.name < b.name;
}));

}  // namespace

const FieldRule* find_field(std::string_view name) {
  const auto* at =
      std::lower_bound(std::begin(kRules), std::end(kRules), name, [](const auto& rule, auto key) {
        return rule.name < key;
      });
  if (at != std::end(kRules) && at->name == name) return at;
  // Constrained decoding has more names than anyone lists.
  static constexpr FieldRule kGuided{"guided_", U::only_null};
  return name.starts_with(kGuided.name) ? &kGuided : nullptr;
}

bool is_harmless(const FieldRule& rule, JsonTape::Value value) {
  if (value.is(JsonKind::null)) return true;
  switch (rule.use) {
    case U::read:
    case U::anything:
      return true;
    case U::only_null:
      return value.is_empty();
    case U::only_absent:
      return false;
    case U::only_false:
      return value.is(JsonKind::boolean) && !value.boolean();
    case U::only_none:
      return value.is(JsonKind::string) && value.string() == "none";
    case U::without_audio: {
      if (!value.is(JsonKind::array)) return false;
      for (JsonTape::Value entry : value)
        if (!entry.is(JsonKind::string) || entry.string() == "audio") return false;
      return true;
    }
  }
  return false;
}

}  // namespace sluice
