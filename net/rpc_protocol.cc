#include "net/rpc_protocol.h"

#include "net/frame.h"

#include <algorithm>
#include <chrono>

namespace sluice {
namespace {

/// A frame of one array; its elements are written to `writer`.
template <class Fill>
void append_frame(std::string& out, RpcType type, std::size_t elements, Fill&& fill) {
  const std::size_t start = begin_frame(out);
  MsgpackWriter writer(out);
  writer.array(1 + elements).u64(static_cast<std::uint64_t>(type));
  fill(writer);
  end_frame(out, start);
}

void write_strings(MsgpackWriter& writer, const std::vector<std::string>& texts) {
  writer.array(texts.size());
  for (const std::string& text : texts)
    writer.string(text);
}

std::uint64_t whole_ms(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return ms > 0 ? static_cast<std::uint64_t>(ms) : 0;
}

void read_auth(MsgpackCursor& message, RpcHello& hello) {
  if (message.nil()) return;
  std::string_view scheme;
  std::string_view token;
  for (std::size_t pairs = message.map("auth"); pairs > 0; --pairs) {
    const std::string_view key = message.string("a key of auth");
    if (key == "scheme") {
      scheme = message.string("auth.scheme");
    } else if (key == "token") {
      token = message.string("auth.token");
    } else {
      message.skip();
    }
  }
  if (scheme != "bearer") message.fail("auth.scheme", "must be \"bearer\"");
  hello.token = std::string(token);
}

}  // namespace

void write_rpc_error(MsgpackWriter& writer, const RpcError& error) {
  writer.map(6 + (error.retry_after ? 1 : 0) + (error.request_id.empty() ? 0 : 1));
  writer.string("code").string(error.code);
  writer.string("type").string(error.type);
  writer.string("message").string(error.message);
  writer.string("param");
  error.param ? writer.string(*error.param) : writer.nil();
  writer.string("http").u64(static_cast<std::uint64_t>(error.http));
  writer.string("retryable").boolean(error.retryable);
  if (error.retry_after) writer.string("retry_after_ms").u64(whole_ms(*error.retry_after));
  if (!error.request_id.empty()) writer.string("request_id").string(error.request_id);
}

void append_rpc_hello(std::string& out, const RpcHello& hello) {
  append_frame(out, RpcType::hello, 1, [&](MsgpackWriter& writer) {
    writer.map(4 + (hello.token ? 1 : 0));
    writer.string("client").string(hello.client);
    if (hello.token) {
      writer.string("auth").map(2).string("scheme").string("bearer");
      writer.string("token").string(*hello.token);
    }
    writer.string("features").array(hello.crc32c ? 1 : 0);
    if (hello.crc32c) writer.string(kRpcCrcFeature);
    writer.string("max_frame").u64(hello.frame_bytes_max);
    writer.string("stream_credit").u64(hello.stream_credit);
  });
}

void append_rpc_welcome(std::string& out, const RpcWelcome& welcome) {
  append_frame(out, RpcType::welcome, 1, [&](MsgpackWriter& writer) {
    writer.map(9);
    writer.string("server").string(welcome.server);
    writer.string("version").string(welcome.version);
    writer.string("session").string(welcome.session);
    writer.string("features");
    write_strings(writer, welcome.features);
    writer.string("max_frame").u64(welcome.frame_bytes_max);
    writer.string("max_inflight").u64(welcome.inflight_max);
    writer.string("ping_ms").u64(welcome.ping_ms);
    writer.string("models");
    write_strings(writer, welcome.models);
    writer.string("time_ms").u64(welcome.time_ms);
  });
}

void append_rpc_fatal(std::string& out, const RpcFatal& fatal) {
  append_frame(out, RpcType::fatal, 2, [&](MsgpackWriter& writer) {
    writer.string(kRpcFatalNames.at(static_cast<std::size_t>(fatal.code))).string(fatal.message);
  });
}

void append_rpc_ping(std::string& out, std::uint64_t token) {
  append_frame(out, RpcType::ping, 1, [&](MsgpackWriter& writer) { writer.u64(token); });
}

void append_rpc_pong(std::string& out, std::uint64_t token) {
  append_frame(out, RpcType::pong, 1, [&](MsgpackWriter& writer) { writer.u64(token); });
}

void append_rpc_go_away(std::string& out,
                        std::uint32_t last_id,
                        std::string_view code,
                        Duration grace) {
  append_frame(out, RpcType::go_away, 3, [&](MsgpackWriter& writer) {
    writer.u64(last_id).string(code).u64(std::min<std::uint64_t>(whole_ms(grace), UINT32_MAX));
  });
}

void append_rpc_state(std::string& out, bool draining) {
  append_frame(out, RpcType::notify, 2, [&](MsgpackWriter& writer) {
    writer.string("state").map(1).string("draining").boolean(draining);
  });
}

std::string rpc_failure(std::uint32_t id, bool is_stream, const RpcError& error) {
  std::string out;
  const RpcType type = is_stream ? RpcType::end : RpcType::response;
  append_frame(out, type, 3, [&](MsgpackWriter& writer) {
    writer.u64(id);
    write_rpc_error(writer, error);
    is_stream ? writer.map(0) : writer.nil();
  });
  return out;
}

Result<RpcHello> read_rpc_hello(MsgpackCursor& message) {
  RpcHello hello;
  for (std::size_t pairs = message.map("HELLO"); pairs > 0; --pairs) {
    const std::string_view key = message.string("a key of HELLO");
    if (key == "client") {
      hello.client = message.string("client");
    } else if (key == "auth") {
      read_auth(message, hello);
    } else if (key == "features") {
      for (std::size_t count = message.array("features"); count > 0; --count)
        if (message.string("a feature") == kRpcCrcFeature) hello.crc32c = true;
    } else if (key == "max_frame") {
      hello.frame_bytes_max = message.u32("max_frame");
    } else if (key == "stream_credit") {
      hello.stream_credit = static_cast<std::uint32_t>(message.u64("stream_credit", kRpcCreditMax));
    } else {
      message.skip();
    }
  }
  if (auto read = message.result(); !read) return read.error();
  return hello;
}

}  // namespace sluice
