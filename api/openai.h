// The OpenAI interface on the way in: bodies become requests.
#pragma once

#include "admission/tenant.h"
#include "api/answer_format.h"
#include "api/json_tape.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/random.h"
#include "net/http.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

/// Bounds of a request that do not depend on the model.
struct ApiLimits {
  std::uint32_t max_n = 16;
  std::uint32_t max_stop = 16;
  std::uint32_t max_logprobs = 20;
  std::uint32_t max_prompts = 128;
  Duration default_timeout = std::chrono::seconds(120);
  Duration max_timeout = std::chrono::seconds(600);
  bool strict_params = false;  ///< unknown fields are errors, as if every client asked for it
};

/// What the client may ask for: the defaults are those of an anonymous client.
struct ClientRights {
  PriorityClass default_class = PriorityClass::realtime;
  PriorityClass max_class = PriorityClass::realtime;  ///< the best one
  bool may_prioritize = false;                        ///< inside its class

  ///   tenant  may be null: nobody's
  static ClientRights of(const Tenant* tenant) {
    if (tenant == nullptr) return {};
    const TenantPolicy& policy = tenant->policy;
    return {policy.default_class, policy.max_class, policy.may_prioritize};
  }
};

/// What a request says beside its body: over HTTP in its header, over Sluice RPC in its meta.
struct RequestTerms {
  std::string request_id;                           ///< as the answer names it
  std::optional<std::string> timeout_header;        ///< x-request-timeout-ms
  std::optional<std::string> envoy_timeout_header;  ///< x-envoy-expected-rq-timeout-ms
  std::optional<std::uint32_t> deadline_ms;         ///< of Sluice RPC
  bool strict = false;                              ///< x-sluice-strict: 1
  bool partial_ok = false;                          ///< x-sluice-partial-ok: 1

  static RequestTerms of(const HttpRequest& request, std::string request_id);
};

/// All that a body's meaning depends on beside the body.
struct RequestContext : RequestTerms {
  ApiLimits limits;
  ClientRights rights;
  std::int64_t now_s = 0;    ///< Unix seconds
  Random* random = nullptr;  ///< outlives the context
};

/// The X-Request-Id of an answer: the client's own if it is 1..128 characters of
/// [A-Za-z0-9._:@/+=-], else a new one: "req-" and 32 hexadecimal digits.
[[nodiscard]] std::string choose_request_id(std::optional<std::string_view> sent, Random& random);

/// Appends 128 random bits as 32 hexadecimal digits.
void append_hex128(std::string& out, Random& random);

/// The body of a request: JSON that is to be read, or values that another wire has brought.
using RequestBody = std::variant<std::string_view, JsonTape>;

/// A body that must be one object. Errors: 400 `empty_body`, `invalid_utf8`, `invalid_json`.
[[nodiscard]] std::variant<JsonTape, ApiError> parse_object(RequestBody body);

/// A request of this interface: what is wanted, and how it is to be written.
struct OpenAiRequest : GenerationRequest {
  AnswerForm form;
};

/// Parses and checks a body of POST /v1/completions or /v1/chat/completions, or the parameters of
/// the same methods of Sluice RPC. Errors come in this
/// order: deadline headers, JSON, unknown and unsupported fields, then types and ranges in the
/// order of `BodyField`. Left to the caller: the model's name, and what depends on the model
/// (vocabulary, context, template). `seed` stays empty when the client gave none. Any thread; no
/// state.
[[nodiscard]] std::variant<OpenAiRequest, ApiError> parse_generation(AnswerKind kind,
                                                                     RequestBody body,
                                                                     const RequestContext& context);

}  // namespace sluice
