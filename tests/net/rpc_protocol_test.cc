// The frames of Sluice RPC, byte for byte.
#include "net/rpc_protocol.h"

#include "tests/net/rpc_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace sluice {
namespace {

/// A golden frame: what Python's msgpack packs, and what every version must write.
std::string vector_of(const std::string& name) {
  std::ifstream file(
      std::filesystem::path(SLUICE_SOURCE_DIR) / "tests/vectors/srp1" / (name + ".bin"),
      std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

Result<RpcHello> read_hello(const std::string& frame) {
  MsgpackReader reader;
  auto parsed = reader.parse(std::string_view(frame).substr(kFramePrefixBytes));
  if (!parsed) return parsed.error();
  MsgpackCursor cursor = *parsed;
  cursor.array("message");
  cursor.u64("type");
  return read_rpc_hello(cursor);
}

TEST(RpcProtocol, WritesItsGoldenFrames) {
  std::string welcome;
  append_rpc_welcome(welcome,
                     {.server = "sluice/1.0.0",
                      .version = "1.0",
                      .session = "s1",
                      .features = {},
                      .frame_bytes_max = 1 << 20,
                      .inflight_max = 256,
                      .ping_ms = 15000,
                      .models = {"m"},
                      .time_ms = 0});
  std::string hello;
  append_rpc_hello(
      hello, {.client = "t/1", .token = "K", .frame_bytes_max = 1 << 20, .stream_credit = 64});
  std::string ping;
  append_rpc_ping(ping, 1);
  std::string pong;
  append_rpc_pong(pong, 1);
  std::string away;
  append_rpc_go_away(away, 1, "draining", std::chrono::milliseconds(45000));
  std::string fatal;
  append_rpc_fatal(fatal, {RpcFatalCode::bad_frame, "trailing bytes"});
  const std::string error =
      rpc_failure(2,
                  false,
                  {.code = "model_not_found",
                   .type = "invalid_request_error",
                   .message = "The model `x` does not exist or you do not have access to it.",
                   .param = "model",
                   .http = 404});

  EXPECT_EQ(kRpcPreface, vector_of("preface"));
  EXPECT_EQ(welcome, vector_of("welcome"));
  EXPECT_EQ(hello, vector_of("hello"));
  EXPECT_EQ(ping, vector_of("ping"));
  EXPECT_EQ(pong, vector_of("pong"));
  EXPECT_EQ(away, vector_of("goaway"));
  EXPECT_EQ(fatal, vector_of("fatal"));
  EXPECT_EQ(error, vector_of("response_error"));
}

TEST(RpcProtocol, ReadsTheGoldenHello) {
  auto hello = read_hello(vector_of("hello"));

  ASSERT_TRUE(hello) << hello.error().message;
  EXPECT_EQ(hello->client, "t/1");
  EXPECT_EQ(hello->token, "K");
  EXPECT_FALSE(hello->crc32c);
  EXPECT_EQ(hello->frame_bytes_max, 1U << 20);
  EXPECT_EQ(hello->stream_credit, 64U);
}

TEST(RpcProtocol, ReadsAHelloThatSaysLittleOrMoreThanIsKnown) {
  auto least = read_hello(testing::rpc_frame_of(2, [](MsgpackWriter& w) { w.u64(10).map(0); }));
  auto more = read_hello(testing::rpc_frame_of(2, [](MsgpackWriter& w) {
    w.u64(10).map(2).string("later").array(1).map(0);
    w.string("features").array(2).string("zstd").string("crc32c");
  }));

  ASSERT_TRUE(least);
  EXPECT_FALSE(least->token);
  EXPECT_EQ(least->stream_credit, 64U);
  ASSERT_TRUE(more);
  EXPECT_TRUE(more->crc32c);
}

TEST(RpcProtocol, NamesWhatIsWrongInAHello) {
  auto refusal = [](auto fill) {
    auto hello = read_hello(testing::rpc_frame_of(2, [&](MsgpackWriter& w) {
      w.u64(10);
      fill(w);
    }));
    return hello ? "read" : hello.error().message;
  };
  using ::testing::HasSubstr;

  EXPECT_THAT(refusal([](auto& w) { w.array(0); }), HasSubstr("HELLO must be a map"));
  EXPECT_THAT(refusal([](auto& w) { w.map(1).string("client").u64(1); }),
              HasSubstr("client must be text"));
  EXPECT_THAT(
      refusal([](auto& w) { w.map(1).string("auth").map(1).string("scheme").string("basic"); }),
      HasSubstr("auth.scheme must be \"bearer\""));
  EXPECT_THAT(refusal([](auto& w) { w.map(1).string("stream_credit").u64(1ULL << 40); }),
              HasSubstr("the limit is 2147483648"));
}

TEST(RpcProtocol, TellsWhenToComeBackInWholeMillisecondsAndNeverTooEarly) {
  const std::string frame = rpc_failure(1,
                                        true,
                                        {.code = "overloaded",
                                         .type = "rate_limit_error",
                                         .message = "full",
                                         .http = 429,
                                         .retryable = true,
                                         .retry_after = std::chrono::microseconds(1500),
                                         .request_id = "req-1"});
  MsgpackReader reader;
  auto parsed = reader.parse(std::string_view(frame).substr(kFramePrefixBytes));
  ASSERT_TRUE(parsed);
  MsgpackCursor cursor = *parsed;
  EXPECT_EQ(cursor.array("message"), 4U);
  EXPECT_EQ(cursor.u64("type"), 4U);
  cursor.u64("id");
  std::uint64_t after = 0;
  std::string id;
  for (std::size_t pairs = cursor.map("error"); pairs > 0; --pairs) {
    const std::string_view key = cursor.string("key");
    if (key == "retry_after_ms") {
      after = cursor.u64("retry_after_ms");
    } else if (key == "request_id") {
      id = cursor.string("request_id");
    } else {
      cursor.skip();
    }
  }
  EXPECT_EQ(after, 2U);
  EXPECT_EQ(id, "req-1");
}

}  // namespace
}  // namespace sluice
