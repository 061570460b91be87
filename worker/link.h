// The port of workers: how the front starts one, talks to it and ends it.
#pragma once

#include "base/result.h"
#include "worker/protocol.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// What a worker is started with.
struct WorkerSpec {
  /// The binary, as a path that names it whenever a worker is started: /proc/self/exe goes on
  /// naming the running one after an upgrade has put another in its place.
  std::string program;
  std::vector<std::string> arguments;  ///< after `worker`
  std::string name = {};               ///< what process lists show; empty: `program`
};

/// How a worker's process ended.
struct WorkerExit {
  int status = 0;             ///< exit code, if it exited
  int signal = 0;             ///< signal number, if one killed it; 0 otherwise
  std::string why;            ///< a sentence: "killed by signal 9", "sent a broken frame: ..."
  bool killed_by_us = false;  ///< the front's own SIGKILL ended it
  /// Somebody else's signal ended it (an operator, a test), and nothing says that it was its own
  /// fault: SIGKILL, SIGTERM, SIGINT, SIGHUP or SIGQUIT that the front did not send, while the
  /// kernel ended no process for want of memory.
  bool outside = false;
};

/// Hears a worker. Called on the launcher's own thread, one call at a time, `on_exit` last and
/// exactly once.
class WorkerListener {
 public:
  virtual ~WorkerListener() = default;
  virtual void on_message(wire::ToFront message) = 0;
  virtual void on_exit(WorkerExit exit) = 0;
};

/// The front's end of one running worker. Destroying it kills the worker if it still lives and
/// silences the listener. Thread-safe; no call blocks.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void send(wire::ToWorker message) = 0;
  /// SIGKILL, through the pidfd.
  virtual void kill() = 0;
  /// A signal has stopped the process, and it has not been continued. Nothing that it computes does
  /// that: it was somebody outside.
  [[nodiscard]] virtual bool is_stopped() const = 0;
  [[nodiscard]] virtual std::int64_t pid() const = 0;
  /// Bytes handed to `send` that the worker has not read yet.
  [[nodiscard]] virtual std::size_t backlog_bytes() const = 0;
};

/// Starts workers. Thread-safe.
class WorkerLauncher {
 public:
  virtual ~WorkerLauncher() = default;
  /// Returns once the process exists. Errors: unavailable (no process, no descriptors), not_found
  /// (no such program).
  virtual Result<std::unique_ptr<WorkerLink>> launch(const WorkerSpec& spec,
                                                     std::shared_ptr<WorkerListener> listener) = 0;
};

}  // namespace sluice
