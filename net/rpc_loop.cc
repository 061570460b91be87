// Connections of Sluice RPC on one loop: places at the door, one timer for all time-outs.
#include "net/rpc_loop.h"

#include "net/rpc_socket.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace sluice {
namespace {

/// Refused connections that are read until their client closes, so that it can see why.
constexpr std::size_t kRefusalsMax = 64;

/// Time-outs are checked this often: a quarter of the shortest, but not more than twice a second.
Duration sweep_period(const RpcOptions& options) {
  const Duration shortest = std::min({options.handshake_timeout,
                                      options.frame_timeout,
                                      options.ping_after,
                                      options.pong_timeout,
                                      options.idle_timeout,
                                      options.slow_client_timeout,
                                      options.write_timeout});
  return std::clamp<Duration>(
      shortest / 4, std::chrono::milliseconds(5), std::chrono::milliseconds(500));
}

}  // namespace

RpcLoop::RpcLoop(EventLoop& loop, std::shared_ptr<RpcListenerState> shared, RpcCounts& counts)
    : loop_(loop), shared_(std::move(shared)), counts_(counts) {}

void RpcLoop::adopt(int socket, const std::string& address, std::uint16_t) {
  using Entry = PortState::Entry;
  if (draining_) return RpcSocket::refuse(shared_from_this(), socket, "draining");
  Entry entry = shared_->enter(address);
  if (entry != Entry::entered && close_idle(entry == Entry::address_full ? &address : nullptr))
    entry = shared_->enter(address);
  if (entry == Entry::entered) {
    ++shared_->accepted;
    return RpcSocket::start(shared_from_this(), socket, address);
  }
  ++shared_->refused;
  if (refusals_ >= kRefusalsMax) return turn_away(socket);
  RpcSocket::refuse(shared_from_this(), socket, "overloaded");
}

/// What does not fit the empty socket buffer is not worth waiting for.
void RpcLoop::turn_away(int socket) {
  std::string bytes(kRpcPreface);
  append_rpc_go_away(bytes, 0, "overloaded", Duration::zero());
  (void)!::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  ::shutdown(socket, SHUT_WR);
  ::close(socket);
}

bool RpcLoop::close_idle(const std::string* address) {
  RpcSocket* oldest = nullptr;
  TimePoint since = TimePoint::max();
  for (RpcSocket* socket : sockets_) {
    if (address != nullptr && socket->address() != *address) continue;
    const auto idle = socket->idle_since();
    if (!idle || *idle >= since) continue;
    oldest = socket;
    since = *idle;
  }
  if (oldest != nullptr) oldest->close_idle();
  return oldest != nullptr;
}

void RpcLoop::count_answers(std::size_t before, std::size_t now) {
  if (before == now) return;
  answer_bytes_ += now - before;
  shared_->answer_bytes += now - before;
  if (now < before || options().answer_bytes_max == 0) return;
  const std::size_t most = options().answer_bytes_max / shared_->counts.size();
  while (answer_bytes_ > most) {
    const auto slower = [](const RpcSocket* a, const RpcSocket* b) {
      return a->stands_since() < b->stands_since();
    };
    const auto slowest = std::min_element(sockets_.begin(), sockets_.end(), slower);
    if (slowest == sockets_.end() || (*slowest)->stands_since() == TimePoint::max()) return;
    // Nobody reads so fast that a very long answer is gone at once; it is alone here.
    if ((*slowest)->answer_bytes() == answer_bytes_) return;
    ++shared_->cut;
    (*slowest)->close(true);
  }
}

void RpcLoop::add(RpcSocket* socket) {
  socket->index = sockets_.size();
  sockets_.push_back(socket);
  if (sockets_.size() > 1) return;
  if (!timer_) timer_ = loop_.make_timer([this] { sweep(); });
  timer_->arm(sweep_period(options()), true);
}

void RpcLoop::remove(RpcSocket* socket) {
  sockets_.back()->index = socket->index;
  sockets_[socket->index] = sockets_.back();
  sockets_.pop_back();
  if (sockets_.empty() && timer_) timer_->disarm();
}

void RpcLoop::sweep() {
  // Closing a connection takes it off the list later, when libuv has let go of it.
  const TimePoint now = loop().now();
  for (RpcSocket* socket : sockets_)
    socket->check_deadlines(now);
}

void RpcLoop::drain() {
  draining_ = true;
  for (RpcSocket* socket : sockets_)
    socket->drain();
}

void RpcLoop::close_all() {
  if (closed_) return;
  closed_ = true;
  draining_ = true;
  timer_.reset();
  for (RpcSocket* socket : sockets_)
    socket->close();
}

}  // namespace sluice
