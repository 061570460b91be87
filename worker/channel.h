// The worker's end of the link: whole frames out, messages in.
#pragma once

#include "worker/link_codec.h"
#include "worker/protocol.h"

#include <atomic>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace sluice {

/// Owns the descriptor of the link. One thread receives; any thread sends.
class WorkerChannel {
 public:
  /// `tap`, if any, must outlive the channel; it is called with the lock of sending held.
  explicit WorkerChannel(int fd, LinkTap* tap = nullptr);
  ~WorkerChannel();
  WorkerChannel(const WorkerChannel&) = delete;
  WorkerChannel& operator=(const WorkerChannel&) = delete;

  /// Writes the messages, one frame each, in one go, and waits while the front does not read.
  /// False: the link is gone.
  bool send(std::span<const wire::ToFront> messages);
  bool send(const wire::ToFront& message) { return send(std::span(&message, 1)); }
  /// Writes one small message if that needs no waiting, or skips it: never a part of it, and its
  /// number is not used up. False: it was skipped. (What a tap made large is waited for.)
  bool try_send(const wire::ToFront& message);
  /// From now on nothing is written: `send` waits for the end of the link, `try_send` skips. A
  /// fault, to be injected from any thread.
  void stall() { stalled_ = true; }
  /// From now on every byte is written by itself, and `try_send` waits as `send` does. A fault, as
  /// above.
  void slice() { sliced_ = true; }

  /// Reads what has arrived and appends its messages to `messages`.
  ///   timeout_ms  how long to wait for the first byte; 0: not at all; -1: for ever
  ///   returns     false at the end of the link
  /// Errors: data_loss, for a frame that cannot be read.
  Result<bool> receive(int timeout_ms, std::vector<wire::ToWorker>& messages);

 private:
  bool write_outbox();

  int fd_;
  bool tapped_;
  std::atomic<bool> stalled_ = false;
  std::atomic<bool> sliced_ = false;
  std::mutex mutex_;   // of numbering and writing: frames are written in the order of their numbers
  LinkWriter writer_;  // guarded by mutex_
  std::string outbox_;  // guarded by mutex_; empty between calls, kept for its memory
  LinkReader frames_;
};

}  // namespace sluice
