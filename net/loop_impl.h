// The inside of an event loop, for net's own bodies: libuv's loop, the mailbox, the end of a round.
#pragma once

#include "net/event_loop.h"

#include <uv.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice {

/// Brings work to a loop from any thread. It outlives the loop, so whoever holds one may post at
/// any time.
class LoopMailbox {
 public:
  /// Queues `work`; false, and dropped, after the loop stopped.
  bool post(std::function<void()> work);
  [[nodiscard]] bool on_loop_thread() const { return std::this_thread::get_id() == thread_.load(); }

 private:
  friend class EventLoop::Impl;

  std::mutex mutex_;
  std::vector<std::function<void()>> work_;
  bool awake_ = false;   ///< the loop is going to look; no further wake-up is needed
  bool closed_ = false;  ///< the loop stopped
  uv_async_t* wake_up_ = nullptr;
  bool in_round_ = false;  ///< only on the loop's thread: it looks before it sleeps
  std::atomic<std::thread::id> thread_;
};

/// Something that is done once at the end of a round, after all events and posts of it.
class RoundTask {
 public:
  virtual void run_at_round_end() = 0;

 protected:
  ~RoundTask() = default;
};

class EventLoop::Impl {
 public:
  /// Everything of a read passes through one buffer a loop.
  static constexpr std::size_t kReadBufferBytes = std::size_t{64} << 10;

  static Result<std::unique_ptr<Impl>> start(const std::string& name);
  ~Impl();

  [[nodiscard]] uv_loop_t* uv() { return &uv_; }
  [[nodiscard]] const std::shared_ptr<LoopMailbox>& mailbox() const { return mailbox_; }
  [[nodiscard]] TimePoint now() const { return TimePoint(std::chrono::milliseconds(uv_now(&uv_))); }
  [[nodiscard]] TimePoint last_turn() const {
    return TimePoint(std::chrono::milliseconds(last_turn_ms_.load(std::memory_order_relaxed)));
  }
  [[nodiscard]] LoopLag lag() const;
  [[nodiscard]] char* read_buffer() { return read_buffer_.get(); }

  /// On the loop's thread. The task must live until it ran; it is run once however often it is
  /// added only if its owner sees to that.
  void at_round_end(RoundTask* task);
  /// `hook` runs on the loop's thread when the loop stops, before its handles are closed. Returns
  /// a key for `forget_stop_hook`. On the loop's thread.
  std::uint64_t at_stop(std::function<void()> hook);
  void forget_stop_hook(std::uint64_t key);

 private:
  Impl();
  void run(const std::string& name);
  void end_round();
  void on_heartbeat();
  void stop();

  uv_loop_t uv_{};
  uv_async_t wake_up_{};
  uv_prepare_t round_begin_{};
  uv_check_t round_end_{};
  uv_timer_t heartbeat_{};
  std::shared_ptr<LoopMailbox> mailbox_;
  std::unique_ptr<char[]> read_buffer_;
  std::vector<std::function<void()>> batch_;
  std::vector<RoundTask*> tasks_;
  std::vector<RoundTask*> running_tasks_;
  std::vector<std::pair<std::uint64_t, std::function<void()>>> stop_hooks_;
  std::uint64_t next_hook_ = 0;
  bool stopping_ = false;
  bool stopped_ = false;
  std::atomic<std::uint64_t> last_turn_ms_{0};
  std::uint64_t heartbeat_due_ns_ = 0;
  std::array<std::atomic<std::uint64_t>, LoopLag::kBounds.size() + 1> lag_counts_{};
  std::atomic<std::uint64_t> lag_ns_{0};  ///< of all heartbeats together
  std::thread thread_;
};

}  // namespace sluice
