// Who wants to hear of a client: asked for on any thread, told when it happens.
#pragma once

#include <functional>
#include <mutex>
#include <utility>

namespace sluice {

/// Of one request. Thread-safe, without a detour over the loop: most requests end before anything
/// of this happens, and a post for each would wake the loop twice.
class ClientWatch {
 public:
  /// `call` is made once, when the client has gone; at once if it has.
  void on_gone(std::function<void()> call) {
    {
      const std::lock_guard lock(mutex_);
      if (!is_gone_) {
        gone_ = std::move(call);
        return;
      }
    }
    call();
  }
  void on_writable(std::function<void()> call) {
    const std::lock_guard lock(mutex_);
    if (!is_gone_) writable_ = std::move(call);
  }

  void tell_gone() {
    std::function<void()> call;
    {
      const std::lock_guard lock(mutex_);
      is_gone_ = true;
      writable_ = nullptr;
      call = std::exchange(gone_, nullptr);
    }
    if (call) call();
  }
  void tell_writable() {
    std::function<void()> call;
    {
      const std::lock_guard lock(mutex_);
      call = writable_;  // a copy, for the call may replace it
    }
    if (call) call();
  }

 private:
  std::mutex mutex_;
  bool is_gone_ = false;
  std::function<void()> gone_;
  std::function<void()> writable_;
};

}  // namespace sluice
