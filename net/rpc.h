// What a handler of Sluice RPC sees: who says hello, requests, and the side that answers.
#pragma once

#include "base/clock.h"
#include "net/http.h"
#include "net/msgpack.h"
#include "net/rpc_protocol.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace sluice {

/// Who a connection belongs to, as its handler knows it.
class RpcClient {
 public:
  virtual ~RpcClient() = default;
};

/// Whoever may speak, and what it is told of the server.
struct RpcAccepted {
  std::shared_ptr<const RpcClient> client;
  std::string server;
  std::vector<std::string> models;
  std::string session;
  std::uint64_t time_ms = 0;  ///< Unix
};

/// A request; its views and cursors are valid during the call that passes it.
struct RpcRequest {
  std::uint32_t id = 0;
  bool is_stream = false;  ///< params.stream: answered by ITEMs and END
  std::string_view method;
  MsgpackCursor params;               ///< before the map
  std::optional<MsgpackCursor> meta;  ///< before the map
  std::string address;                ///< of the client, without its port
  std::shared_ptr<const RpcClient> client;
  std::shared_ptr<BodyShare> memory;  ///< of the frame; null if nobody counts it
};

/// The answering side of one request. Thread-safe, like `HttpExchange`; no call waits, and calls
/// after the end or after the client has gone do nothing. A request that is dropped without an
/// answer ends with an error.
class RpcCall {
 public:
  virtual ~RpcCall() = default;
  [[nodiscard]] virtual std::uint32_t id() const = 0;
  [[nodiscard]] virtual bool is_stream() const = 0;
  /// One ITEM: a whole frame.
  virtual void item(std::string frame) = 0;
  /// RESPONSE, or END of a stream: a whole frame, and the last.
  virtual void finish(std::string frame) = 0;
  /// Whether ITEMs that are given now go on their way. False: the client has given no credit, or
  /// does not read; `on_writable` follows.
  [[nodiscard]] virtual bool keeps_up() = 0;
  /// Called at most once when the client has cancelled the request or gone before its end; at once
  /// if it has already.
  virtual void on_gone(std::function<void()> gone) = 0;
  /// Called when a client that did not keep up has caught up.
  virtual void on_writable(std::function<void()> writable) = 0;
};

/// What a listener of Sluice RPC serves. Called on loop threads; must not block.
class RpcHandler {
 public:
  virtual ~RpcHandler() = default;
  /// Who says hello: it may, or why not.
  virtual std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello& hello) = 0;
  /// Answered through the call, now or later.
  virtual void on_request(const RpcRequest& request, std::shared_ptr<RpcCall> call) = 0;
};

/// Limits and time-outs of connections.
struct RpcOptions {
  std::uint32_t frame_bytes_max = std::uint32_t{16} << 20;
  std::size_t request_bytes_max = std::size_t{8} << 20;  ///< of a REQUEST, as HTTP's of a body
  std::uint32_t inflight_max = 256;                      ///< requests of a connection at once
  std::int64_t window_bytes = std::int64_t{1} << 20;     ///< of ITEMs, at first
  std::size_t stream_buffer = std::size_t{256} << 10;    ///< unsent bytes at which to pause
  std::size_t connections_max = 2048;                    ///< of one listener over all its loops
  std::size_t connections_per_address_max = 0;           ///< 0: no limit
  std::shared_ptr<BodyMemory> body_memory = {};          ///< of frames; null: no limit
  std::size_t answer_bytes_max = 0;                      ///< as of HttpOptions
  Duration handshake_timeout = std::chrono::seconds(5);  ///< of preface and HELLO
  Duration frame_timeout = std::chrono::seconds(30);     ///< for a frame to arrive, and
  std::size_t frame_bytes_per_second_min = std::size_t{64} << 10;  ///< as long as it takes at this
  Duration ping_after = std::chrono::seconds(15);  ///< of silence, while requests run
  Duration pong_timeout = std::chrono::seconds(10);
  Duration idle_timeout = std::chrono::seconds(300);        ///< without requests
  Duration slow_client_timeout = std::chrono::seconds(30);  ///< of a stream without credit
  Duration write_timeout = std::chrono::seconds(30);
  Duration drain_grace = std::chrono::seconds(30);  ///< as GOAWAY tells it
};

}  // namespace sluice
