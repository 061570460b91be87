#include "worker/channel.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace sluice {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
/// Bytes taken from the link before the engine's next step.
constexpr std::size_t kReceiveBytesMax = std::size_t{4} << 20;
/// Up to here the kernel takes all or nothing of a stream write: it fits one buffer of the socket.
constexpr std::size_t kWholeWriteBytes = 1024;

}  // namespace

WorkerChannel::WorkerChannel(int fd, LinkTap* tap)
    : fd_(fd), tapped_(tap != nullptr), writer_(0, tap) {}

WorkerChannel::~WorkerChannel() {
  ::close(fd_);
}

bool WorkerChannel::send(std::span<const wire::ToFront> messages) {
  if (stalled_) {
    pollfd gone{.fd = fd_, .events = 0, .revents = 0};
    ::poll(&gone, 1, -1);
    return false;
  }
  std::lock_guard guard(mutex_);
  outbox_.clear();
  for (const wire::ToFront& message : messages)
    writer_.append(message, outbox_);
  return write_outbox();
}

bool WorkerChannel::write_outbox() {
  std::string_view rest = outbox_;
  while (!rest.empty()) {
    ssize_t put = ::send(fd_, rest.data(), sliced_ ? 1 : rest.size(), MSG_NOSIGNAL);
    if (put < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      pollfd room{.fd = fd_, .events = POLLOUT, .revents = 0};
      ::poll(&room, 1, -1);
      continue;
    }
    rest.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

bool WorkerChannel::try_send(const wire::ToFront& message) {
  std::unique_lock guard(mutex_, std::try_to_lock);
  if (!guard || stalled_) return false;  // somebody waits for room
  outbox_.clear();
  writer_.append(message, outbox_);
  if (outbox_.empty()) return true;  // a tap keeps it back
  CHECK(tapped_ || outbox_.size() <= kWholeWriteBytes);
  if (sliced_ || outbox_.size() > kWholeWriteBytes) return write_outbox();
  ssize_t put = ::send(fd_, outbox_.data(), outbox_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0) {
    writer_.take_back();
    return false;
  }
  CHECK(static_cast<std::size_t>(put) == outbox_.size());
  return true;
}

Result<bool> WorkerChannel::receive(int timeout_ms, std::vector<wire::ToWorker>& messages) {
  if (timeout_ms != 0) {
    pollfd data{.fd = fd_, .events = POLLIN, .revents = 0};
    ::poll(&data, 1, timeout_ms);
  }
  for (std::size_t taken = 0; taken < kReceiveBytesMax;) {
    char* room = frames_.prepare(kReadBytes);
    ssize_t got = ::recv(fd_, room, kReadBytes, MSG_DONTWAIT);
    if (got == 0) return false;
    if (got < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN || errno == EWOULDBLOCK;
    }
    frames_.commit(static_cast<std::size_t>(got));
    taken += static_cast<std::size_t>(got);
    for (;;) {
      auto frame = frames_.next();
      if (!frame) return frame.error();
      if (!*frame) break;
      auto message = wire::decode_to_worker(**frame);
      if (!message) return message.error();
      messages.push_back(*std::move(message));
    }
    if (static_cast<std::size_t>(got) < kReadBytes) return true;
  }
  return true;
}

}  // namespace sluice
