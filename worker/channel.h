// The worker's end of the link: whole frames out, messages in.
#pragma once

#include "net/frame.h"
#include "worker/protocol.h"

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Owns the descriptor of the link. One thread receives; any thread sends.
class WorkerChannel {
 public:
  explicit WorkerChannel(int fd);
  ~WorkerChannel();
  WorkerChannel(const WorkerChannel&) = delete;
  WorkerChannel& operator=(const WorkerChannel&) = delete;

  /// Writes whole frames, and waits while the front does not read. False: the link is gone.
  bool send(std::string_view frames);
  bool send(const wire::ToFront& message);
  /// Writes one small frame if that needs no waiting, or skips it: never a part of it. False: it
  /// was skipped.
  bool try_send(std::string_view frame);

  /// Reads what has arrived and appends its messages to `messages`.
  ///   timeout_ms  how long to wait for the first byte; 0: not at all; -1: for ever
  ///   returns     false at the end of the link
  /// Errors: data_loss, for a frame that cannot be read.
  Result<bool> receive(int timeout_ms, std::vector<wire::ToWorker>& messages);

 private:
  int fd_;
  std::mutex mutex_;  // of writing: frames do not mingle
  FrameSplitter frames_;
};

}  // namespace sluice
