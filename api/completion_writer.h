// The OpenAI interface on the way out: the body of a completion, and the events of its stream.
#pragma once

#include "api/request.h"
#include "net/http.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

/// What all pieces of one answer share.
struct ResponseHead {
  std::string id;
  std::int64_t created = 0;  ///< Unix seconds
  std::string model;         ///< the public name
  std::string fingerprint;   ///< "fp_" + 8 hex
  std::optional<std::string> service_tier = {};
  bool logprobs = false;  ///< they were asked for: choices carry an object instead of null

  /// The head of an answer to `request`, which takes its id, time, tier and wish for logprobs.
  static ResponseHead of(const CompletionRequest& request,
                         std::string model,
                         std::string fingerprint);
};

/// The body of an answer that is not streamed. `choices` are whole, in the order of their index.
[[nodiscard]] std::string completion_body(const ResponseHead& head,
                                          std::span<const ChoiceDelta> choices,
                                          const Usage& usage);

/// Status 200 with such a body. `ignored_params` is the header's value, or empty.
[[nodiscard]] HttpResponse completion_response(std::string body,
                                               std::string_view request_id,
                                               std::string_view ignored_params);
/// Status and headers of a stream.
[[nodiscard]] HttpResponse stream_head(std::string_view request_id,
                                       std::string_view ignored_params);

/// Writes the events of one stream, each "data: <JSON>" and an empty line, by appending them: those
/// that are ready together share one write. Not thread-safe only in that `out` is the caller's.
class CompletionStream {
 public:
  /// With `include_usage` all chunks have a usage: null, or with `continuous_usage` the count so
  /// far. Without it, none has, whatever `continuous_usage` says (vLLM's rule).
  CompletionStream(const ResponseHead& head, bool include_usage, bool continuous_usage);

  /// A piece of one choice. `so_far` is shown with continuous usage only.
  void append_chunk(std::string& out, const ChoiceDelta& delta, const Usage& so_far) const;
  /// The chunk without choices that carries the totals; nothing unless usage was asked for.
  void append_usage(std::string& out, const Usage& total) const;
  /// The mark without which a stream did not end well.
  static void append_done(std::string& out);
  /// An error after the first byte; `append_done` follows it.
  static void append_error(std::string& out, const ApiError& error);

 private:
  std::string prefix_;  // of each chunk, up to and with "choices":[
  bool logprobs_;
  bool include_usage_;
  bool continuous_usage_;
};

}  // namespace sluice
