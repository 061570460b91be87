#include "bench/overload/connection.h"

#include "base/check.h"

#include <algorithm>

namespace sluice::overload {

bool Connection::open(const sockaddr* address) {
  CHECK(!is_open_);
  CHECK(uv_tcp_init(loop_, &tcp_) == 0);
  tcp_.data = this;
  uv_tcp_nodelay(&tcp_, 1);
  is_open_ = true;
  expects_ = false;
  auto connected = [](uv_connect_t* request, int failed) {
    auto* self = static_cast<Connection*>(request->handle->data);
    if (failed == UV_ECANCELED) return;  // closed by us
    if (failed != 0) return self->user_.on_lost(*self, false);
    uv_read_start(
        request->handle,
        [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
          *buffer = uv_buf_init(static_cast<Connection*>(handle->data)->read_buffer_,
                                static_cast<unsigned>(kReadBufferBytes));
        },
        [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
          static_cast<Connection*>(stream->data)->on_read(count);
        });
    self->user_.on_open(*self);
  };
  if (uv_tcp_connect(&connect_, &tcp_, address, connected) == 0) return true;
  close();
  return false;
}

void Connection::send(std::string_view request) {
  CHECK(is_open_ && !expects_);
  expects_ = true;
  told_token_ = false;
  reader_.start();
  auto* stream = reinterpret_cast<uv_stream_t*>(&tcp_);
  uv_buf_t buffer =
      uv_buf_init(const_cast<char*>(request.data()), static_cast<unsigned>(request.size()));
  // Nothing waits to be written here: the last request has been answered. What goes wrong shows
  // when the answer is read.
  int taken = uv_try_write(stream, &buffer, 1);
  if (taken == static_cast<int>(request.size())) return;
  unsent_ = request.substr(static_cast<std::size_t>(std::max(taken, 0)));
  buffer = uv_buf_init(unsent_.data(), static_cast<unsigned>(unsent_.size()));
  uv_write(&write_, stream, &buffer, 1, [](uv_write_t*, int) {});
}

void Connection::close() {
  if (!is_open_) return;
  is_open_ = false;
  auto closed = [](uv_handle_t* handle) {
    auto* self = static_cast<Connection*>(handle->data);
    self->user_.on_closed(*self);
  };
  if (uv_tcp_close_reset(&tcp_, closed) != 0)
    uv_close(reinterpret_cast<uv_handle_t*>(&tcp_), closed);
}

void Connection::on_read(ssize_t count) {
  if (!is_open_ || count == 0) return;
  if (count < 0) return user_.on_lost(*this, false);
  if (!expects_) return user_.on_lost(*this, true);
  auto state = reader_.take({read_buffer_, static_cast<std::size_t>(count)});
  if (state == AnswerReader::State::broken) return user_.on_lost(*this, true);
  if (reader_.answer().first_token && !told_token_) {
    told_token_ = true;
    user_.on_first_token(*this);
  }
  if (state != AnswerReader::State::done) return;
  expects_ = false;
  user_.on_answer(*this, reader_.answer());
}

}  // namespace sluice::overload
