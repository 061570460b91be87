// What a request means, whichever wire it came by. START HERE.
#pragma once

#include "admission/degradation_effects.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/plan.h"
#include "base/priority_class.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

struct Conversation;

/// One prompt: text, token ids, or a conversation, which the model's template makes into text.
using Prompt = std::variant<std::string, std::vector<TokenId>, std::shared_ptr<const Conversation>>;

/// A validated wish for text. Ranges are checked; what depends on the model (vocabulary, context)
/// is not yet. How the answer is written is its wire's own affair: `AnswerWriter`.
struct GenerationRequest {
  std::string request_id;            ///< X-Request-Id
  std::optional<std::string> model;  ///< as the client named it
  std::vector<Prompt> prompts;       ///< 1..128
  bool begins_text = false;          ///< what is generated is a text of its own: a chat's answer
  std::optional<std::uint32_t>
      max_tokens;              ///< absent: the default, clamped to the room that is left
  bool fills_context = false;  ///< the default is all the room that is left
  /// Of prompt and answers, what its tenant may use at once: the default is no more than that.
  std::optional<std::uint64_t> tokens_most = {};
  std::uint32_t min_tokens = 0;
  std::uint32_t n = 1;
  bool stream = false;               ///< its client reads while it is computed
  SamplingParams sampling;           ///< seed is filled in below
  std::optional<std::int64_t> seed;  ///< absent: drawn by the session
  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids;
  bool ignore_eos = false;
  bool skip_special_tokens = true;
  bool include_stop = false;  ///< include_stop_str_in_output
  std::optional<std::uint32_t> truncate_prompt_tokens;
  std::optional<std::uint32_t> logprobs;
  bool echo = false;
  bool token_ids = false;  ///< pieces are to name their tokens
  PriorityClass priority_class = PriorityClass::realtime;
  std::int32_t priority = 0;  ///< order inside the class, lower first
  std::string user;
  bool allow_degraded = true;       ///< rather a lesser answer under overload than none
  Degradation degradation;          ///< decided when it comes, not its client's affair
  bool partial_ok = false;          ///< x-sluice-partial-ok
  std::optional<Duration> timeout;  ///< from arrival to the last token; always set by the parser
  bool client_deadline = false;     ///< it is the client's wish, not the server's limit
};

/// Why a request is refused or ended without a result; exactly what the client sees.
struct ApiError {
  int status = 500;
  std::string code;  ///< of the closed list in `errors.h`
  std::string message;
  std::optional<std::string> param;
  std::optional<Duration> retry_after;
  bool never_retry = false;  ///< x-should-retry: false
  std::string allow = {};    ///< the methods of the path, with 405

  /// The `type` that goes with status and code.
  [[nodiscard]] std::string type() const;
};

/// A piece of one choice that may be shown: text, and log probabilities in step with it.
struct ChoiceDelta {
  struct Logprob {
    std::string token;                               ///< its bytes, not always whole characters
    std::optional<float> logprob;                    ///< none for the first token of a prompt
    std::vector<std::pair<std::string, float>> top;  ///< bytes of the most likely tokens
    std::size_t text_offset = 0;  ///< code points from the start of the returned text
  };
  std::uint32_t index = 0;  ///< of the choice
  std::string text;
  /// Taken since the piece before, if asked for: also those whose text waits for what follows.
  std::vector<TokenId> tokens;
  std::vector<Logprob> logprobs;
  std::optional<std::string> finish_reason;  ///< "stop", "length"; on the last piece only
  std::optional<std::variant<std::string, TokenId>> stop_reason;  ///< stop string, or stop token id
};

struct Usage {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  std::uint64_t cached_tokens = 0;
  /// How the answer was degraded, of what could be done only what was; none: it was not.
  std::optional<Degradation> degraded = {};
};

}  // namespace sluice
