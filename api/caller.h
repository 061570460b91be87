// Whoever has sent a request, whichever wire it came by: what it may hear before there is a writer.
#pragma once

#include "api/answer_format.h"
#include "api/answer_writer.h"
#include "api/idempotency.h"
#include "api/request.h"
#include "base/clock.h"
#include "net/http.h"

#include <functional>
#include <memory>
#include <string>

namespace sluice {

/// How answers are written, whatever they say.
struct AnswerOptions {
  std::shared_ptr<const Clock> clock;
  Duration keepalive = std::chrono::seconds(15);  ///< silence after which a stream gets a comment
  std::size_t stream_buffer = std::size_t{256} << 10;  ///< unsent bytes that pause a stream
};

/// The client of one request. It hears exactly one of `refuse`, `answer` and `replay`, or what the
/// writer of `write` says. Never blocks. One thread at a time; callbacks may come from any.
class Caller {
 public:
  virtual ~Caller() = default;

  virtual void refuse(const ApiError& error) = 0;
  /// The answer is one body of JSON.
  virtual void answer(std::string json) = 0;
  /// It is that of another request, which was executed for this one, too.
  virtual void replay(const HttpResponse& first) = 0;
  /// The answer is generated; nothing else may be called from here on.
  virtual std::unique_ptr<AnswerWriter> write(AnswerForm form, bool stream) = 0;

  /// Others may join the request: whatever is said is theirs, too. Before all else.
  virtual void share(std::shared_ptr<IdempotencyTable::Execution> execution,
                     std::shared_ptr<const Clock> clock) = 0;
  /// Called at most once when nobody waits for the answer any more; at once if nobody does.
  virtual void on_gone(std::function<void()> gone) = 0;
};

}  // namespace sluice
