// The state machine of a connection.
#include "net/http_connection.h"

#include "base/check.h"
#include "net/ascii.h"
#include "net/http_response.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kSliceBytes = std::size_t{128} << 10;  ///< of one write, to see progress
constexpr std::size_t kKeptBytes = std::size_t{64} << 10;    ///< capacity worth keeping
/// More than the sockets of both sides hold (Linux: up to 32 MiB to receive, 4 to send): a client
/// that looks for an answer between two writes finds it before a reset can destroy it.
constexpr std::size_t kLingerBytes = std::size_t{64} << 20;
constexpr Duration kLingerTime = std::chrono::seconds(2);
/// A new connection's first request may be on its way for so long.
constexpr Duration kFirstRequest = std::chrono::seconds(1);

uv_stream_t* stream(uv_tcp_t* socket) {
  return reinterpret_cast<uv_stream_t*>(socket);
}
uv_handle_t* handle(uv_tcp_t* socket) {
  return reinterpret_cast<uv_handle_t*>(socket);
}

void release(std::string& text) {
  std::string().swap(text);
}

}  // namespace

HttpConnection::HttpConnection(std::shared_ptr<HttpLoop> home,
                               std::string address,
                               std::string peer)
    : home_(std::move(home)),
      address_(std::move(address)),
      peer_(std::move(peer)),
      gate_(home_->options()) {}

bool HttpConnection::open(int socket) {
  CHECK(uv_tcp_init(home_->loop().uv(), &socket_) == 0);
  socket_.data = this;
  home_->add(this);
  if (uv_tcp_open(&socket_, socket) != 0) {
    ::close(socket);
    close();
    return false;
  }
  deadline_ = now() + options().first_byte_timeout;
  idle_place_ = home_->next_idle_place();
  start_reading();
  return true;
}

void HttpConnection::start(std::shared_ptr<HttpLoop> home,
                           int socket,
                           std::string address,
                           std::string peer) {
  auto* connection = new HttpConnection(std::move(home), std::move(address), std::move(peer));
  connection->open(socket);
}

void HttpConnection::refuse(std::shared_ptr<HttpLoop> home,
                            int socket,
                            std::string peer,
                            const HttpFault& fault) {
  ++home->shared().lingering_refusals;
  auto* connection = new HttpConnection(std::move(home), "", std::move(peer));
  connection->refused_ = true;
  if (connection->open(socket)) connection->fail(fault);
}

// ---- Reading

void HttpConnection::start_reading() {
  if (reading_) return;
  reading_ = true;
  const int rc = uv_read_start(
      stream(&socket_),
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto* connection = static_cast<HttpConnection*>(handle->data);
        *buffer = uv_buf_init(connection->home_->loop().read_buffer(),
                              static_cast<unsigned>(connection->read_bytes_max()));
      },
      [](uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
        auto* connection = static_cast<HttpConnection*>(stream->data);
        if (size > 0) {
          connection->home_->shared().bytes_in.fetch_add(static_cast<std::uint64_t>(size),
                                                         std::memory_order_relaxed);
          connection->on_bytes({buffer->base, static_cast<std::size_t>(size)});
        } else if (size < 0) {
          connection->on_end(size == UV_EOF);
        }
      });
  if (rc != 0) close();
}

void HttpConnection::stop_reading() {
  if (!reading_) return;
  reading_ = false;
  uv_read_stop(stream(&socket_));
}

void HttpConnection::on_bytes(std::string_view bytes) {
  cold_ = false;
  switch (state_) {
    case State::idle:
    case State::head:
    case State::body:
    case State::unwanted:
      return consume(bytes);
    case State::running:
    case State::flushing:
      return hold(bytes);
    case State::lingering:
      dropped_ += bytes.size();
      if (dropped_ > kLingerBytes) close();
      return;
    case State::closed:
      return;
  }
}

/// While a request runs no more is read than may wait.
std::size_t HttpConnection::read_bytes_max() const {
  if (state_ != State::running && state_ != State::flushing)
    return EventLoop::Impl::kReadBufferBytes;
  const std::size_t most = std::max(options().pipelined_bytes_max, in_.size() + 1);
  return std::min(most - in_.size(), EventLoop::Impl::kReadBufferBytes);
}

void HttpConnection::on_end(bool clean) {
  reading_ = false;  // libuv stops by itself
  if (state_ == State::unwanted && clean) return give_up_body();
  if (state_ == State::flushing && clean) {
    // The answer is complete; a client that only shut its side may still read it.
    close_after_ = true;
    return;
  }
  close();
}

void HttpConnection::hold(std::string_view bytes) {
  in_.append(bytes);
  // Reading pauses only when this much waits: until then the end of the stream is seen.
  static constexpr std::string_view kHeadEnd = "\r\n\r\n";
  for (;;) {
    const std::size_t found = in_.find(kHeadEnd, heads_scanned_);
    if (found == std::string::npos) break;
    ++waiting_heads_;
    heads_scanned_ = found + kHeadEnd.size();
  }
  heads_scanned_ = std::max(heads_scanned_, in_.size() - std::min<std::size_t>(in_.size(), 3));
  if (!may_hold_more() || in_.size() >= options().pipelined_bytes_max ||
      waiting_heads_ >= options().pipelined_max) {
    stop_reading();
  } else {
    start_reading();
  }
}

/// What waits for its turn counts as bodies do, but for a little.
bool HttpConnection::may_hold_more() {
  if (in_.size() <= BodyMemory::kFreeBytes || !options().body_memory) return true;
  if (!held_share_) {
    held_share_ = options().body_memory->open(address_, 0, [] {});
    if (!held_share_) return false;
    held_share_->complete();
  }
  return held_share_->resize(in_.size());
}

void HttpConnection::consume(std::string_view arrived) {
  // Bytes are parsed where they lie in the loop's read buffer; only what is left over is kept.
  parsing_ = true;
  std::string_view rest;
  if (in_.empty()) {
    rest = arrived.substr(parse(arrived));
    parsing_ = false;
    if (state_ >= State::lingering || rest.empty()) return;
    if (state_ == State::running || state_ == State::flushing) {
      hold(rest);
    } else {
      in_.assign(rest);
    }
    return;
  }
  in_.append(arrived);
  in_.erase(0, parse(in_));
  parsing_ = false;
  heads_scanned_ = waiting_heads_ = 0;
  held_share_.reset();
  if (state_ == State::running || state_ == State::flushing) {
    hold({});
  } else if (state_ < State::running) {
    start_reading();
  }
  if (in_.capacity() > kKeptBytes && in_.empty()) release(in_);
}

/// Parses until more bytes are needed, a request is with its handler, or the connection ends.
std::size_t HttpConnection::parse(std::string_view bytes) {
  std::size_t used = 0;
  for (;;) {
    const std::string_view rest = bytes.substr(used);
    switch (state_) {
      case State::idle:
        // An empty line alone begins no request.
        if (rest.empty() || rest == "\r" || rest == "\r\n") return used;
        state_ = State::head;
        note_idle(false);
        deadline_ = now() + options().header_timeout;
        break;
      case State::head: {
        const HeaderGate::State passed = gate_.feed(rest);
        if (passed == HeaderGate::State::need_more) return used;
        if (passed == HeaderGate::State::fault) {
          fail(gate_.fault());
          return bytes.size();
        }
        const std::size_t end = gate_.head_end();
        used += end;
        begin_request(rest.substr(gate_.head_begin(), end - gate_.head_begin()),
                      used < bytes.size());
        gate_.reset();
        break;
      }
      case State::body: {
        const HttpBody::Step step = body_.feed(rest, *parser_, *request_, options());
        used += step.consumed;
        if (step.fault) {
          fail(of_request(*step.fault));
          return bytes.size();
        }
        if (!step.done) return used;
        dispatch();
        break;
      }
      case State::unwanted:
        used += drop_body(rest);
        if (state_ == State::unwanted) return used;
        break;
      case State::running:
      case State::flushing:
        return used;
      case State::lingering:
      case State::closed:
        return bytes.size();
    }
  }
}

void HttpConnection::begin_request(std::string_view head, bool body_arrived) {
  request_ = std::make_unique<HttpRequest>();
  if (!parser_) parser_ = std::make_unique<HttpParser>();
  HttpFault fault;
  const bool parsed = parser_->parse_head(head, gate_.framing(), *request_, fault);
  head_request_ = request_->method == "HEAD";
  if (!parsed) return fail(fault);
  request_->peer = peer_;
  request_->received = SystemClock().now();
  http10_ = request_->version_minor == 0;
  close_after_ = !parser_->keep_alive() || home_->draining();
  if (auto refusal = home_->handler().on_head(*request_)) {
    return refuse_request(std::move(*refusal));
  }
  std::function<void()> give_way;
  const bool counts = request_->content_length.value_or(~0ULL) > BodyMemory::kFreeBytes;
  if (request_->has_body && counts && options().body_memory) {
    if (!self_) self_ = std::make_shared<HttpConnection*>(this);
    give_way = [self = self_, mailbox = home_->loop().mailbox()] {
      mailbox->post([self] {
        if (*self != nullptr) (*self)->give_way();
      });
    };
  }
  if (auto refusal = body_.begin(*request_, options(), address_, std::move(give_way), now()))
    return fail(of_request(std::move(*refusal)));
  request_->has_body ? await_body(body_arrived) : dispatch();
}

void HttpConnection::await_body(bool body_arrived) {
  state_ = State::body;
  if (request_->expects_continue && !body_arrived) {
    out_.append("HTTP/1.1 100 Continue\r\n\r\n");
    flush();
  }
}

void HttpConnection::dispatch() {
  state_ = State::running;
  streaming_ = false;
  exchange_ =
      std::make_shared<ExchangeState>(home_->loop().mailbox(), this, options().stream_buffer);
  const std::unique_ptr<HttpRequest> request = std::move(request_);
  home_->handler().on_request(std::move(*request), std::make_shared<PostingExchange>(exchange_));
}

// ---- Answering

/// A client that is refused comes back, and another connection would cost both sides more than the
/// rest of this request. Who has announced much goes, and so does who waits to be invited: whether
/// its body follows nobody can tell (RFC 9110, section 10.1.1).
void HttpConnection::refuse_request(HttpResponse response) {
  if (!request_->has_body) return answer(std::move(response));
  const bool is_short = request_->content_length.value_or(0) <= HttpBody::kDroppedBytesMax;
  if (close_after_ || response.close || !is_short || request_->expects_continue) {
    linger_after_ = close_after_ = true;
    return answer(std::move(response));
  }
  append_answer(response);
  request_.reset();
  body_.begin_unwanted(now());
  state_ = State::unwanted;
}

/// Reads the body of a refused request away. What has come with the head is dropped before the
/// answer is sent, the rest behind it.
std::size_t HttpConnection::drop_body(std::string_view bytes) {
  const HttpBody::Step step = body_.drop(bytes, *parser_);
  if (step.fault) {
    give_up_body();
  } else if (step.done) {
    finish_answer();
  } else {
    flush();
  }
  return step.consumed;
}

/// Where the next request would begin cannot be told any more.
void HttpConnection::give_up_body() {
  linger_after_ = close_after_ = true;
  finish_answer();
}

/// A fault of the request whose head has been read, or of one that has none yet.
HttpFault HttpConnection::of_request(HttpFault fault) const {
  if (!request_) return fault;
  fault.request_id = request_->header("x-request-id").value_or("");
  fault.origin = request_->header("origin").value_or("");
  return fault;
}

/// Others need the memory of the body that is being read.
void HttpConnection::give_way() {
  if (state_ == State::body) fail(of_request(HttpBody::no_memory()));
}

void HttpConnection::fail(const HttpFault& fault) {
  HttpResponse response = home_->handler().on_fault(fault);
  const auto names_retry = [](const auto& field) {
    return ascii::equals(field.first, "x-should-retry");
  };
  if (fault.status == 501 &&
      std::none_of(response.headers.begin(), response.headers.end(), names_retry)) {
    // Clients retry every 5xx unless they are told that it is of no use.
    response.headers.emplace_back("x-should-retry", "false");
  }
  if (!request_) head_request_ = false;  // of the request before
  linger_after_ = close_after_ = true;
  answer(std::move(response));
}

void HttpConnection::respond(HttpResponse response) {
  CHECK(!streaming_);
  answer(std::move(response));
}

void HttpConnection::answer(HttpResponse response) {
  if (response.close || home_->draining()) close_after_ = true;
  append_answer(response);
  finish_answer();
}

void HttpConnection::append_answer(const HttpResponse& response) {
  const bool no_length = response.status == 204;
  const bool no_body = head_request_ || no_length || response.status == 304;
  home_->heads().append(
      out_,
      response,
      {.content_length = no_length ? std::nullopt : std::optional(response.content().size()),
       .chunked = false,
       .close = close_after_},
      std::time(nullptr));
  if (!no_body) out_.append(response.content());
}

void HttpConnection::begin_stream(HttpResponse head) {
  CHECK(!streaming_);
  streaming_ = true;
  chunked_ = !http10_;
  if (head.close || http10_ || home_->draining()) close_after_ = true;
  home_->heads().append(
      out_,
      head,
      {.content_length = std::nullopt, .chunked = chunked_, .close = close_after_},
      std::time(nullptr));
  queue_flush();
}

void HttpConnection::write_piece(std::string_view piece) {
  CHECK(streaming_);
  if (piece.empty()) return;
  queue_flush();  // even if nothing is sent, for there is less under way
  if (head_request_) return;
  if (chunked_) {
    append_chunk(out_, piece);
  } else {
    out_.append(piece);
  }
}

void HttpConnection::end_stream(std::string_view piece) {
  write_piece(piece);
  if (chunked_ && !head_request_) out_.append(kLastChunk);
  finish_answer();
}

void HttpConnection::abort() {
  detach();
  close_socket(true);
}

void HttpConnection::finish_answer() {
  detach();
  request_.reset();
  body_.end();
  state_ = State::flushing;
  // Whoever has read the answer comes back to a place that is counted, however late we get on.
  if (!close_after_ && !linger_after_) note_idle(true);
  flush();
  if (state_ == State::flushing) note_idle(false);
}

/// The whole answer is with the system.
void HttpConnection::answer_sent() {
  if (linger_after_) return linger();
  if (close_after_) {
    // A client that already sent more would have its answer destroyed by a reset.
    return in_.empty() ? close_socket(false) : linger();
  }
  state_ = State::idle;
  served_ = true;
  note_idle(true);
  idle_place_ = home_->next_idle_place();
  deadline_ = now() + options().idle_timeout;
  if (parsing_) return;
  if (in_.empty()) {
    start_reading();
  } else {
    consume({});
  }
}

void HttpConnection::linger() {
  state_ = State::lingering;
  deadline_ = now() + kLingerTime;
  dropped_ = 0;
  if (!parsing_) release(in_);
  held_share_.reset();
  auto* request = new uv_shutdown_t;
  const int rc =
      uv_shutdown(request, stream(&socket_), [](uv_shutdown_t* done, int) { delete done; });
  if (rc != 0) {
    delete request;
    return close_socket(false);
  }
  start_reading();
}

// ---- Writing

void HttpConnection::queue_flush() {
  if (flush_queued_) return;
  flush_queued_ = true;
  home_->loop().at_round_end(this);
}

void HttpConnection::run_at_round_end() {
  flush_queued_ = false;
  if (state_ != State::closed) flush();
}

void HttpConnection::flush() {
  if (!writing_ && !out_.empty()) {
    const uv_buf_t buffer = uv_buf_init(out_.data(), static_cast<unsigned>(out_.size()));
    const int taken = uv_try_write(stream(&socket_), &buffer, 1);
    if (taken < 0 && taken != UV_EAGAIN) return close();
    const std::size_t size = taken > 0 ? static_cast<std::size_t>(taken) : 0;
    home_->shared().bytes_out.fetch_add(size, std::memory_order_relaxed);
    if (size == out_.size()) {
      out_.clear();
      if (out_.capacity() > kKeptBytes) release(out_);
    } else {
      sending_.swap(out_);
      sent_ = size;
      send_slice();
    }
  }
  note_progress();
}

void HttpConnection::send_slice() {
  writing_ = true;
  slice_ = std::min(kSliceBytes, sending_.size() - sent_);
  const uv_buf_t buffer = uv_buf_init(sending_.data() + sent_, static_cast<unsigned>(slice_));
  write_deadline_ = now() + options().write_timeout;
  const int rc = uv_write(&write_, stream(&socket_), &buffer, 1, [](uv_write_t* write, int status) {
    static_cast<HttpConnection*>(write->handle->data)->on_sent(status);
  });
  if (rc != 0) {
    writing_ = false;
    close();
  }
}

void HttpConnection::on_sent(int status) {
  writing_ = false;
  if (state_ == State::closed) return;
  if (status != 0) return close();
  sent_ += slice_;
  home_->shared().bytes_out.fetch_add(slice_, std::memory_order_relaxed);
  if (sent_ < sending_.size()) {
    send_slice();
    return note_progress();
  }
  sending_.clear();
  sent_ = 0;
  if (sending_.capacity() > kKeptBytes) release(sending_);
  flush();
}

void HttpConnection::note_progress() {
  if (state_ == State::closed) return;
  count_answers(out_.size() + sending_.size());
  if (state_ == State::closed) return;  // there was no room
  const std::size_t left = unsent();
  if (exchange_) {
    exchange_->buffered.store(left);
    exchange_->report_writable();
  }
  if (left > 0) return;
  write_deadline_ = TimePoint::max();
  if (state_ == State::flushing) answer_sent();
}

void HttpConnection::count_answers(std::size_t now) {
  const std::size_t before = std::exchange(counted_, now);
  home_->count_answers(before, now);
}

TimePoint HttpConnection::stands_since() const {
  const bool stands = state_ != State::closed && writing_;
  return stands ? write_deadline_ - options().write_timeout : TimePoint::max();
}

// ---- The end

/// Takes the exchange off: it will hear nothing more of this connection.
std::shared_ptr<ExchangeState> HttpConnection::detach() {
  auto exchange = std::move(exchange_);
  exchange_ = nullptr;
  if (!exchange) return nullptr;
  exchange->connection = nullptr;
  exchange->buffered.store(0);
  return exchange;
}

void HttpConnection::close(bool reset) {
  if (state_ == State::closed) return;
  const auto exchange = detach();
  close_socket(reset);
  if (exchange) exchange->client.tell_gone();
}

void HttpConnection::close_socket(bool reset) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  // Not only when libuv has let go of the socket, after all other work of this round.
  release(out_);
  release(sending_);
  count_answers(0);
  note_idle(false);
  request_.reset();
  body_.end();
  held_share_.reset();
  if (self_) *self_ = nullptr;
  const auto closed = [](uv_handle_t* handle) {
    auto* connection = static_cast<HttpConnection*>(handle->data);
    connection->home_->remove(connection);
    delete connection;
  };
  if (refused_) {
    --home_->shared().lingering_refusals;
  } else {
    home_->shared().leave(address_);
  }
  // A reset is not possible once our side was shut.
  if (!reset || uv_tcp_close_reset(&socket_, closed) != 0) uv_close(handle(&socket_), closed);
}

void HttpConnection::close_if_idle() {
  if (state_ == State::unwanted) return give_up_body();
  if (state_ != State::idle || !in_.empty()) return;
  if (served_) return close();
  // A moment is enough for the first request of a new connection.
  deadline_ = std::min(deadline_, now() + kFirstRequest);
}

// ---- Time

std::optional<std::uint64_t> HttpConnection::idle_place() const {
  if (state_ != State::idle || !in_.empty()) return std::nullopt;
  const TimePoint accepted = deadline_ - options().first_byte_timeout;
  if (!served_ && now() - accepted < kFirstRequest) return std::nullopt;
  return idle_place_;
}

/// Other loops see how many connections could make room.
void HttpConnection::note_idle(bool idle) {
  if (refused_ || std::exchange(idle_counted_, idle) == idle) return;
  idle ? ++home_->shared().idle : --home_->shared().idle;
}

void HttpConnection::check_deadlines(TimePoint now) {
  if (state_ == State::closed) return;
  // A client that reads nothing would keep what is queued for ever.
  if (write_deadline_ <= now) return close(true);
  const auto timed_out = [this](const char* what) {
    fail(of_request({408, "request_timeout", what, ""}));
  };
  switch (state_) {
    case State::idle:
      if (deadline_ <= now) return close();
      return release_memory();
    case State::head:
      if (deadline_ <= now) timed_out("the request's headers did not arrive in time");
      return;
    case State::body:
      if (body_.deadline(options()) <= now) timed_out("the request's body did not arrive in time");
      return;
    case State::unwanted:
      if (body_.deadline(options()) <= now) give_up_body();
      return;
    case State::lingering:
      if (deadline_ <= now) close();
      return;
    case State::running:
      if (!reading_ && client_has_shut()) close();
      return;
    case State::flushing:
    case State::closed:
      return;
  }
}

/// While so much waits that nothing is read, the end of the stream does not show by itself.
bool HttpConnection::client_has_shut() const {
  uv_os_fd_t socket = -1;
  tcp_info info{};
  socklen_t size = sizeof info;
  return uv_fileno(reinterpret_cast<const uv_handle_t*>(&socket_), &socket) == 0 &&
         ::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
         info.tcpi_state != TCP_ESTABLISHED;
}

/// An idle connection keeps neither buffers nor parser, but a busy one keeps them between requests.
void HttpConnection::release_memory() {
  if (!cold_) {
    cold_ = true;
    return;
  }
  if (in_.empty()) release(in_);
  if (out_.empty()) release(out_);
  if (sending_.empty()) release(sending_);
  parser_.reset();
}

}  // namespace sluice
