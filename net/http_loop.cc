// Connections of one loop: limits at the door, one timer for all time-outs.
#include "net/http_loop.h"

#include "net/http_connection.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>

namespace sluice {
namespace {

/// Refused connections that are read until their client closes, so that it can see the answer.
constexpr std::size_t kLingeringRefusalsMax = 128;
/// Idle connections that are closed when there is no place left: these at most.
constexpr std::size_t kClosedAtOnce = 8;

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

HttpLoop::HttpLoop(EventLoop& loop, std::shared_ptr<HttpListenerState> shared)
    : loop_(loop), shared_(std::move(shared)), heads_(shared_->options) {}

void HttpLoop::adopt(int socket, const std::string& address, std::uint16_t port) {
  const bool bracketed = address.find(':') != std::string::npos;
  std::string peer = (bracketed ? "[" + address + "]" : address) + ":" + std::to_string(port);
  if (enter(address)) {
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

/// Whoever is idle for longest makes room for a new connection.
bool HttpLoop::enter(const std::string& address) {
  using Entry = PortState::Entry;
  Entry entry = shared_->enter(address);
  if (entry == Entry::full) {
    // Some at once, for each look at all connections costs time.
    if (close_idle(kClosedAtOnce)) entry = shared_->enter(address);
    // The others may take a while, and several of us may have counted on them already.
    if (entry == Entry::full && make_others_close())
      entry = shared_->enter(address, shared_->loops.size());
  } else if (entry == Entry::address_full) {
    // Of the other loops' connections none can be counted on, but the next attempt may find room.
    if (close_idle(1, &address))
      entry = shared_->enter(address);
    else
      make_others_close(&address);
  }
  return entry == Entry::entered;
}

/// False: no other loop has an idle connection either.
bool HttpLoop::make_others_close(const std::string* address) {
  if (shared_->idle.load() == 0) return false;
  std::optional<std::string> only;
  if (address != nullptr) only = *address;
  for (const auto& [mailbox, other] : shared_->loops) {
    mailbox->post([other = other, only] {
      if (auto loop = other.lock()) loop->close_idle(1, only ? &*only : nullptr);
    });
  }
  return true;
}

bool HttpLoop::close_idle(std::size_t most, const std::string* address) {
  std::vector<std::pair<std::uint64_t, HttpConnection*>> idle;
  for (HttpConnection* connection : connections_) {
    if (address != nullptr && connection->address() != *address) continue;
    if (auto place = connection->idle_place()) idle.emplace_back(*place, connection);
  }
  most = std::min(most, idle.size());
  const auto end = idle.begin() + static_cast<std::ptrdiff_t>(most);
  std::partial_sort(idle.begin(), end, idle.end());
  for (auto each = idle.begin(); each != end; ++each)
    each->second->close();
  return most > 0;
}

void HttpLoop::turn_away(int socket) {
  HttpResponse response = handler().on_fault(overloaded());
  response.close = true;
  std::string bytes;
  heads_.append(bytes,
                response,
                {.content_length = response.content().size(), .close = true},
                std::time(nullptr));
  bytes += response.content();
  // What does not fit the empty socket buffer is not worth waiting for.
  (void)!::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(socket, SHUT_WR);
  std::array<char, 4096> dropped;
  (void)!::recv(socket, dropped.data(), dropped.size(), MSG_DONTWAIT);
  ::close(socket);
}

void HttpLoop::count_answers(std::size_t before, std::size_t now) {
  if (before == now) return;
  answer_bytes_ += now - before;
  shared_->answer_bytes += now - before;
  if (now < before || options().answer_bytes_max == 0) return;
  const std::size_t most = options().answer_bytes_max / shared_->loops.size();
  while (answer_bytes_ > most) {
    const auto slower = [](const HttpConnection* a, const HttpConnection* b) {
      return a->stands_since() < b->stands_since();
    };
    const auto slowest = std::min_element(connections_.begin(), connections_.end(), slower);
    if (slowest == connections_.end() || (*slowest)->stands_since() == TimePoint::max()) return;
    // Nobody reads so fast that a very long answer is gone at once; it is alone here.
    if ((*slowest)->answer_bytes() == answer_bytes_) return;
    ++shared_->cut;
    (*slowest)->close(true);
  }
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
