// What a server answers, read from bytes as they come, as cheaply as possible.
#pragma once

#include "base/clock.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::overload {

/// What a client learns from an answer.
struct Answer {
  int status = 0;
  bool keep_alive = true;
  std::optional<Duration> retry_after;  ///< retry-after-ms if it was given, else Retry-After
  bool never_retry = false;             ///< x-should-retry: false
  bool first_token = false;             ///< a stream has said something
  bool done = false;                    ///< a stream has ended as it should
  bool failed = false;                  ///< a stream has told of an error
  std::string code;                     ///< of that error, or of one in the body of a refusal

  /// The whole of what was asked for has come.
  [[nodiscard]] bool complete(bool stream) const {
    return status == 200 && !failed && (!stream || done);
  }
};

/// Reads one HTTP/1.1 response after the other. Knows of bodies with a length and in chunks, which
/// is all that the server sends. Keeps a kilobyte of what it reads at most, but for the head (16
/// KB). Not thread-safe.
class AnswerReader {
 public:
  enum class State : std::uint8_t { more, done, broken };

  /// Forgets the last answer and expects another one.
  void start();
  /// Reads on. What follows a whole answer makes it broken: nobody asked for it.
  State take(std::string_view bytes);
  [[nodiscard]] const Answer& answer() const { return answer_; }

 private:
  enum class Part : std::uint8_t { head, body, chunk_size, chunk, chunk_end, trailer, over };

  bool take_head(std::string_view& bytes);
  bool parse_head(std::string_view head);
  bool parse_field(std::string_view name, std::string_view value);
  bool take_line(std::string_view& bytes);
  bool end_line();
  void take_body(std::string_view piece);
  void end_event_line();

  Answer answer_;
  Part part_ = Part::head;
  bool events_ = false;     // the body is a stream of events
  std::uint64_t left_ = 0;  // bytes of the body or of the chunk
  std::string kept_;        // the beginning of a head or of a line of chunked coding
  std::string text_;        // the beginning of the body, or of the line of an event
};

}  // namespace sluice::overload
