// Accepting, with a spare descriptor for the day when there is none.
#include "net/acceptor.h"

#include "base/check.h"
#include "net/socket.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace sluice {
namespace {

constexpr int kAcceptsARound = 64;  ///< so that a flood does not starve the connections
constexpr Duration kPause = std::chrono::milliseconds(200);

int open_spare() {
  return ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/// The system gives the lowest free number, so a high one says how many are in use.
bool is_near_limit(int descriptor) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return false;
  return static_cast<rlim_t>(descriptor) >= limit.rlim_cur - limit.rlim_cur / 10;
}

}  // namespace

Acceptor::Acceptor(EventLoop& loop, int socket, Events events)
    : socket_(socket), spare_(open_spare()), events_(std::move(events)) {
  CHECK(uv_poll_init(loop.impl().uv(), &poll_, socket_) == 0);
  poll_.data = this;
  resume_ = loop.make_timer([this] { watch(); });
  watch();
}

void Acceptor::watch() {
  paused_ = false;
  uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
    static_cast<Acceptor*>(poll->data)->accept_waiting();
  });
}

void Acceptor::accept_waiting() {
  for (int i = 0; i < kAcceptsARound && accept_one(); ++i) {
  }
}

/// False when nothing waits or it has to pause.
bool Acceptor::accept_one() {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  const int accepted =
      ::accept4(socket_, reinterpret_cast<sockaddr*>(&peer), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted < 0) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      if (events_.make_room()) return true;
      use_spare();
      pause();
      return false;
    }
    return errno == EINTR || errno == ECONNABORTED || errno == EPROTO;
  }
  if (is_near_limit(accepted) && !events_.make_room()) {
    events_.exhausted(accepted);
    pause();
    return false;
  }
  std::string host;
  std::uint16_t port = 0;
  format_peer(peer, host, port);
  events_.accepted(accepted, host, port);
  return true;
}

/// Tells one client that there is no room, in the place of the spare descriptor.
void Acceptor::use_spare() {
  if (spare_ < 0) return;
  ::close(spare_);
  const int accepted = ::accept4(socket_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (accepted >= 0) events_.exhausted(accepted);
  spare_ = open_spare();
}

void Acceptor::pause() {
  paused_ = true;
  uv_poll_stop(&poll_);
  resume_->arm(kPause, false);
}

void Acceptor::close(bool at_once) {
  if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&poll_)) != 0) return;
  // Connections that wait would be reset with the socket; take them while there is room.
  while (!at_once && !paused_ && accept_one()) {
  }
  resume_.reset();
  uv_poll_stop(&poll_);
  ::close(socket_);
  if (spare_ >= 0) ::close(spare_);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_),
           [](uv_handle_t* handle) { delete static_cast<Acceptor*>(handle->data); });
}

}  // namespace sluice
