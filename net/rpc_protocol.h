// Sluice RPC, the binary protocol: its words as frames. START HERE.
//
// A connection begins with eight bytes each way, then carries frames: u32 BE length, and one
// MessagePack array whose first element says what it is.
//
//   [0, id, method, params, meta]   REQUEST      [5, id, reason]          CANCEL
//   [1, id, error, result, about]   RESPONSE     [6, id, n]               CREDIT
//   [2, method, params]             NOTIFY       [7, token] [8, token]    PING, PONG
//   [3, id, seq, item]              ITEM         [9, last, code, ms]      GOAWAY
//   [4, id, error, trailer]         END          [10, map] [11, map]      HELLO, WELCOME
//                                                [12, code, message]      FATAL
//
// docs/RPC.md has all of it.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "net/msgpack.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

enum class RpcType : std::uint8_t {
  request,
  response,
  notify,
  item,
  end,
  cancel,
  credit,
  ping,
  pong,
  go_away,
  hello,
  welcome,
  fatal,
};
inline constexpr std::array<std::string_view, 13> kRpcTypeNames{"request",
                                                                "response",
                                                                "notify",
                                                                "item",
                                                                "end",
                                                                "cancel",
                                                                "credit",
                                                                "ping",
                                                                "pong",
                                                                "go_away",
                                                                "hello",
                                                                "welcome",
                                                                "fatal"};
/// Types from here on belong to later minor versions and are passed over.
inline constexpr std::uint64_t kRpcLaterTypes = 16;

/// Why a connection ends at once; a closed list.
enum class RpcFatalCode : std::uint8_t {
  bad_preface,
  bad_frame,
  frame_too_large,
  bad_message,
  invalid_api_key,
  handshake_timeout,
  duplicate_id,
  flow_control,
  ping_timeout,
  idle_timeout,
  internal,
};
inline constexpr std::array<std::string_view, 11> kRpcFatalNames{"bad_preface",
                                                                 "bad_frame",
                                                                 "frame_too_large",
                                                                 "bad_message",
                                                                 "invalid_api_key",
                                                                 "handshake_timeout",
                                                                 "duplicate_id",
                                                                 "flow_control",
                                                                 "ping_timeout",
                                                                 "idle_timeout",
                                                                 "internal"};

/// Why a connection ends at once, as its other side is told.
struct RpcFatal {
  RpcFatalCode code = RpcFatalCode::internal;
  std::string message;
};

/// What each side sends first: C1 "SRP", major, minor, two bytes of zero.
inline constexpr std::string_view kRpcPreface{"\xC1SRP\x01\x00\x00\x00", 8};
inline constexpr std::size_t kRpcMajorAt = 4;  ///< in the preface

inline constexpr std::string_view kRpcCrcFeature = "crc32c";
/// No stream or connection may be given more credit.
inline constexpr std::uint64_t kRpcCreditMax = std::uint64_t{1} << 31;

/// What a client says of itself.
struct RpcHello {
  std::string client = {};                     ///< "py/1.0"
  std::optional<std::string> token = {};       ///< its key; none: it has none
  bool crc32c = false;                         ///< it can
  std::uint32_t frame_bytes_max = UINT32_MAX;  ///< the largest it takes, without its prefix
  std::uint32_t stream_credit = 64;            ///< items of each stream that may come at once
};

/// What the server says of itself.
struct RpcWelcome {
  std::string server;   ///< "sluice/1.0.0"
  std::string version;  ///< of the protocol: "1.0"
  std::string session;  ///< a name for the connection, for logs
  std::vector<std::string> features;
  std::uint32_t frame_bytes_max = 0;
  std::uint32_t inflight_max = 0;
  std::uint32_t ping_ms = 0;
  std::vector<std::string> models;
  std::uint64_t time_ms = 0;  ///< Unix
};

/// Why a request failed, in the words of the HTTP interface.
struct RpcError {
  std::string_view code;
  std::string_view type;
  std::string_view message;
  std::optional<std::string_view> param = {};
  int http = 500;  ///< the status that says the same over HTTP
  bool retryable = false;
  std::optional<Duration> retry_after = {};  ///< told in whole milliseconds, rounded up
  std::string_view request_id = {};          ///< empty: it has none yet
};

void write_rpc_error(MsgpackWriter& writer, const RpcError& error);

// Whole frames, appended to `out`.

void append_rpc_hello(std::string& out, const RpcHello& hello);
void append_rpc_welcome(std::string& out, const RpcWelcome& welcome);
void append_rpc_fatal(std::string& out, const RpcFatal& fatal);
void append_rpc_ping(std::string& out, std::uint64_t token);
void append_rpc_pong(std::string& out, std::uint64_t token);
void append_rpc_go_away(std::string& out,
                        std::uint32_t last_id,
                        std::string_view code,
                        Duration grace);
/// NOTIFY "state": whether the server takes no new requests any more.
void append_rpc_state(std::string& out, bool draining);

/// The frame that ends a request with an error: RESPONSE, or END of a stream.
[[nodiscard]] std::string rpc_failure(std::uint32_t id, bool is_stream, const RpcError& error);

/// Reads a HELLO behind its type. Errors: data_loss, with what is wrong.
[[nodiscard]] Result<RpcHello> read_rpc_hello(MsgpackCursor& message);

}  // namespace sluice
