#include "connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace sluice::client::detail {
namespace {

using SteadyClock = std::chrono::steady_clock;

/// While requests wait and nothing comes, the server is asked whether it is there; and then this is
/// how long it has.
constexpr int kSilenceMs = 15'000;
constexpr int kPatienceMs = 10'000;

std::string reason(int code) {
  return std::generic_category().message(code);
}

Error failed(const Options& options, const std::string& why) {
  return {.code = "connection_failed",
          .message = "Cannot connect to " + options.host + ":" + std::to_string(options.port) +
                     ": " + why + ".",
          .retryable = true};
}

Error lost(const std::string& why) {
  return {.code = "connection_lost",
          .message = "The connection was lost: " + why + ".",
          .retryable = true};
}

int left_ms(SteadyClock::time_point deadline) {
  const auto left = std::chrono::ceil<Milliseconds>(deadline - SteadyClock::now()).count();
  return left > 0 ? static_cast<int>(left) : 0;
}

/// Connects within the time that is left.
int connect_to(const addrinfo& address, SteadyClock::time_point deadline, int& error) {
  const int socket =
      ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol);
  if (socket < 0) {
    error = errno;
    return -1;
  }
  error = 0;
  if (::connect(socket, address.ai_addr, address.ai_addrlen) != 0) error = errno;
  if (error == EINPROGRESS) {
    pollfd waiting{socket, POLLOUT, 0};
    socklen_t size = sizeof error;
    if (::poll(&waiting, 1, left_ms(deadline)) <= 0) {
      error = ETIMEDOUT;
    } else {
      ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
    }
  }
  if (error == 0) return socket;
  ::close(socket);
  return -1;
}

}  // namespace

Expected<std::shared_ptr<Connection>> Connection::open(const Options& options) {
  std::shared_ptr<Connection> connection(new Connection(options));
  if (auto error = connection->connect()) return *error;
  return connection;
}

std::optional<Error> Connection::connect() {
  const auto deadline = SteadyClock::now() + options_.connect_timeout;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code =
      ::getaddrinfo(options_.host.c_str(), std::to_string(options_.port).c_str(), &hints, &found);
  if (code != 0) return failed(options_, ::gai_strerror(code));
  int error = 0;
  for (const addrinfo* each = found; each != nullptr && socket_ < 0; each = each->ai_next)
    socket_ = connect_to(*each, deadline, error);
  ::freeaddrinfo(found);
  if (socket_ < 0) return failed(options_, reason(error));
  const int on = 1;
  ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::setsockopt(socket_, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  reader_ = std::thread([this] { read(); });
  std::unique_lock lock(mutex_);
  flush(lock);
  const bool answered = changed_.wait_until(
      lock, deadline, [this] { return session_.is_open() || session_.is_over(); });
  if (session_.is_over()) return session_.failure();
  if (!answered) return failed(options_, "the server does not answer");
  return std::nullopt;
}

Connection::~Connection() {
  {
    const std::lock_guard lock(mutex_);
    session_.fail(lost("it was closed"));
  }
  if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
  if (reader_.joinable()) reader_.join();
  if (socket_ >= 0) ::close(socket_);
}

/// The thread that reads. It sends, too, what reading calls for.
void Connection::read() {
  std::array<char, 64 << 10> bytes;
  bool asked = false;
  for (;;) {
    pollfd waiting{socket_, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, asked ? kPatienceMs : kSilenceMs);
    std::unique_lock lock(mutex_);
    if (session_.is_over()) return changed_.notify_all();
    if (ready == 0) {
      if (session_.calls() == 0) continue;
      if (asked) {
        session_.fail(lost("the server has been silent for too long"));
        return changed_.notify_all();
      }
      asked = true;
      session_.ping();
      flush(lock);
      continue;
    }
    const ssize_t size = ::recv(socket_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    asked = false;
    if (size <= 0)
      session_.fail(lost(size == 0 ? "the server has closed it" : reason(errno)));
    else
      session_.feed({bytes.data(), static_cast<std::size_t>(size)});
    changed_.notify_all();
    if (session_.is_over()) return;
    flush(lock);
  }
}

/// Sends what the session has to say, one thread at a time and without the lock, for the server may
/// take its time.
void Connection::flush(std::unique_lock<std::mutex>& lock) {
  if (sending_) return;  // whoever sends looks again
  sending_ = true;
  for (std::string out = session_.take_output(); !out.empty(); out = session_.take_output()) {
    lock.unlock();
    int error = 0;
    std::string_view rest = out;
    while (!rest.empty() && error == 0) {
      const ssize_t size = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (size > 0) {
        rest.remove_prefix(static_cast<std::size_t>(size));
      } else if (errno == EAGAIN) {
        pollfd waiting{socket_, POLLOUT, 0};
        if (::poll(&waiting, 1, kSilenceMs + kPatienceMs) == 0) error = ETIMEDOUT;
      } else if (errno != EINTR) {
        error = errno;
      }
    }
    lock.lock();
    if (error == 0) continue;
    session_.fail(lost(reason(error)));
    changed_.notify_all();
    break;
  }
  sending_ = false;
}

bool Connection::is_usable() {
  const std::lock_guard lock(mutex_);
  return !session_.is_over() && !session_.is_leaving();
}

Expected<std::shared_ptr<Call>> Connection::ask(const std::string& method,
                                                const Value::Map& params,
                                                const Meta& meta,
                                                bool is_stream,
                                                const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  const auto may_go = [this] {
    return session_.is_over() || session_.is_leaving() || session_.has_room();
  };
  if (!deadline) {
    changed_.wait(lock, may_go);
  } else if (!changed_.wait_until(lock, *deadline, may_go)) {
    return Error{.code = "timeout",
                 .message = "The connection has as many requests as it may have.",
                 .retryable = true};
  }
  if (session_.is_over()) return *session_.failure();
  if (session_.is_leaving()) return lost("the server has asked to go");
  auto call = session_.ask(method, params, meta, is_stream);
  flush(lock);
  return call;
}

bool Connection::wait(const Call& call, const Deadline& deadline) {
  std::unique_lock lock(mutex_);
  const auto is_ready = [&call] { return call.ended || !call.items.empty(); };
  if (deadline) return changed_.wait_until(lock, *deadline, is_ready);
  changed_.wait(lock, is_ready);
  return true;
}

std::optional<Error> Connection::early_error(const Call& call) {
  const std::lock_guard lock(mutex_);
  return call.began ? std::nullopt : call.error;
}

std::optional<Value> Connection::take_item(Call& call) {
  std::unique_lock lock(mutex_);
  if (call.items.empty()) return std::nullopt;
  Value item = session_.take_item(call);
  flush(lock);
  return item;
}

void Connection::cancel(const std::shared_ptr<Call>& call) {
  std::unique_lock lock(mutex_);
  session_.cancel(call);
  changed_.notify_all();
  flush(lock);
}

Expected<std::shared_ptr<Connection>> Link::get() {
  const std::lock_guard lock(mutex_);
  if (current_ && current_->is_usable()) return current_;
  current_.reset();  // it stays as long as a call needs it
  auto opened = Connection::open(options_);
  if (!opened) return opened.error();
  current_ = *opened;
  return current_;
}

}  // namespace sluice::client::detail
