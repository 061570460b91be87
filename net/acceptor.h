// Accepts connections on one listening socket, and keeps going when descriptors run out.
#pragma once

#include "net/event_loop.h"
#include "net/loop_impl.h"

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sluice {

/// Owns a listening socket on a loop. When nine tenths of the process' descriptors are in use, a
/// new connection takes the place of an idle one; where there is none, it stops accepting for a
/// moment. It keeps a spare one so that even without any left a client can be told. Everything on
/// the loop's thread.
class Acceptor {
 public:
  struct Events {
    /// A new connection; the socket is the receiver's.
    std::function<void(int socket, const std::string& host, std::uint16_t port)> accepted;
    /// Descriptors run out: close a connection that nobody uses. False: there is none.
    std::function<bool()> make_room;
    /// There is no room for this one; the receiver answers it and closes it at once.
    std::function<void(int socket)> exhausted;
  };

  /// Takes `socket` over. It frees itself after `close`.
  Acceptor(EventLoop& loop, int socket, Events events);
  /// Takes what already waits (unless `at_once`), then closes the listening socket.
  void close(bool at_once);

 private:
  ~Acceptor() = default;
  void watch();
  void accept_waiting();
  bool accept_one();
  void use_spare();
  void pause();

  uv_poll_t poll_{};
  int socket_;
  int spare_;
  Events events_;
  std::unique_ptr<EventLoop::Timer> resume_;
  bool paused_ = false;
};

}  // namespace sluice
