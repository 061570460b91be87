// The port between a generation and its client: what a session tells, whatever the wire.
#pragma once

#include "api/request.h"
#include "base/clock.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace sluice {

/// Writes one answer to one client: pieces of its choices, then exactly one end. Once the end is
/// given, every further word is ignored. Never blocks. Owner: the session, on whose thread every
/// call is made; the callbacks may come from any.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  /// The answer is less than what was asked for. Before all else; also told with its usage.
  ///   degradation  what was done, not what could be
  virtual void degraded(const Degradation& degradation) = 0;
  /// Who computes the answer. Before the first piece.
  ///   model        its public name
  ///   fingerprint  of its weights: "fp_" + 8 hex
  virtual void head(std::string_view model, std::string_view fingerprint) = 0;
  /// A piece of a choice, in order within each choice; its strings may be taken. A stream shows it
  /// now, unless its client is slow: then it waits here, bounded by what the sequences were
  /// granted.
  ///   last  no further piece will follow: it waits for `done`, so that they share a write
  virtual void delta(ChoiceDelta& piece, const Usage& so_far, bool last) = 0;

  // --- the end: one of these ---------------------------------------------------------------------

  virtual void done(const Usage& total) = 0;
  virtual void error(const ApiError& error) = 0;
  /// The client is gone: nobody is there to hear anything.
  virtual void abandon() = 0;
  [[nodiscard]] virtual bool ended() const = 0;

  // --- how the client keeps up -------------------------------------------------------------------

  /// Its client has taken all but what the transport buffers: nothing waits here.
  [[nodiscard]] virtual bool keeps_up() const = 0;
  /// Writes what waits, unless the client is still slow.
  virtual void flush() = 0;
  /// Keeps a connection alive that has been silent for too long.
  ///   since  when the request arrived
  virtual void attend(TimePoint now, TimePoint since) = 0;
  /// Called at most once, when the client is gone before the end; at once if it is gone already.
  virtual void on_gone(std::function<void()> gone) = 0;
  /// Called when a client that did not keep up has caught up.
  virtual void on_writable(std::function<void()> writable) = 0;
};

}  // namespace sluice
