// A client of Sluice RPC: whole answers, streams, errors, retries. START HERE.
//
//   sluice::client::Client client({.port = 8001});
//   auto answer = client.complete({{"prompt", "In the beginning"}, {"max_tokens", 32}});
//   if (answer) std::puts(answer->choices[0].text.c_str());
//
// Nothing here throws but for want of memory. docs/RPC.md of Sluice has the protocol.
#pragma once

#include "sluice/client/value.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice::client {

using Milliseconds = std::chrono::milliseconds;

/// Why there is no answer: the server's words, or the client's own with `http` 0
/// (`connection_failed`, `connection_lost`, `protocol_error`, `timeout`, or a code of FATAL).
struct Error {
  std::string code;
  std::string message;
  std::string type = {};
  std::string param = {};  ///< the field that is wrong; empty: none
  int http = 0;            ///< the status that says the same over HTTP
  bool retryable = false;
  std::optional<Milliseconds> retry_after = {};  ///< coming earlier is no use
  std::string request_id = {};
};

/// A value, or the error in its place.
template <class T>
class Expected {
 public:
  Expected(T value) : state_(std::move(value)) {}
  Expected(Error error) : state_(std::move(error)) {}
  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

struct Usage {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
};

struct Choice {
  std::uint32_t index = 0;
  std::string text;           ///< of a chat: what the assistant says
  std::string finish_reason;  ///< "stop", "length"
};

/// A whole answer.
struct Answer {
  std::string id;
  std::string model;
  std::vector<Choice> choices;
  Usage usage;
  Value body;   ///< all of it, as HTTP has it
  Value about;  ///< request_id; ignored_params, degraded, replayed where they say something
};

/// A piece of a stream.
struct Piece {
  std::uint32_t choice = 0;
  std::string text;
  std::vector<std::int64_t> tokens;  ///< taken since the piece before
  std::string finish_reason;         ///< of the last piece of a choice; empty before
  Value logprobs;
};

/// What a request may say beside its parameters. Empty strings and zeros are not sent.
struct Meta {
  std::string request_id = {};
  std::string idempotency_key = {};
  Milliseconds deadline = {};  ///< from its arrival at the server
};

struct Options {
  std::string host = "127.0.0.1";  ///< a name or an address
  std::uint16_t port = 8001;
  std::string api_key = {};
  std::string name = "sluice-cpp/1.0";  ///< as the server's logs call this client
  Milliseconds connect_timeout{5000};   ///< with the handshake
  /// How long a call may take in all, retries included, and a stream between two pieces; zero: any.
  Milliseconds timeout{};
  /// Of what the server calls retryable, and of connections that were lost before anything was
  /// answered. A stream that has begun is never tried again.
  int retries = 2;
  Milliseconds backoff{200};         ///< before the first retry; doubles, and is spread
  std::uint32_t stream_credit = 64;  ///< pieces that a stream may be ahead of its reader
  std::uint32_t frame_bytes_max = 16 << 20;
  /// Waits between retries; tests put their own here.
  std::function<void(Milliseconds)> sleep = {};
};

namespace detail {
class Connection;
class Link;
struct Call;
}  // namespace detail

/// A stream of pieces. Destroying it before its end cancels the request. One thread at a time.
class Stream {
 public:
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;
  ~Stream();

  /// Waits for the next piece. None: the stream is over, and `error` says whether it ended well.
  std::optional<Piece> next();
  /// Of a stream that is over.
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] Usage usage() const;
  [[nodiscard]] const Value& trailer() const { return trailer_; }
  /// Ends it now; `next` gives nothing more.
  void cancel();

 private:
  friend class Client;
  Stream(std::shared_ptr<detail::Connection> connection,
         std::shared_ptr<detail::Call> call,
         Milliseconds timeout);
  explicit Stream(Error error);
  void finish(std::optional<Error> error);

  std::shared_ptr<detail::Connection> connection_;
  std::shared_ptr<detail::Call> call_;  ///< null: it is over
  Milliseconds timeout_{};
  std::optional<Error> error_;
  Value trailer_;
};

/// One server. Thread-safe: all calls share one connection, which is opened when it is first
/// needed, and anew after it was lost or the server has asked to go. Calls wait in their own thread
/// when the server has as many requests as a connection may have.
class Client {
 public:
  explicit Client(Options options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  /// `params` are the fields of HTTP's body: prompt, max_tokens, temperature, ...
  Expected<Answer> complete(Value::Map params, const Meta& meta = {});
  /// `params` with `messages`.
  Expected<Answer> chat(Value::Map params, const Meta& meta = {});
  /// A stream that could not begin is over at once, with its error.
  Stream stream_completion(Value::Map params, const Meta& meta = {});
  Stream stream_chat(Value::Map params, const Meta& meta = {});

  Expected<std::vector<std::string>> models();
  /// {ready, reasons, draining, version, models}
  Expected<Value> status();
  Expected<std::vector<std::int64_t>> tokenize(const std::string& text);
  Expected<std::string> detokenize(const std::vector<std::int64_t>& tokens);
  /// Any method: its result.
  Expected<Value> call(const std::string& method, Value::Map params, const Meta& meta = {});

 private:
  struct Whole {
    Value result;
    Value about;
  };
  Expected<Whole> ask(const std::string& method, const Value::Map& params, const Meta& meta);
  Expected<Answer> generate(const std::string& method, const Value::Map& params, const Meta& meta);
  Stream open_stream(const std::string& method, Value::Map params, const Meta& meta);
  void wait_for_retry(int attempt, const Error& error);

  Options options_;
  std::unique_ptr<detail::Link> link_;
};

}  // namespace sluice::client
