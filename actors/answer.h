// What the client of one completion gets: a stream of events or one body, and exactly one end.
#pragma once

#include "actors/front.h"
#include "api/completion_writer.h"
#include "api/errors.h"
#include "api/request.h"
#include "net/http.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// Writes to one exchange. Once the end is given, every further word is ignored. Owner: the
/// session, which outlives it.
class Answer {
 public:
  ///   request  must outlive the answer
  Answer(std::shared_ptr<Front> front,
         std::shared_ptr<ServedModel> model,
         const CompletionRequest& request,
         std::shared_ptr<HttpExchange> exchange);

  /// Which weights compute it: before the first piece.
  void set_weights(std::uint64_t weights) { weights_ = weights; }
  /// A piece of a choice, in order within each choice; its strings are taken. A stream shows it
  /// now, unless its client is slow.
  ///   last  no further piece will follow: it waits for `complete`, so that they share a write
  void show(ChoiceDelta& piece, const Usage& so_far, bool last);
  /// Writes what waits, unless the client is slow: then it waits here, bounded by what the
  /// sequences were granted.
  void flush();
  /// Its client has taken all but what its socket's buffers hold: nothing waits here.
  [[nodiscard]] bool keeps_up() const { return unsent_.empty(); }
  /// Keeps a stream alive that has been silent for longer than `Front::Options::keepalive`.
  ///   since  when the request arrived
  void attend(TimePoint now, TimePoint since);

  // --- the end: one of these ---------------------------------------------------------------------

  void complete(const Usage& total);
  void fail(const ApiError& error);
  /// The client is gone: nobody is there to hear anything.
  void abandon() { given_ = true; }

  [[nodiscard]] bool given() const { return given_; }
  /// Lets go of the exchange.
  void close() { exchange_.reset(); }
  /// For callbacks of the exchange.
  [[nodiscard]] HttpExchange& exchange() { return *exchange_; }

 private:
  [[nodiscard]] ResponseHead head() const;
  void open_stream();
  [[nodiscard]] CompletionStream& stream();
  void write();

  std::shared_ptr<Front> front_;
  std::shared_ptr<ServedModel> model_;
  const CompletionRequest& request_;
  std::shared_ptr<HttpExchange> exchange_;
  bool streaming_ = false;                  ///< the head of the stream is out
  std::optional<CompletionStream> stream_;  ///< set with the first event: it names the weights
  std::string unsent_;                      ///< events that wait for the socket
  std::vector<ChoiceDelta> whole_;          ///< the choices so far, if the answer is one body
  std::uint64_t weights_ = 0;               ///< 0: not known yet
  TimePoint last_write_{};
  bool given_ = false;
};

}  // namespace sluice
