// How an answer is spelled in OpenAI's interface: the events of a stream, and the body of a whole
// one.
#pragma once

#include "api/request.h"
#include "net/http.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sluice {

enum class AnswerKind : std::uint8_t { completion, chat };

/// What a request says of the form of its answer, and of nothing else.
struct AnswerForm {
  AnswerKind kind = AnswerKind::completion;
  std::string id;                           ///< "cmpl-" or "chatcmpl-", and 32 hexadecimal digits
  std::int64_t created = 0;                 ///< Unix seconds
  bool logprobs = false;                    ///< asked for: choices carry an object instead of null
  bool include_usage = false;               ///< a stream ends with the totals
  bool continuous_usage = false;            ///< and each of its chunks has the count so far
  std::uint32_t stream_interval = 1;        ///< most tokens of an event; they leave one by one
  std::optional<std::string> service_tier;  ///< to be named in the answer
  std::string ignored_params;               ///< value of x-sluice-ignored-params, or empty
};

/// Writes the parts of one answer by appending them. A stream's events are each "data: <JSON>" and
/// an empty line; those that are ready together share one write. One answer, one thread.
class AnswerFormat {
 public:
  /// An answer is a stream of events, or one body.
  enum class Shape : std::uint8_t { events, whole };

  /// The format that `form` asks for.
  ///   model        its public name
  ///   fingerprint  of the weights: "fp_" + 8 hex
  static std::unique_ptr<AnswerFormat> make(const AnswerForm& form,
                                            Shape shape,
                                            std::string_view model,
                                            std::string_view fingerprint);
  virtual ~AnswerFormat() = default;
  AnswerFormat(const AnswerFormat&) = delete;
  AnswerFormat& operator=(const AnswerFormat&) = delete;

  // --- of a stream of events -------------------------------------------------------------------

  /// The events of a piece of one choice. `so_far` is shown with continuous usage only.
  virtual void append_piece(std::string& out, const ChoiceDelta& piece, const Usage& so_far) = 0;
  /// The event without choices that carries the totals; nothing unless usage was asked for.
  void append_usage(std::string& out, const Usage& total) const;
  /// The mark without which a stream did not end well.
  static void append_done(std::string& out);
  /// An error after the first byte; `append_done` follows it.
  static void append_error(std::string& out, const ApiError& error);

  // --- of one body -----------------------------------------------------------------------------

  /// All of it. `choices` are whole, in the order of their index.
  [[nodiscard]] std::string body(std::span<const ChoiceDelta> choices, const Usage& usage) const;

 protected:
  ///   object  what the answer's pieces are called
  AnswerFormat(const AnswerForm& form,
               Shape shape,
               std::string_view object,
               std::string_view model,
               std::string_view fingerprint);

  /// The object of a whole choice.
  virtual void append_choice(std::string& out, const ChoiceDelta& choice) const = 0;
  /// An event begins up to the object of its choice, and ends behind it.
  void begin_event(std::string& out) const { out += head_; }
  void end_event(std::string& out, const Usage& so_far) const;
  [[nodiscard]] bool has_logprobs() const { return logprobs_; }

 private:
  std::string head_;  // of the body or of each event, up to and with "choices":[
  bool logprobs_;
  bool include_usage_;
  bool continuous_usage_;
};

/// Appends the members that all choices have after what they say: finish_reason and stop_reason.
void append_finish(std::string& out, const ChoiceDelta& choice);

/// Status 200 with a whole answer. `ignored_params` is the header's value, or empty.
[[nodiscard]] HttpResponse whole_response(std::string body,
                                          std::string_view request_id,
                                          std::string_view ignored_params);
/// Status and headers of a stream.
[[nodiscard]] HttpResponse stream_head(std::string_view request_id,
                                       std::string_view ignored_params);

}  // namespace sluice
