#include "net/rpc_connection.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/utf8.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kCrcBytes = 4;
/// A frame whose beginning is known to hold its type and number.
constexpr std::size_t kFrontBytes = 16;
/// Kept by the reader and by an idle connection's buffers.
constexpr std::size_t kKeptBytes = std::size_t{256} << 10;
/// The least a client may take.
constexpr std::uint32_t kFrameBytesLeast = 4096;

RpcError too_many_inflight(std::string_view message) {
  return {.code = "too_many_inflight",
          .type = "rate_limit_error",
          .message = message,
          .http = 429,
          .retryable = true,
          .retry_after = std::chrono::milliseconds(50)};
}

RpcError no_memory() {
  return {.code = "overloaded",
          .type = "rate_limit_error",
          .message = "The bodies of other requests fill the memory there is.",
          .http = 429,
          .retryable = true,
          .retry_after = std::chrono::seconds(1)};
}

RpcError draining() {
  return {.code = "draining",
          .type = "server_error",
          .message = "The server is shutting down.",
          .http = 503,
          .retryable = true,
          .retry_after = std::chrono::seconds(5)};
}

RpcError cancelled() {
  return {.code = "cancelled",
          .type = "invalid_request_error",
          .message = "The request was cancelled.",
          .http = 499};
}

RpcError slow_client() {
  return {.code = "slow_client",
          .type = "invalid_request_error",
          .message = "The stream was given no credit for too long.",
          .http = 499};
}

std::string request_too_large_message(std::size_t bytes, std::size_t bytes_max) {
  return "The request has " + std::to_string(bytes) + " bytes, the limit is " +
         std::to_string(bytes_max) + ".";
}

RpcError request_too_large(std::string_view message) {
  return {.code = "request_too_large",
          .type = "invalid_request_error",
          .message = message,
          .http = 413};
}

RpcError too_large(std::string_view message) {
  return {.code = "frame_too_large",
          .type = "invalid_request_error",
          .message = message,
          .param = "max_frame",
          .http = 413};
}

/// Whether the request wants its answer as a stream.
bool wants_stream(MsgpackCursor params) {
  for (std::size_t pairs = params.map("params"); pairs > 0; --pairs) {
    if (params.string("a key") == "stream" && params.peek() == MsgpackKind::boolean)
      return params.boolean("stream");
    params.skip();
  }
  return false;
}

}  // namespace

RpcConnection::RpcConnection(const RpcOptions& options,
                             Owner& owner,
                             MsgpackReader& reader,
                             RpcCounts& counts,
                             TimePoint now)
    : options_(options),
      owner_(owner),
      reader_(reader),
      counts_(counts),
      window_(options.window_bytes),
      now_(now),
      opened_(now),
      heard_(now),
      traffic_(now) {}

RpcConnection::~RpcConnection() = default;

// ---- Reading

void RpcConnection::feed(std::string_view bytes, TimePoint now) {
  now_ = now;
  heard_ = now;
  pong_deadline_ = TimePoint::max();
  if (state_ == State::preface) read_preface(bytes);
  if (state_ == State::preface || state_ == State::ending) return;
  frames_.feed(bytes);
  read_frames();
}

/// Whoever speaks something else is told so where it can be, and let go.
void RpcConnection::read_preface(std::string_view& bytes) {
  const std::size_t taken = std::min(bytes.size(), kRpcPreface.size() - preface_.size());
  preface_.append(bytes.substr(0, taken));
  bytes.remove_prefix(taken);
  const std::size_t magic = std::min(preface_.size(), kRpcMajorAt);
  if (std::string_view(preface_).substr(0, magic) != kRpcPreface.substr(0, magic)) {
    state_ = State::ending;
    if (preface_[0] < 'A' || preface_[0] > 'Z') return;
    constexpr std::string_view kHint =
        "This port speaks Sluice RPC. HTTP is served on another one, 8000 if nothing else was "
        "chosen.\n";
    control_ += "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    control_ += "Content-Length: " + std::to_string(kHint.size()) + "\r\n\r\n";
    control_ += kHint;
    return;
  }
  if (preface_.size() < kRpcPreface.size()) return;
  control_ += kRpcPreface;
  if (preface_[kRpcMajorAt] != kRpcPreface[kRpcMajorAt]) {
    state_ = State::ending;  // our preface says what we speak
    return;
  }
  state_ = State::hello;
  if (preface_[6] != 0 || preface_[7] != 0)
    fail(RpcFatalCode::bad_preface, "The flags of the preface must be 0.");
}

void RpcConnection::read_frames() {
  for (;;) {
    auto payload = frames_.next();
    if (!payload) return fail(RpcFatalCode::frame_too_large, payload.error().message);
    if (!*payload) break;
    frame_deadline_ = TimePoint::max();
    on_frame(**payload);
    share_.reset();
    if (state_ == State::ending) return;
  }
  watch_awaited();
}

/// A frame whose end has not arrived holds memory and has its time.
void RpcConnection::watch_awaited() {
  const std::size_t length = frames_.awaited_length();
  if (length == 0) return;
  if (frame_deadline_ == TimePoint::max()) {
    const auto slowest = std::chrono::seconds(length / options_.frame_bytes_per_second_min);
    frame_deadline_ = now_ + options_.frame_timeout + slowest;
  }
  const std::size_t held = frames_.awaited().size();
  if (state_ != State::open || length <= BodyMemory::kFreeBytes || held < kFrontBytes) return;
  if (length > options_.request_bytes_max) {
    const std::string why = request_too_large_message(length, options_.request_bytes_max);
    return refuse_awaited(request_too_large(why));
  }
  if (!options_.body_memory) return;
  if (!share_) share_ = owner_.open_share(length);
  if (!share_ || !share_->resize(held)) refuse_awaited(no_memory());
}

/// Its rest is read away, so that the connection can go on behind it.
void RpcConnection::refuse_awaited(const RpcError& error) {
  MsgpackCursor message = reader_.front(frames_.awaited());
  const bool is_request = message.array("message") >= 4 &&
                          message.u64("type") == static_cast<std::uint64_t>(RpcType::request);
  const std::uint32_t id = message.u32("id");
  if (!is_request || !message.ok() || id == 0)
    return fail(RpcFatalCode::bad_message, "A large message that is no request.");
  if (streams_.contains(id))
    return fail(RpcFatalCode::duplicate_id, "The id " + std::to_string(id) + " is in use.");
  frames_.skip_awaited();
  frame_deadline_ = TimePoint::max();
  share_.reset();
  refuse_request(id, false, error);
}

void RpcConnection::give_way() {
  if (share_ && frames_.awaited_length() > 0) refuse_awaited(no_memory());
}

bool RpcConnection::check_crc(std::string_view& payload) {
  if (!crc32c_) return true;
  if (payload.size() <= kCrcBytes) return false;
  const std::string_view sum = payload.substr(payload.size() - kCrcBytes);
  payload.remove_suffix(kCrcBytes);
  std::uint32_t given = 0;
  for (const char byte : sum)
    given = given << 8 | static_cast<unsigned char>(byte);
  return given == crc32c(payload);
}

void RpcConnection::on_frame(std::string_view payload) {
  if (!check_crc(payload))
    return fail(RpcFatalCode::bad_frame, "A frame's checksum does not fit its bytes.");
  auto parsed = reader_.parse(payload);
  if (!parsed) return fail(RpcFatalCode::bad_frame, parsed.error().message);
  MsgpackCursor message = *parsed;
  if (message.peek() != MsgpackKind::array)
    return fail(RpcFatalCode::bad_frame, "A frame must hold an array.");
  const std::size_t elements = message.array("message");
  if (elements == 0) return fail(RpcFatalCode::bad_message, "A message without a type.");
  const std::uint64_t type = message.u64("type");
  if (is_bad(message)) return;
  const bool is_hello = type == static_cast<std::uint64_t>(RpcType::hello);
  const bool is_fatal = type == static_cast<std::uint64_t>(RpcType::fatal);
  if (state_ == State::hello && !is_hello && !is_fatal)
    return fail(RpcFatalCode::bad_message,
                "The first message must be HELLO, got type " + std::to_string(type) + ".");
  if (type >= kRpcLaterTypes) return;
  if (type < kRpcTypeNames.size()) RpcCounts::add(counts_.frames_in[type]);
  const auto known = static_cast<RpcType>(type);
  if (known != RpcType::ping && known != RpcType::pong) traffic_ = now_;
  if (state_ == State::hello && is_hello) return on_hello(message);
  switch (known) {
    case RpcType::request:
      on_request(message, elements, payload.size());
      break;
    case RpcType::notify:
      break;  // there is none that a server knows
    case RpcType::cancel:
      on_cancel(message);
      break;
    case RpcType::credit:
      on_credit(message);
      break;
    case RpcType::ping:
      on_ping(message);
      break;
    case RpcType::pong:
      message.u64("token");
      is_bad(message);
      break;
    case RpcType::fatal:
      let_go_of_streams();
      state_ = State::ending;
      break;
    default:
      fail(RpcFatalCode::bad_message,
           "A message of type " + std::to_string(type) + " is not for a server.");
  }
  if (reader_.capacity_bytes() > kKeptBytes) reader_ = MsgpackReader();
}

/// Whether a reader has found a mistake, which ends the connection.
bool RpcConnection::is_bad(const MsgpackCursor& message) {
  auto read = message.result();
  if (!read) fail(RpcFatalCode::bad_message, read.error().message);
  return !read;
}

void RpcConnection::on_hello(MsgpackCursor message) {
  auto hello = read_rpc_hello(message);
  if (!hello) return fail(RpcFatalCode::bad_message, hello.error().message);
  if (hello->frame_bytes_max < kFrameBytesLeast)
    return fail(RpcFatalCode::bad_message,
                "max_frame must be at least " + std::to_string(kFrameBytesLeast) + ", got " +
                    std::to_string(hello->frame_bytes_max) + ".");
  auto accepted = owner_.on_hello(*hello);
  if (auto* fatal = std::get_if<RpcFatal>(&accepted))
    return fail(fatal->code, std::move(fatal->message));
  auto& who = std::get<RpcAccepted>(accepted);
  client_ = std::move(who.client);
  frame_bytes_max_ = std::min(hello->frame_bytes_max, options_.frame_bytes_max);
  stream_credit_ = hello->stream_credit;
  RpcWelcome welcome;
  welcome.server = std::move(who.server);
  welcome.version = "1.0";
  welcome.session = std::move(who.session);
  if (hello->crc32c) welcome.features.emplace_back(kRpcCrcFeature);
  welcome.frame_bytes_max = static_cast<std::uint32_t>(frame_bytes_max_);
  welcome.inflight_max = options_.inflight_max;
  welcome.ping_ms = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(options_.ping_after).count());
  welcome.models = std::move(who.models);
  welcome.time_ms = who.time_ms;
  control(RpcType::welcome, [&](std::string& out) { append_rpc_welcome(out, welcome); });
  crc32c_ = hello->crc32c;
  frames_.limit(frame_bytes_max_ + (crc32c_ ? kCrcBytes : 0));
  state_ = State::open;
}

void RpcConnection::on_request(MsgpackCursor message, std::size_t elements, std::size_t bytes) {
  if (elements < 4)
    return fail(RpcFatalCode::bad_message, "A REQUEST has 4 elements, this one fewer.");
  RpcRequest request;
  request.id = message.u32("id");
  request.method = message.string("method");
  request.params = message;
  message.map("params");
  if (is_bad(message)) return;
  if (elements > 4) {
    MsgpackCursor meta = request.params;
    meta.skip();
    if (meta.peek() == MsgpackKind::map) {
      request.meta = meta;
    } else if (!meta.nil()) {
      return fail(RpcFatalCode::bad_message, "The meta of a REQUEST must be a map.");
    }
  }
  if (request.id == 0) return fail(RpcFatalCode::bad_message, "No request has the id 0.");
  request.is_stream = wants_stream(request.params);
  if (streams_.contains(request.id))
    return fail(RpcFatalCode::duplicate_id, "The id " + std::to_string(request.id) + " is in use.");
  if (draining_) return refuse_request(request.id, request.is_stream, draining());
  if (streams_.size() >= options_.inflight_max) {
    const std::string why = "This connection has " + std::to_string(streams_.size()) +
                            " requests that have no answer yet, the limit is " +
                            std::to_string(options_.inflight_max) + ".";
    return refuse_request(request.id, request.is_stream, too_many_inflight(why));
  }
  if (bytes > options_.request_bytes_max) {
    const std::string why = request_too_large_message(bytes, options_.request_bytes_max);
    return refuse_request(request.id, request.is_stream, request_too_large(why));
  }
  if (bytes > BodyMemory::kFreeBytes && options_.body_memory) {
    if (!share_) share_ = owner_.open_share(bytes);
    if (!share_ || !share_->resize(bytes))
      return refuse_request(request.id, request.is_stream, no_memory());
    share_->complete();
    request.memory = std::move(share_);
  }
  last_id_ = request.id;
  Stream& stream = streams_[request.id];
  stream.id = request.id;
  stream.is_stream = request.is_stream;
  stream.credit = stream_credit_;
  request.client = client_;
  stream.answerer = owner_.on_request(request);
}

void RpcConnection::on_cancel(MsgpackCursor message) {
  const std::uint32_t id = message.u32("id");
  message.string("reason");
  if (is_bad(message)) return;
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  if (stream.finished && !stream.has_items()) return;  // the answer is on its way
  cut(stream, cancelled());
}

void RpcConnection::on_credit(MsgpackCursor message) {
  const std::uint32_t id = message.u32("id");
  const std::uint64_t more = message.u64("n", UINT32_MAX);
  if (is_bad(message)) return;
  if (id == 0) {
    window_ += static_cast<std::int64_t>(more);
    if (window_ > static_cast<std::int64_t>(kRpcCreditMax))
      return fail(RpcFatalCode::flow_control, "The connection has more than 2^31 bytes of credit.");
    return requeue_all();
  }
  const auto found = streams_.find(id);
  if (found == streams_.end()) return;
  found->second.credit += more;
  if (found->second.credit > kRpcCreditMax)
    return fail(RpcFatalCode::flow_control, "A stream has more than 2^31 items of credit.");
  queue(found->second);
}

void RpcConnection::on_ping(MsgpackCursor message) {
  const std::uint64_t token = message.u64("token");
  if (is_bad(message)) return;
  control(RpcType::pong, [&](std::string& out) { append_rpc_pong(out, token); });
}

// ---- Answering

void RpcConnection::item(std::uint32_t id, std::string frame) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.finished) return;
  Stream& stream = found->second;
  if (frame.size() > kFramePrefixBytes + frame_bytes_max_) {
    const std::string why = "A piece of the answer has " + std::to_string(frame.size()) +
                            " bytes, the limit of a frame is " + std::to_string(frame_bytes_max_) +
                            ".";
    return cut(stream, too_large(why));
  }
  stream.bytes += frame.size();
  answer_bytes_ += frame.size();
  stream.items.push_back(std::move(frame));
  tell(stream);
  queue(stream);
}

void RpcConnection::finish(std::uint32_t id, std::string frame) {
  const auto found = streams_.find(id);
  if (found == streams_.end() || found->second.finished) return;
  Stream& stream = found->second;
  if (frame.size() > kFramePrefixBytes + frame_bytes_max_) {
    const std::string why = "The answer has " + std::to_string(frame.size()) +
                            " bytes, the limit of a frame is " + std::to_string(frame_bytes_max_) +
                            ".";
    return cut(stream, too_large(why));
  }
  stream.finished = true;
  answer_bytes_ += frame.size();
  stream.last = std::move(frame);
  queue(stream);
}

void RpcConnection::refuse_request(std::uint32_t id, bool is_stream, const RpcError& error) {
  control(is_stream ? RpcType::end : RpcType::response,
          [&](std::string& out) { out += rpc_failure(id, is_stream, error); });
}

/// The stream ends here, whatever its answerer may still say; what waits is dropped.
void RpcConnection::cut(Stream& stream, const RpcError& error) {
  answer_bytes_ -= stream.bytes + stream.last.size();
  stream.items.clear();
  stream.next_item = 0;
  stream.bytes = 0;
  stream.starved_since = TimePoint::max();
  stream.last = rpc_failure(stream.id, stream.is_stream, error);
  answer_bytes_ += stream.last.size();
  stream.finished = true;
  queue(stream);
  if (auto answerer = std::exchange(stream.answerer, nullptr)) answerer->gone();
}

void RpcConnection::queue(Stream& stream) {
  if (stream.queued || !stream.has_something()) return;
  stream.queued = true;
  ready_.push_back(&stream);
}

void RpcConnection::requeue_all() {
  for (auto& [id, stream] : streams_)
    queue(stream);
}

void RpcConnection::tell(const Stream& stream) {
  if (stream.answerer)
    stream.answerer->buffered(stream.bytes, stream.starved_since != TimePoint::max());
}

void RpcConnection::take(std::string& out, std::size_t most, TimePoint now) {
  now_ = now;
  out += control_;
  control_.clear();
  if (control_.capacity() > kKeptBytes) std::string().swap(control_);
  while (out.size() < most && !ready_.empty()) {
    Stream& stream = *ready_.front();
    ready_.pop_front();
    stream.queued = false;
    take_from(stream, out);
  }
  if (draining_ && state_ == State::open && streams_.empty()) state_ = State::ending;
}

/// One frame of a stream, so that all have their turn.
void RpcConnection::take_from(Stream& stream, std::string& out) {
  if (stream.has_items()) return take_item(stream, out);
  if (stream.last.empty()) return;
  append(out, stream.last);
  count_out(stream.is_stream ? RpcType::end : RpcType::response);
  answer_bytes_ -= stream.last.size();
  traffic_ = now_;
  streams_.erase(stream.id);
}

void RpcConnection::take_item(Stream& stream, std::string& out) {
  if (stream.credit == 0 || window_ <= 0) {
    if (stream.starved_since != TimePoint::max()) return;
    stream.starved_since = now_;
    return tell(stream);
  }
  const std::string frame = std::move(stream.items[stream.next_item++]);
  append(out, frame);
  count_out(RpcType::item);
  --stream.credit;
  window_ -= static_cast<std::int64_t>(frame.size() + (crc32c_ ? kCrcBytes : 0));
  stream.bytes -= frame.size();
  answer_bytes_ -= frame.size();
  stream.starved_since = TimePoint::max();
  traffic_ = now_;
  if (!stream.has_items()) {
    stream.items.clear();
    stream.next_item = 0;
  } else if (stream.next_item > 64 && stream.next_item > stream.items.size() / 2) {
    stream.items.erase(stream.items.begin(),
                       stream.items.begin() + static_cast<std::ptrdiff_t>(stream.next_item));
    stream.next_item = 0;
  }
  tell(stream);
  queue(stream);
}

void RpcConnection::append(std::string& out, std::string_view frame) const {
  if (!crc32c_) {
    out += frame;
    return;
  }
  const std::string_view payload = frame.substr(kFramePrefixBytes);
  const std::size_t start = begin_frame(out);
  out += payload;
  const std::uint32_t sum = crc32c(payload);
  for (int shift = 24; shift >= 0; shift -= 8)
    out += static_cast<char>(sum >> shift & 0xFF);
  end_frame(out, start);
}

template <class Make>
void RpcConnection::control(RpcType type, Make&& make) {
  std::string frame;
  make(frame);
  append(control_, frame);
  count_out(type);
}

// ---- The end

void RpcConnection::fail(RpcFatalCode code, std::string message) {
  if (state_ == State::ending) return;
  RpcCounts::add(counts_.fatals[static_cast<std::size_t>(code)]);
  control(RpcType::fatal, [&](std::string& out) {
    append_rpc_fatal(out, {code, repair_utf8(excerpt(message, 400))});
  });
  state_ = State::ending;
  share_.reset();
  let_go_of_streams();
}

void RpcConnection::let_go_of_streams() {
  ready_.clear();
  answer_bytes_ = 0;
  // Whoever hears of it must find a connection without requests.
  auto streams = std::exchange(streams_, {});
  for (auto& [id, stream] : streams)
    if (stream.answerer) stream.answerer->gone();
}

void RpcConnection::abandon() {
  state_ = State::ending;
  control_.clear();
  share_.reset();
  let_go_of_streams();
}

void RpcConnection::drain(Duration grace) {
  if (draining_ || state_ == State::ending) return;
  draining_ = true;
  if (state_ != State::open) {
    state_ = State::ending;
    return;
  }
  control(RpcType::notify, [](std::string& out) { append_rpc_state(out, true); });
  control(RpcType::go_away,
          [&](std::string& out) { append_rpc_go_away(out, last_id_, "draining", grace); });
}

void RpcConnection::refuse(std::string_view code) {
  control_ += kRpcPreface;
  control(RpcType::go_away,
          [&](std::string& out) { append_rpc_go_away(out, 0, code, Duration::zero()); });
  state_ = State::ending;
}

void RpcConnection::close_idle(std::string_view code) {
  if (state_ == State::ending || !streams_.empty()) return;
  if (state_ == State::open)
    control(RpcType::go_away,
            [&](std::string& out) { append_rpc_go_away(out, last_id_, code, Duration::zero()); });
  state_ = State::ending;
}

std::optional<TimePoint> RpcConnection::idle_since() const {
  if (state_ == State::ending || !streams_.empty() || frames_.awaited_length() > 0)
    return std::nullopt;
  return traffic_;
}

void RpcConnection::check_deadlines(TimePoint now) {
  now_ = now;
  if (state_ == State::ending) return;
  if (state_ != State::open && now - opened_ >= options_.handshake_timeout) {
    if (state_ == State::hello)
      return fail(RpcFatalCode::handshake_timeout, "HELLO did not arrive in time.");
    state_ = State::ending;
    return;
  }
  if (frame_deadline_ <= now)
    return fail(RpcFatalCode::idle_timeout,
                "A frame of " + std::to_string(frames_.awaited_length()) +
                    " bytes did not arrive in time.");
  if (pong_deadline_ <= now)
    return fail(RpcFatalCode::ping_timeout, "No answer to a PING, nor anything else.");
  if (state_ == State::open && streams_.empty() && now - traffic_ >= options_.idle_timeout)
    return close_idle("idle");
  if (!streams_.empty() && pong_deadline_ == TimePoint::max() &&
      now - heard_ >= options_.ping_after) {
    control(RpcType::ping, [&](std::string& out) { append_rpc_ping(out, ++pings_); });
    pong_deadline_ = now + options_.pong_timeout;
  }
  for (auto& [id, stream] : streams_)
    if (stream.starved_since != TimePoint::max() &&
        now - stream.starved_since >= options_.slow_client_timeout)
      cut(stream, slow_client());
  if (frames_.empty() && now - heard_ > std::chrono::seconds(1)) frames_.release();
}

}  // namespace sluice
