// A client's side of Sluice RPC for tests: frames to send, and what came back.
#pragma once

#include "net/frame.h"
#include "net/msgpack.h"
#include "net/rpc_protocol.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::testing {

/// A frame of one array; `fill` writes its elements.
template <class Fill>
std::string rpc_frame_of(std::size_t elements, Fill&& fill) {
  std::string out;
  const std::size_t start = begin_frame(out);
  MsgpackWriter writer(out);
  writer.array(elements);
  fill(writer);
  end_frame(out, start);
  return out;
}

inline std::string rpc_request(std::uint32_t id,
                               std::string_view method = "echo",
                               bool stream = false,
                               std::string_view text = "hi") {
  return rpc_frame_of(4, [&](MsgpackWriter& writer) {
    writer.u64(0).u64(id).string(method).map(2);
    writer.string("prompt").string(text);
    writer.string("stream").boolean(stream);
  });
}

inline std::string rpc_cancel(std::uint32_t id) {
  return rpc_frame_of(3, [&](MsgpackWriter& writer) { writer.u64(5).u64(id).string("client"); });
}

inline std::string rpc_credit(std::uint32_t id, std::uint32_t n) {
  return rpc_frame_of(3, [&](MsgpackWriter& writer) { writer.u64(6).u64(id).u64(n); });
}

inline std::string rpc_hello(RpcHello hello = {}) {
  if (hello.client.empty()) hello.client = "test/1";
  std::string out(kRpcPreface);
  append_rpc_hello(out, hello);
  return out;
}

/// A piece of an answer, as a server's handler would give it.
inline std::string rpc_piece(std::uint32_t id, std::uint32_t seq, std::string_view text = "t") {
  return rpc_frame_of(4,
                      [&](MsgpackWriter& writer) { writer.u64(3).u64(id).u64(seq).string(text); });
}

inline std::string rpc_last(std::uint32_t id, bool stream, std::string_view text = "whole") {
  return rpc_frame_of(
      4, [&](MsgpackWriter& writer) { writer.u64(stream ? 4 : 1).u64(id).nil().string(text); });
}

/// A message from the server, as far as tests look at it.
struct RpcMessage {
  RpcType type = RpcType::fatal;
  std::uint32_t id = 0;      ///< of RESPONSE, ITEM, END; of GOAWAY the last one
  std::string code;          ///< of FATAL, GOAWAY and errors
  std::uint64_t number = 0;  ///< the token of PING and PONG, the number of an ITEM
  std::size_t bytes = 0;     ///< of the frame
  bool is_whole = false;     ///< it is one array that can be read
};

/// What a server has sent, frame by frame.
class RpcMessages {
 public:
  /// All complete messages in `bytes`; the preface is dropped.
  std::vector<RpcMessage> read(std::string_view bytes) {
    if (!begun_ && bytes.starts_with(kRpcPreface)) bytes.remove_prefix(kRpcPreface.size());
    begun_ = true;
    splitter_.feed(bytes);
    std::vector<RpcMessage> messages;
    for (;;) {
      auto payload = splitter_.next();
      if (!payload || !*payload) return messages;
      messages.push_back(decode(**payload));
    }
  }

 private:
  RpcMessage decode(std::string_view payload) {
    RpcMessage message;
    message.bytes = payload.size() + kFramePrefixBytes;
    auto parsed = reader_.parse(payload);
    if (!parsed) return message;
    message.is_whole = true;
    MsgpackCursor cursor = *parsed;
    cursor.array("message");
    message.type = static_cast<RpcType>(cursor.u64("type"));
    switch (message.type) {
      case RpcType::response:
      case RpcType::end:
        message.id = cursor.u32("id");
        if (!cursor.nil()) message.code = code_of(cursor);
        break;
      case RpcType::item:
        message.id = cursor.u32("id");
        message.number = cursor.u64("seq");
        break;
      case RpcType::ping:
      case RpcType::pong:
        message.number = cursor.u64("token");
        break;
      case RpcType::go_away:
        message.id = cursor.u32("last");
        message.code = cursor.string("code");
        break;
      case RpcType::fatal:
        message.code = cursor.string("code");
        break;
      default:
        break;
    }
    return message;
  }

  static std::string code_of(MsgpackCursor cursor) {
    for (std::size_t pairs = cursor.map("error"); pairs > 0; --pairs) {
      if (cursor.string("key") == "code") return std::string(cursor.string("code"));
      cursor.skip();
    }
    return "";
  }

  FrameSplitter splitter_{std::size_t{32} << 20};
  MsgpackReader reader_;
  bool begun_ = false;
};

}  // namespace sluice::testing
