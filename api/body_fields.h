// The fields of the bodies that ask for text, by name: read, accepted without effect, or not
// supported.
#pragma once

#include "api/answer_format.h"
#include "api/json_tape.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

/// Fields that are read, in the order in which they are checked.
enum class BodyField : std::uint8_t {
  model,
  prompt,
  messages,
  tools,
  tool_choice,
  chat_template_kwargs,
  add_generation_prompt,
  continue_final_message,
  max_tokens,
  max_completion_tokens,
  n,
  best_of,
  stream,
  stream_options,
  temperature,
  top_p,
  top_k,
  min_p,
  typical_p,
  repetition_penalty,
  min_tokens,
  ignore_eos,
  stop_token_ids,
  skip_special_tokens,
  include_stop_str_in_output,
  truncate_prompt_tokens,
  seed,
  stop,
  logprobs,
  top_logprobs,
  echo,
  presence_penalty,
  frequency_penalty,
  logit_bias,
  suffix,
  user,
  service_tier,
  priority,
  metadata,
  response_format,
  stream_interval,
  allow_degraded,
};
constexpr std::size_t kBodyFields = static_cast<std::size_t>(BodyField::allow_degraded) + 1;

/// What is done with a field. All but `read` and `unknown` name the values without effect; every
/// other value of such a field would change the output in a way this server cannot.
enum class FieldUse : std::uint8_t {
  read,
  unknown,        ///< no field of this interface
  only_null,      ///< null; [] and {}, which say as much
  only_absent,    ///< null alone: {} asks for something
  only_false,     ///< false, null
  only_none,      ///< "none", null
  without_audio,  ///< arrays without "audio", null
  anything,       ///< accepted, no effect
};

/// What becomes of a field in a body.
struct FieldRule {
  FieldUse use = FieldUse::unknown;
  BodyField field = BodyField::model;  ///< with FieldUse::read
};

/// The rule of a field in the bodies of text completions, or of chat.
[[nodiscard]] FieldRule find_field(AnswerKind kind, std::string_view name);

/// Whether a field that is not read has a value without effect.
[[nodiscard]] bool is_harmless(FieldUse use, JsonTape::Value value);

}  // namespace sluice
