// Connections of one loop: limits at the door, one timer for all time-outs.
#include "net/http_loop.h"

#include "net/http_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

namespace sluice {
namespace {

/// Refused connections that are read until their client closes, so that it can see the answer.
constexpr std::size_t kLingeringRefusalsMax = 128;

const HttpFault& overloaded() {
  static const HttpFault fault{503, "overloaded", "the server has too many connections", ""};
  return fault;
}

/// Time-outs are checked this often: a quarter of the shortest, but not more than twice a second.
Duration sweep_period(const HttpOptions& options) {
  const Duration shortest = std::min({options.first_byte_timeout,
                                      options.header_timeout,
                                      options.body_timeout,
                                      options.idle_timeout,
                                      options.write_timeout});
  return std::clamp<Duration>(
      shortest / 4, std::chrono::milliseconds(5), std::chrono::milliseconds(500));
}

}  // namespace

bool HttpListenerState::enter(const std::string& address) {
  if (connections.fetch_add(1) >= options.connections_max) {
    connections.fetch_sub(1);
    return false;
  }
  if (options.connections_per_address_max == 0) return true;
  const std::lock_guard lock(mutex_);
  std::size_t& count = by_address_[address];
  if (count >= options.connections_per_address_max) {
    connections.fetch_sub(1);
    return false;
  }
  ++count;
  return true;
}

void HttpListenerState::leave(const std::string& address) {
  connections.fetch_sub(1);
  if (options.connections_per_address_max == 0) return;
  const std::lock_guard lock(mutex_);
  const auto found = by_address_.find(address);
  if (found != by_address_.end() && --found->second == 0) by_address_.erase(found);
}

HttpLoop::HttpLoop(EventLoop& loop, std::shared_ptr<HttpListenerState> shared)
    : loop_(loop), shared_(std::move(shared)), heads_(shared_->options) {}

void HttpLoop::adopt(int socket, const std::string& address, std::uint16_t port) {
  const bool bracketed = address.find(':') != std::string::npos;
  std::string peer = (bracketed ? "[" + address + "]" : address) + ":" + std::to_string(port);
  if (shared_->enter(address)) {
    ++shared_->accepted;
    HttpConnection::start(shared_from_this(), socket, address, std::move(peer));
    return;
  }
  ++shared_->refused;
  if (shared_->lingering_refusals.load() >= kLingeringRefusalsMax) {
    turn_away(socket);
    return;
  }
  HttpConnection::refuse(shared_from_this(), socket, std::move(peer), overloaded());
}

void HttpLoop::turn_away(int socket) {
  HttpResponse response = handler().on_fault(overloaded());
  response.close = true;
  std::string bytes;
  heads_.append(
      bytes, response, {.content_length = response.body.size(), .close = true}, std::time(nullptr));
  bytes += response.body;
  // What does not fit the empty socket buffer is not worth waiting for.
  (void)!::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(socket, SHUT_WR);
  std::array<char, 4096> dropped;
  (void)!::recv(socket, dropped.data(), dropped.size(), MSG_DONTWAIT);
  ::close(socket);
}

void HttpLoop::add(HttpConnection* connection) {
  connection->index = connections_.size();
  connections_.push_back(connection);
  if (connections_.size() > 1) return;
  if (!timer_) timer_ = loop_.make_timer([this] { sweep(); });
  timer_->arm(sweep_period(options()), true);
}

void HttpLoop::remove(HttpConnection* connection) {
  connections_.back()->index = connection->index;
  connections_[connection->index] = connections_.back();
  connections_.pop_back();
  if (connections_.empty() && timer_) timer_->disarm();
}

void HttpLoop::sweep() {
  // Closing a connection takes it off the list later, when libuv has let go of it.
  const TimePoint now = loop().now();
  for (HttpConnection* connection : connections_)
    connection->check_deadlines(now);
}

void HttpLoop::drain() {
  draining_ = true;
  for (HttpConnection* connection : connections_)
    connection->close_if_idle();
}

void HttpLoop::close_all() {
  if (closed_) return;
  closed_ = true;
  draining_ = true;
  timer_.reset();
  for (HttpConnection* connection : connections_)
    connection->close();
}

}  // namespace sluice
