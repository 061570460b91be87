#include "api/body_fields.h"

#include <algorithm>
#include <iterator>

namespace sluice {
namespace {

using F = BodyField;
using U = FieldUse;

/// A field in both interfaces: in text completions, and in chat.
struct Row {
  std::string_view name;
  FieldUse completion;
  FieldUse chat;
  BodyField field = BodyField::model;
};

/// Sorted by name.
constexpr Row kRows[] = {
    {"add_generation_prompt", U::unknown, U::read, F::add_generation_prompt},
    {"allow_degraded", U::read, U::read, F::allow_degraded},
    {"audio", U::only_null, U::only_null},
    {"best_of", U::read, U::unknown, F::best_of},
    {"chat_template", U::unknown, U::only_null},
    {"chat_template_kwargs", U::unknown, U::read, F::chat_template_kwargs},
    {"continue_final_message", U::unknown, U::read, F::continue_final_message},
    {"documents", U::unknown, U::only_null},
    {"echo", U::read, U::unknown, F::echo},
    {"frequency_penalty", U::read, U::read, F::frequency_penalty},
    {"function_call", U::only_none, U::only_none},
    {"functions", U::only_null, U::only_null},
    {"guided_choice", U::only_null, U::only_null},
    {"guided_decoding_backend", U::only_null, U::only_null},
    {"guided_grammar", U::only_null, U::only_null},
    {"guided_json", U::only_null, U::only_null},
    {"guided_regex", U::only_null, U::only_null},
    {"guided_whitespace_pattern", U::only_null, U::only_null},
    {"ignore_eos", U::read, U::read, F::ignore_eos},
    {"include_stop_str_in_output", U::read, U::read, F::include_stop_str_in_output},
    {"logit_bias", U::read, U::read, F::logit_bias},
    {"logprobs", U::read, U::read, F::logprobs},
    {"max_completion_tokens", U::read, U::read, F::max_completion_tokens},
    {"max_tokens", U::read, U::read, F::max_tokens},
    {"messages", U::unknown, U::read, F::messages},
    {"metadata", U::read, U::read, F::metadata},
    {"min_p", U::read, U::read, F::min_p},
    {"min_tokens", U::read, U::read, F::min_tokens},
    {"mm_processor_kwargs", U::unknown, U::only_null},
    {"modalities", U::without_audio, U::without_audio},
    {"model", U::read, U::read, F::model},
    {"moderation", U::only_null, U::only_null},
    {"n", U::read, U::read, F::n},
    {"parallel_tool_calls", U::anything, U::anything},
    {"prediction", U::only_null, U::only_null},
    {"presence_penalty", U::read, U::read, F::presence_penalty},
    {"priority", U::read, U::read, F::priority},
    {"prompt", U::read, U::unknown, F::prompt},
    {"prompt_cache_key", U::anything, U::anything},
    {"prompt_embeds", U::only_null, U::unknown},
    {"reasoning_effort", U::only_null, U::only_null},
    {"repetition_penalty", U::read, U::read, F::repetition_penalty},
    {"response_format", U::read, U::read, F::response_format},
    {"safety_identifier", U::anything, U::anything},
    {"seed", U::read, U::read, F::seed},
    {"service_tier", U::read, U::read, F::service_tier},
    {"skip_special_tokens", U::read, U::read, F::skip_special_tokens},
    {"stop", U::read, U::read, F::stop},
    {"stop_token_ids", U::read, U::read, F::stop_token_ids},
    {"store", U::only_false, U::only_false},
    {"stream", U::read, U::read, F::stream},
    {"stream_interval", U::read, U::read, F::stream_interval},
    {"stream_options", U::read, U::read, F::stream_options},
    {"structured_outputs", U::only_null, U::only_null},
    {"suffix", U::read, U::unknown, F::suffix},
    {"temperature", U::read, U::read, F::temperature},
    {"tool_choice", U::only_none, U::read, F::tool_choice},
    {"tools", U::only_null, U::read, F::tools},
    {"top_k", U::read, U::read, F::top_k},
    {"top_logprobs", U::unknown, U::read, F::top_logprobs},
    {"top_p", U::read, U::read, F::top_p},
    {"truncate_prompt_tokens", U::read, U::read, F::truncate_prompt_tokens},
    {"typical_p", U::read, U::read, F::typical_p},
    {"use_beam_search", U::only_false, U::only_false},
    {"user", U::read, U::read, F::user},
    {"verbosity", U::unknown, U::only_null},
    {"web_search_options", U::only_absent, U::only_absent},
};

static_assert(std::is_sorted(std::begin(kRows), std::end(kRows), [](auto& a, auto& b) {
  return a.name < b.name;
}));

}  // namespace

FieldRule find_field(AnswerKind kind, std::string_view name) {
  const auto* at =
      std::lower_bound(std::begin(kRows), std::end(kRows), name, [](const auto& row, auto key) {
        return row.name < key;
      });
  if (at != std::end(kRows) && at->name == name)
    return {kind == AnswerKind::chat ? at->chat : at->completion, at->field};
  // Constrained decoding has more names than anyone lists.
  if (name.starts_with("guided_")) return {U::only_null};
  return {};
}

bool is_harmless(FieldUse use, JsonTape::Value value) {
  if (value.is(JsonKind::null)) return true;
  switch (use) {
    case U::read:
    case U::unknown:
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
