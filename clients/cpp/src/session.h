// The client's side of the protocol as a state machine: bytes in, messages to calls; calls in,
// bytes out. No sockets, no threads, no clock.
#pragma once

#include "codec.h"
#include "sluice/client/client.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::client::detail {

/// One request, from the first byte to its end. Shared by the session and whoever waits for it.
struct Call {
  std::uint32_t id = 0;
  bool is_stream = false;
  std::deque<Value> items;  ///< not taken yet
  std::deque<std::size_t> item_bytes;
  std::uint32_t next_item = 0;  ///< its number
  bool began = false;           ///< something has come
  bool ended = false;
  Value result;  ///< of RESPONSE
  Value about;   ///< of RESPONSE, or the trailer of END
  std::optional<Error> error;
};

/// Owner: a connection, under its lock.
class Session {
 public:
  explicit Session(const Options& options);

  /// What is to be sent, since it was last asked.
  std::string take_output();
  /// Bytes of the server. False: the connection is over, `failure` says why.
  bool feed(std::string_view bytes);
  /// The connection is over, for this reason: every call ends.
  void fail(Error why);

  /// Whether the handshake is done.
  [[nodiscard]] bool is_open() const { return open_; }
  [[nodiscard]] bool is_over() const { return failure_.has_value(); }
  [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
  /// The server takes no new requests here.
  [[nodiscard]] bool is_leaving() const { return leaving_; }
  /// The server takes another request now.
  [[nodiscard]] bool has_room() const { return open_ && calls_.size() < inflight_max_; }
  [[nodiscard]] std::size_t calls() const { return calls_.size(); }

  std::shared_ptr<Call> ask(const std::string& method,
                            const Value::Map& params,
                            const Meta& meta,
                            bool is_stream);
  /// Nobody wants the rest of it.
  void cancel(const std::shared_ptr<Call>& call);
  /// The oldest item of a stream that has one; its reader has kept up.
  Value take_item(Call& call);
  /// Whether the server is there. The answer counts as any byte does.
  void ping();

 private:
  void give_back(std::size_t bytes);
  bool read_preface(std::string_view& bytes);
  bool on_message(const Value& message, std::size_t bytes);
  void on_item(const Value& message, std::size_t bytes);
  void on_end(std::uint32_t id, const Value& error, Value result, Value about);
  void on_welcome(const Value& welcome);
  bool protocol_error(std::string what);
  void send(const Value::Array& message) { out_ += encode(message); }

  const Options& options_;
  std::string out_;
  std::size_t preface_read_ = 0;
  Splitter splitter_;
  bool open_ = false;
  bool leaving_ = false;
  std::size_t inflight_max_ = 1;
  std::uint32_t last_id_ = 0;
  std::uint64_t pings_ = 0;
  std::map<std::uint32_t, std::shared_ptr<Call>> calls_;
  std::optional<Error> failure_;
};

/// An error as the server sends it.
Error read_error(const Value& error);

}  // namespace sluice::client::detail
