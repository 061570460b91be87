// What the connections of one listener on one loop share: limits, the head writer, the sweep.
#pragma once

#include "net/event_loop.h"
#include "net/http.h"
#include "net/http_response.h"
#include "net/loop_impl.h"
#include "net/loop_port.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

class HttpConnection;
class HttpLoop;

/// Shared by all loops of a listener of HTTP. Thread-safe.
struct HttpListenerState : PortState {
  HttpListenerState(HttpOptions all_options, HttpHandler& all_handler)
      : PortState(all_options.connections_max, all_options.connections_per_address_max),
        options(std::move(all_options)),
        handler(all_handler) {}

  const HttpOptions options;
  HttpHandler& handler;
  std::atomic<std::size_t> lingering_refusals{0};
  /// All loops of the listener, to be reached from each of them. Set before the first connection.
  std::vector<std::pair<std::shared_ptr<LoopMailbox>, std::weak_ptr<HttpLoop>>> loops;
};

/// The connections of one loop. Everything on the loop's thread.
class HttpLoop final : public LoopPort, public std::enable_shared_from_this<HttpLoop> {
 public:
  HttpLoop(EventLoop& loop, std::shared_ptr<HttpListenerState> shared);

  void adopt(int socket, const std::string& address, std::uint16_t port) override;
  void turn_away(int socket) override;
  bool make_room() override { return close_idle(1); }
  /// Closes the connections that have been idle for longest, of one address if one is named.
  /// False: none was idle.
  bool close_idle(std::size_t most, const std::string* address = nullptr);
  void drain() override;
  void close_all() override;

  [[nodiscard]] const HttpOptions& options() const { return shared_->options; }
  [[nodiscard]] HttpHandler& handler() { return shared_->handler; }
  [[nodiscard]] HttpListenerState& shared() { return *shared_; }
  [[nodiscard]] EventLoop::Impl& loop() { return loop_.impl(); }
  [[nodiscard]] HttpHeadWriter& heads() { return heads_; }
  [[nodiscard]] bool draining() const { return draining_; }
  [[nodiscard]] std::uint64_t next_idle_place() { return ++idle_places_; }

  /// A connection holds `now` bytes of answers, where it held `before`. May close others, and it.
  void count_answers(std::size_t before, std::size_t now);

  void add(HttpConnection* connection);
  void remove(HttpConnection* connection);

 private:
  bool enter(const std::string& address);
  bool make_others_close(const std::string* address = nullptr);
  void sweep();

  EventLoop& loop_;
  std::shared_ptr<HttpListenerState> shared_;
  HttpHeadWriter heads_;
  std::vector<HttpConnection*> connections_;  ///< each knows its index
  std::unique_ptr<EventLoop::Timer> timer_;
  std::uint64_t idle_places_ = 0;
  std::size_t answer_bytes_ = 0;  ///< of its connections
  bool draining_ = false;
  bool closed_ = false;
};

}  // namespace sluice
