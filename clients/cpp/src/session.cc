#include "session.h"

#include <algorithm>
#include <utility>

namespace sluice::client::detail {
namespace {

/// The connection's window is of no use to us: every stream has its own.
constexpr std::int64_t kWholeWindow = (std::int64_t{1} << 31) - (std::int64_t{1} << 20);

/// FATAL codes after which another attempt may go well: the server gave up on a silent connection.
bool is_passing(const std::string& code) {
  return code == "idle_timeout" || code == "ping_timeout" || code == "handshake_timeout";
}

}  // namespace

Error read_error(const Value& error) {
  Error read;
  read.code = error["code"].text();
  read.message = error["message"].text();
  read.type = error["type"].text();
  read.param = error["param"].text();
  read.http = static_cast<int>(error["http"].integer());
  read.retryable = error["retryable"].boolean();
  if (error["retry_after_ms"].is_integer())
    read.retry_after = Milliseconds(error["retry_after_ms"].integer());
  read.request_id = error["request_id"].text();
  return read;
}

Session::Session(const Options& options) : options_(options), splitter_(options.frame_bytes_max) {
  out_ = kPreface;
  Value::Map hello{{"client", options.name}};
  if (!options.api_key.empty())
    hello.emplace_back("auth", Value::Map{{"scheme", "bearer"}, {"token", options.api_key}});
  hello.emplace_back("features", Value::Array());
  hello.emplace_back("max_frame", options.frame_bytes_max);
  hello.emplace_back("stream_credit", options.stream_credit);
  send({kHello, hello});
}

std::string Session::take_output() {
  return std::exchange(out_, {});
}

bool Session::protocol_error(std::string what) {
  fail({.code = "protocol_error", .message = "The server sent " + std::move(what) + "."});
  return false;
}

void Session::fail(Error why) {
  if (failure_) return;
  failure_ = std::move(why);
  for (const auto& [id, call] : std::exchange(calls_, {})) {
    call->ended = true;
    call->error = failure_;
  }
}

bool Session::read_preface(std::string_view& bytes) {
  const std::size_t taken = std::min(bytes.size(), kPreface.size() - preface_read_);
  constexpr std::size_t kMinorAt = 5;
  for (std::size_t i = 0; i < taken; ++i, ++preface_read_)
    if (preface_read_ < kMinorAt && bytes[i] != kPreface[preface_read_])
      return protocol_error(preface_read_ < kMinorAt - 1 ? "something that is not Sluice RPC"
                                                         : "another version of the protocol");
  bytes.remove_prefix(taken);
  return true;
}

bool Session::feed(std::string_view bytes) {
  if (failure_ || !read_preface(bytes)) return false;
  splitter_.feed(bytes);
  while (auto payload = splitter_.next()) {
    const auto message = decode(*payload);
    if (!message) return protocol_error("a frame that cannot be read");
    if (!on_message(*message, payload->size() + 4)) return false;
  }
  return splitter_.broken() ? protocol_error("a frame that is too large") : true;
}

bool Session::on_message(const Value& message, std::size_t bytes) {
  if (message.array().empty() || !message[0].is_integer())
    return protocol_error("a message without a type");
  const std::int64_t type = message[0].integer();
  if (!open_ && type != kWelcome && type != kFatal && type != kGoAway)
    return protocol_error("a message before WELCOME");
  const auto id = static_cast<std::uint32_t>(message[1].integer());
  switch (type) {
    case kWelcome:
      on_welcome(message[1]);
      break;
    case kResponse:
      on_end(id, message[2], message[3], message[4]);
      break;
    case kEnd:
      on_end(id, message[2], {}, message[3]);
      break;
    case kItem:
      on_item(message, bytes);
      break;
    case kPing:
      send({kPong, message[1]});
      break;
    case kGoAway:
      leaving_ = true;
      if (open_) break;
      fail({.code = message[2].text(),
            .message = "The server takes no connection: " + message[2].text() + ".",
            .retryable = true});
      return false;
    case kFatal:
      fail({.code = message[1].text(),
            .message = message[2].text(),
            .http = message[1].text() == "invalid_api_key" ? 401 : 0,
            .retryable = is_passing(message[1].text())});
      return false;
    default:
      break;  // NOTIFY, and what later versions may say
  }
  return !failure_;
}

void Session::on_welcome(const Value& welcome) {
  open_ = true;
  inflight_max_ =
      static_cast<std::size_t>(std::max<std::int64_t>(1, welcome["max_inflight"].integer()));
  send({kCredit, 0, kWholeWindow});
}

void Session::on_item(const Value& message, std::size_t bytes) {
  const auto found = calls_.find(static_cast<std::uint32_t>(message[1].integer()));
  if (found == calls_.end()) return give_back(bytes);  // it was cancelled
  Call& call = *found->second;
  if (!call.is_stream || message[2].integer() != call.next_item) {
    protocol_error("a piece that does not follow the one before");
    return;
  }
  call.began = true;
  ++call.next_item;
  call.items.push_back(message[3]);
  call.item_bytes.push_back(bytes);
}

void Session::on_end(std::uint32_t id, const Value& error, Value result, Value about) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const std::shared_ptr<Call> call = std::move(found->second);
  calls_.erase(found);
  call->ended = true;
  call->result = std::move(result);
  call->about = std::move(about);
  if (!error.is_nil()) call->error = read_error(error);
}

std::shared_ptr<Call> Session::ask(const std::string& method,
                                   const Value::Map& params,
                                   const Meta& meta,
                                   bool is_stream) {
  auto call = std::make_shared<Call>();
  do {
    ++last_id_;
  } while (last_id_ == 0 || calls_.contains(last_id_));
  call->id = last_id_;
  call->is_stream = is_stream;
  calls_[call->id] = call;
  Value::Array message{kRequest, call->id, method, params};
  Value::Map said;
  if (!meta.request_id.empty()) said.emplace_back("request_id", meta.request_id);
  if (!meta.idempotency_key.empty()) said.emplace_back("idempotency_key", meta.idempotency_key);
  if (meta.deadline.count() > 0) said.emplace_back("deadline_ms", meta.deadline.count());
  if (!said.empty()) message.emplace_back(std::move(said));
  send(message);
  return call;
}

void Session::cancel(const std::shared_ptr<Call>& call) {
  std::size_t bytes = 0;
  for (const std::size_t each : call->item_bytes)
    bytes += each;
  call->items.clear();
  call->item_bytes.clear();
  if (failure_) return;
  if (!call->ended) send({kCancel, call->id, "client"});
  give_back(bytes);
  // Whatever still comes of it is passed over.
  calls_.erase(call->id);
  call->ended = true;
}

Value Session::take_item(Call& call) {
  Value item = std::move(call.items.front());
  call.items.pop_front();
  const std::size_t bytes = call.item_bytes.front();
  call.item_bytes.pop_front();
  if (failure_) return item;
  if (!call.ended) send({kCredit, call.id, 1});
  give_back(bytes);
  return item;
}

void Session::give_back(std::size_t bytes) {
  if (bytes > 0) send({kCredit, 0, bytes});
}

void Session::ping() {
  send({kPing, ++pings_});
}

}  // namespace sluice::client::detail
