// The server as a whole: its parts, in the order in which they begin and end.
#pragma once

#include "actors/lane_status.h"
#include "base/clock.h"
#include "net/listener.h"
#include "server/log_sink.h"
#include "server/options.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

/// Why a server does not start: a message for people and an exit code for scripts.
struct StartError {
  ExitCode code = ExitCode::internal;
  std::string message;
};

/// What is said where the system refuses a thread or memory.
inline constexpr std::string_view kCannotGoOn =
    "cannot go on: the system refuses a thread or memory (ulimit -u, ulimit -v)";

/// Ports, actors, workers. Owner: one thread, which makes all calls.
class Server {
 public:
  ///   log  where the log goes
  static std::unique_ptr<Server> create(const ServeOptions& options,
                                        std::shared_ptr<const LogSink> log);
  virtual ~Server() = default;

  /// Nothing is served yet when this returns; the workers are loading.
  virtual std::optional<StartError> start() = 0;
  /// None yet, the ready line, or why it will never come.
  [[nodiscard]] virtual std::variant<std::monostate, std::string, StartError> ready() const = 0;
  /// While it is not ready: the lane that is furthest of the first model that does not serve.
  [[nodiscard]] virtual std::optional<LaneStatus> awaited() const = 0;
  /// The supervision tree has given up.
  [[nodiscard]] virtual bool failed() const = 0;
  /// Whether the default model can be told a conversation.
  [[nodiscard]] virtual bool chats() const = 0;
  /// Of the data port, the first if there are several.
  [[nodiscard]] virtual std::string address() const = 0;
  /// Requests that have no answer yet.
  [[nodiscard]] virtual std::int64_t sessions() const = 0;
  /// Nobody waits for anything: no request runs, and clients have taken all answers.
  [[nodiscard]] virtual bool idle() const = 0;
  /// Of all addresses where requests come in.
  [[nodiscard]] virtual ListenerStats clients() const = 0;
  /// Reads the files of keys again. One that is wrong changes nothing.
  virtual void reload_keys() = 0;

  // --- the end, in this order --------------------------------------------------------------------

  /// Whoever sends clients here is told to stop.
  virtual void stop_being_ready() = 0;
  /// No new requests; those that run go on.
  virtual void drain() = 0;
  /// What still runs ends with an error.
  virtual void end_requests() = 0;
  /// Ends everything in order: no new requests, no actors, no workers, no loops, then the actor
  /// system. Also of a server whose start has failed.
  virtual void stop() = 0;
};

}  // namespace sluice
