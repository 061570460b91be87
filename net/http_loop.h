// What the connections of one listener on one loop share: limits, the head writer, the sweep.
#pragma once

#include "net/event_loop.h"
#include "net/http.h"
#include "net/http_response.h"
#include "net/loop_impl.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

class HttpConnection;
class HttpLoop;

/// Shared by all loops of a listener. Thread-safe.
struct HttpListenerState {
  HttpListenerState(HttpOptions all_options, HttpHandler& all_handler)
      : options(std::move(all_options)), handler(all_handler) {}

  /// Whether a connection found a place.
  enum class Entry : std::uint8_t { entered, full, address_full };
  /// Takes a place for a connection from `address`.
  ///   beyond  more than the limit may enter: idle connections are on their way out
  Entry enter(const std::string& address, bool beyond = false);
  void leave(const std::string& address);

  const HttpOptions options;
  HttpHandler& handler;
  std::atomic<std::size_t> connections{0};
  std::atomic<std::size_t> lingering_refusals{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::size_t> idle{0};  ///< connections that wait for their next request
  std::atomic<std::uint64_t> bytes_in{0};
  std::atomic<std::uint64_t> bytes_out{0};
  std::atomic<std::size_t> answer_bytes{0};  ///< that lie here, for clients to take
  std::atomic<std::uint64_t> cut{0};         ///< connections, for want of room for those
  /// All loops of the listener, to be reached from each of them. Set before the first connection.
  std::vector<std::pair<std::shared_ptr<LoopMailbox>, std::weak_ptr<HttpLoop>>> loops;

 private:
  std::mutex mutex_;
  std::map<std::string, std::size_t> by_address_;
};

/// The connections of one loop. Everything on the loop's thread.
class HttpLoop : public std::enable_shared_from_this<HttpLoop> {
 public:
  HttpLoop(EventLoop& loop, std::shared_ptr<HttpListenerState> shared);

  /// Takes over an accepted socket. Over a limit it is told so and closed.
  ///   address, port  the client's
  void adopt(int socket, const std::string& address, std::uint16_t port);
  /// Tells the client that there is no room, waits for nothing, and closes the socket.
  void turn_away(int socket);
  /// Closes the connections that have been idle for longest, of one address if one is named.
  /// False: none was idle.
  bool close_idle(std::size_t most, const std::string* address = nullptr);
  /// Closes idle connections; the others close after their answer.
  void drain();
  /// Closes all connections at once; their clients' exchanges are told.
  void close_all();

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
