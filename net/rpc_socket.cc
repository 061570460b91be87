#include "net/rpc_socket.h"

#include "base/check.h"
#include "net/rpc_call.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

/// Taken from the connection at once: what is here has its order, what waits there has not.
constexpr std::size_t kTakenBytes = std::size_t{256} << 10;
constexpr std::size_t kSliceBytes = std::size_t{128} << 10;  ///< of one write, to see progress
constexpr std::size_t kKeptBytes = std::size_t{64} << 10;    ///< capacity worth keeping
/// What a client may still send while it reads why it was let go; see `HttpConnection`.
constexpr std::size_t kLingerBytes = std::size_t{64} << 20;
constexpr Duration kLingerTime = std::chrono::seconds(2);

uv_stream_t* stream(uv_tcp_t* socket) {
  return reinterpret_cast<uv_stream_t*>(socket);
}
uv_handle_t* handle(uv_tcp_t* socket) {
  return reinterpret_cast<uv_handle_t*>(socket);
}

}  // namespace

RpcSocket::RpcSocket(std::shared_ptr<RpcLoop> home, std::string address, bool refused)
    : home_(std::move(home)),
      address_(std::move(address)),
      connection_(home_->options(), *this, home_->reader(), home_->counts(), home_->loop().now()),
      self_(std::make_shared<RpcSocket*>(this)),
      refused_(refused) {}

void RpcSocket::start(std::shared_ptr<RpcLoop> home, int socket, std::string address) {
  auto* created = new RpcSocket(std::move(home), std::move(address), false);
  created->open(socket);
}

void RpcSocket::refuse(std::shared_ptr<RpcLoop> home, int socket, std::string_view code) {
  auto* created = new RpcSocket(std::move(home), "", true);
  if (!created->open(socket)) return;
  created->connection_.refuse(code);
  created->flush();
}

bool RpcSocket::open(int socket) {
  CHECK(uv_tcp_init(home_->loop().uv(), &socket_) == 0);
  socket_.data = this;
  home_->add(this);
  if (refused_) home_->count_refusal(true);
  if (uv_tcp_open(&socket_, socket) != 0) {
    ::close(socket);
    close();
    return false;
  }
  note_idle();
  start_reading();
  return true;
}

// ---- Reading

void RpcSocket::start_reading() {
  if (reading_) return;
  reading_ = true;
  const int rc = uv_read_start(
      stream(&socket_),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto& loop = static_cast<RpcSocket*>(handle->data)->home_->loop();
        *buffer = uv_buf_init(loop.read_buffer(), EventLoop::Impl::kReadBufferBytes);
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
        auto* socket = static_cast<RpcSocket*>(stream->data);
        if (size > 0) {
          socket->on_bytes({buffer->base, static_cast<std::size_t>(size)});
        } else if (size < 0) {
          socket->reading_ = false;  // libuv stops by itself
          socket->close();
        }
      });
  if (rc != 0) close();
}

void RpcSocket::stop_reading() {
  if (!reading_) return;
  reading_ = false;
  uv_read_stop(stream(&socket_));
}

void RpcSocket::on_bytes(std::string_view bytes) {
  home_->shared().bytes_in.fetch_add(bytes.size(), std::memory_order_relaxed);
  if (lingering_ || connection_.is_ending()) {
    dropped_ += bytes.size();
    if (dropped_ > kLingerBytes) close();
    return;
  }
  connection_.feed(bytes, now());
  note_idle();
  queue_flush();
}

std::variant<RpcAccepted, RpcFatal> RpcSocket::on_hello(const RpcHello& hello) {
  return home_->handler().on_hello(hello);
}

std::shared_ptr<RpcAnswerer> RpcSocket::on_request(RpcRequest& request) {
  request.address = address_;
  auto state = std::make_shared<RpcCallState>(home_->loop().mailbox(),
                                              self_,
                                              request.id,
                                              request.is_stream,
                                              home_->options().stream_buffer);
  home_->handler().on_request(request, std::make_shared<PostingRpcCall>(state));
  return state;
}

std::shared_ptr<BodyShare> RpcSocket::open_share(std::size_t bytes) {
  return home_->options().body_memory->open(
      address_, bytes, [self = self_, mailbox = home_->loop().mailbox()] {
        mailbox->post([self] {
          if (*self == nullptr) return;
          (*self)->connection_.give_way();
          (*self)->queue_flush();
        });
      });
}

// ---- Answering

void RpcSocket::item(std::uint32_t id, std::string frame) {
  connection_.item(id, std::move(frame));
  queue_flush();
}

void RpcSocket::finish(std::uint32_t id, std::string frame) {
  connection_.finish(id, std::move(frame));
  queue_flush();
}

// ---- Writing

void RpcSocket::queue_flush() {
  if (flush_queued_ || closed_) return;
  flush_queued_ = true;
  home_->loop().at_round_end(this);
}

void RpcSocket::run_at_round_end() {
  flush_queued_ = false;
  if (!closed_) flush();
}

void RpcSocket::flush() {
  while (!writing_ && !closed_) {
    connection_.take(out_, kTakenBytes, now());
    if (out_.empty()) break;
    const uv_buf_t buffer = uv_buf_init(out_.data(), static_cast<unsigned>(out_.size()));
    const int taken = uv_try_write(stream(&socket_), &buffer, 1);
    if (taken < 0 && taken != UV_EAGAIN) return close();
    sent_ = taken > 0 ? static_cast<std::size_t>(taken) : 0;
    home_->shared().bytes_out.fetch_add(sent_, std::memory_order_relaxed);
    if (sent_ < out_.size()) {
      send_slice();
    } else {
      out_.clear();
    }
  }
  if (out_.empty() && out_.capacity() > kKeptBytes) std::string().swap(out_);
  note_progress();
}

void RpcSocket::send_slice() {
  writing_ = true;
  slice_ = std::min(kSliceBytes, out_.size() - sent_);
  const uv_buf_t buffer = uv_buf_init(out_.data() + sent_, static_cast<unsigned>(slice_));
  write_deadline_ = now() + home_->options().write_timeout;
  const int rc = uv_write(&write_, stream(&socket_), &buffer, 1, [](uv_write_t* write, int status) {
    static_cast<RpcSocket*>(write->handle->data)->on_sent(status);
  });
  if (rc != 0) {
    writing_ = false;
    close();
  }
}

void RpcSocket::on_sent(int status) {
  writing_ = false;
  if (closed_) return;
  if (status != 0) return close();
  sent_ += slice_;
  home_->shared().bytes_out.fetch_add(slice_, std::memory_order_relaxed);
  if (sent_ < out_.size()) {
    send_slice();
    return note_progress();
  }
  out_.clear();
  flush();
}

void RpcSocket::note_progress() {
  if (closed_) return;
  const std::size_t waiting = connection_.unsent_bytes() + (writing_ ? out_.size() : 0);
  const std::size_t before = std::exchange(counted_, waiting);
  home_->count_answers(before, waiting);
  if (closed_) return;  // there was no room
  note_idle();
  if (!writing_) write_deadline_ = TimePoint::max();
  if (connection_.is_ending()) {
    if (!writing_ && !lingering_) linger();
  } else if (connection_.is_flooded()) {
    stop_reading();
  } else {
    start_reading();
  }
}

TimePoint RpcSocket::stands_since() const {
  return !closed_ && writing_ ? write_deadline_ - home_->options().write_timeout : TimePoint::max();
}

// ---- The end

/// Closing at once what still has bytes to read would destroy our last words on their way.
void RpcSocket::linger() {
  lingering_ = true;
  linger_deadline_ = now() + kLingerTime;
  auto* request = new uv_shutdown_t;
  const int rc =
      uv_shutdown(request, stream(&socket_), [](uv_shutdown_t* done, int) { delete done; });
  if (rc != 0) {
    delete request;
    return close();
  }
  start_reading();
}

void RpcSocket::drain() {
  connection_.drain(home_->options().drain_grace);
  flush();
}

void RpcSocket::close_idle() {
  connection_.close_idle("overloaded");
  flush();
  if (!closed_) close();
}

std::optional<TimePoint> RpcSocket::idle_since() const {
  if (closed_ || refused_ || writing_) return std::nullopt;
  return connection_.idle_since();
}

void RpcSocket::note_idle() {
  const bool idle = idle_since().has_value();
  if (std::exchange(idle_counted_, idle) == idle) return;
  idle ? ++home_->shared().idle : --home_->shared().idle;
}

void RpcSocket::check_deadlines(TimePoint now) {
  if (closed_) return;
  if (write_deadline_ <= now) return close(true);
  if (linger_deadline_ <= now) return close();
  connection_.check_deadlines(now);
  queue_flush();
}

void RpcSocket::close(bool reset) {
  if (closed_) return;
  closed_ = true;
  *self_ = nullptr;
  if (std::exchange(idle_counted_, false)) --home_->shared().idle;
  connection_.abandon();
  home_->count_answers(std::exchange(counted_, 0), 0);
  refused_ ? home_->count_refusal(false) : home_->shared().leave(address_);
  const auto closed = [](uv_handle_t* handle) {
    auto* socket = static_cast<RpcSocket*>(handle->data);
    socket->home_->remove(socket);
    delete socket;
  };
  // A reset is not possible once our side was shut.
  if (!reset || uv_tcp_close_reset(&socket_, closed) != 0) uv_close(handle(&socket_), closed);
}

}  // namespace sluice
