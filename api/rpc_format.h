// How answers are spelled in Sluice RPC: whole results, pieces of streams, errors.
#pragma once

#include "api/answer_format.h"
#include "api/request.h"
#include "net/http.h"
#include "net/rpc_protocol.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// Who computes an answer.
struct RpcAuthor {
  std::string model;        ///< its public name
  std::string fingerprint;  ///< of the weights
};

/// What is told of an answer beside it: over HTTP these are header fields.
struct RpcAbout {
  std::string_view request_id;
  std::string_view ignored_params = {};  ///< separated by commas
  std::string_view degraded = {};        ///< as x-sluice-degraded
  bool replayed = false;                 ///< of another request with the same idempotency key
};

/// RESPONSE with the object that HTTP has as its body. `choices` are whole, in the order of their
/// index.
[[nodiscard]] std::string rpc_result(std::uint32_t id,
                                     const AnswerForm& form,
                                     const RpcAuthor& author,
                                     std::span<const ChoiceDelta> choices,
                                     const Usage& usage,
                                     const RpcAbout& about);
/// RESPONSE with a body of JSON, which is an object.
[[nodiscard]] std::string rpc_result(std::uint32_t id,
                                     std::string_view json,
                                     const RpcAbout& about);

/// ITEM: a piece of one choice, {c, t, k, f, s, l}.
///   seq  number of the piece in its stream
[[nodiscard]] std::string rpc_item(std::uint32_t id,
                                   std::uint32_t seq,
                                   const ChoiceDelta& piece,
                                   bool logprobs);
/// END of a stream that is complete.
[[nodiscard]] std::string rpc_end(std::uint32_t id,
                                  const AnswerForm& form,
                                  const RpcAuthor& author,
                                  const Usage& usage,
                                  const RpcAbout& about);
/// RESPONSE or END with an error.
[[nodiscard]] std::string rpc_refusal(std::uint32_t id,
                                      bool is_stream,
                                      const ApiError& error,
                                      std::string_view request_id);
/// A response of HTTP, whole or an error, as RESPONSE or END.
[[nodiscard]] std::string rpc_frame(std::uint32_t id,
                                    bool is_stream,
                                    const HttpResponse& response,
                                    std::string_view request_id);

}  // namespace sluice
