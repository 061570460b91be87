// From a frame of Sluice RPC to the frames of its answer, through sessions and workers.
#include "actors/gateway.h"
#include "api/openai.h"
#include "net/rpc_connection.h"
#include "tests/net/rpc_client.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

/// A connection whose requests go to the gateway, and whose answers come back at once.
class RpcGatewayTest : public FrontWorld, public RpcConnection::Owner {
 protected:
  /// What the gateway answers by.
  class Call final : public RpcCall, public RpcAnswerer {
   public:
    Call(RpcConnection& connection, std::uint32_t id, bool is_stream)
        : connection_(connection), id_(id), is_stream_(is_stream) {}
    std::uint32_t id() const override { return id_; }
    bool is_stream() const override { return is_stream_; }
    void item(std::string frame) override { connection_.item(id_, std::move(frame)); }
    void finish(std::string frame) override { connection_.finish(id_, std::move(frame)); }
    bool keeps_up() override { return !starved_; }
    void on_gone(std::function<void()> gone) override { gone_ = std::move(gone); }
    void on_writable(std::function<void()> writable) override { writable_ = std::move(writable); }

    void gone() override {
      if (gone_) std::exchange(gone_, nullptr)();
    }
    void buffered(std::size_t, bool starved) override {
      if (std::exchange(starved_, starved) && !starved && writable_) writable_();
    }

   private:
    RpcConnection& connection_;
    std::uint32_t id_;
    bool is_stream_;
    bool starved_ = false;
    std::function<void()> gone_;
    std::function<void()> writable_;
  };

  std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello& hello) override {
    return gateway->on_hello(hello);
  }
  std::shared_ptr<RpcAnswerer> on_request(RpcRequest& request) override {
    request.address = "127.0.0.1";
    auto call = std::make_shared<Call>(connection, request.id, request.is_stream);
    gateway->on_request(request, call);
    return call;
  }
  std::shared_ptr<BodyShare> open_share(std::size_t) override { return nullptr; }

  ~RpcGatewayTest() override { connection.abandon(); }

  void hello(std::optional<std::string> token = std::nullopt) {
    RpcHello hello;
    hello.token = std::move(token);
    connection.feed(rpc_hello(hello), front->clock->now());
    take();
  }
  /// A completion of three tokens; `more` adds as many members as it says.
  template <class More>
  void ask(std::uint32_t id,
           std::size_t members,
           More&& more,
           std::string_view method = "completions.create") {
    connection.feed(rpc_frame_of(4,
                                 [&](MsgpackWriter& w) {
                                   w.u64(0).u64(id).string(method).map(3 + members);
                                   w.string("prompt").string("hello");
                                   w.string("max_tokens").u64(3);
                                   w.string("ignore_eos").boolean(true);
                                   more(w);
                                 }),
                    front->clock->now());
    settle();
  }
  /// The same with a meta of one member.
  template <class Fill>
  void ask_with(std::uint32_t id, Fill&& meta) {
    connection.feed(rpc_frame_of(5,
                                 [&](MsgpackWriter& w) {
                                   w.u64(0).u64(id).string("completions.create").map(3);
                                   w.string("prompt").string("hello");
                                   w.string("max_tokens").u64(3);
                                   w.string("ignore_eos").boolean(true);
                                   w.map(1);
                                   meta(w);
                                 }),
                    front->clock->now());
    settle();
  }
  std::vector<RpcMessage> take() {
    std::string out;
    connection.take(out, std::size_t{1} << 30, front->clock->now());
    said += out;
    return messages.read(out);
  }
  std::string last_code() {
    auto now = take();
    return now.empty() ? "silence" : now.back().code.empty() ? "answer" : now.back().code;
  }
  static void nothing(MsgpackWriter&) {}

  InlinePool pool;
  std::shared_ptr<GatewayOptions> gateway_options = std::make_shared<GatewayOptions>();
  std::unique_ptr<RpcHandler> gateway = make_rpc_gateway(
      front,
      gateway_options,
      std::make_shared<Intake>(
          system, front, gateway_options->limits, pool, gateway_options->idempotency));
  RpcOptions rpc_options;
  MsgpackReader reader;
  RpcCounts counts;
  RpcConnection connection{rpc_options, *this, reader, counts, front->clock->now()};
  RpcMessages messages;
  std::string said;
};

TEST_F(RpcGatewayTest, AnswersACompletion) {
  bring_up();
  hello();
  ask(1, 0, nothing);
  run_to_end();
  auto answer = take();

  ASSERT_EQ(answer.size(), 1U);
  EXPECT_EQ(answer[0].type, RpcType::response);
  EXPECT_THAT(said, HasSubstr(hash_text("hello", 3)));
  expect_idle();
}

TEST_F(RpcGatewayTest, StreamsPiecesWithTheirTokensAndEnds) {
  bring_up();
  hello();
  ask(1, 1, [](MsgpackWriter& w) { w.string("stream").boolean(true); });
  run_to_end();
  auto answer = take();

  ASSERT_GE(answer.size(), 2U);
  for (std::size_t i = 0; i + 1 < answer.size(); ++i) {
    EXPECT_EQ(answer[i].type, RpcType::item);
    EXPECT_EQ(answer[i].number, i);
  }
  EXPECT_EQ(answer.back().type, RpcType::end);
  HashChain chain;
  for (unsigned char byte : std::string("hello"))
    chain.push(byte);
  std::string tokens;
  MsgpackWriter writer(tokens);
  writer.string("k").array(1).i64(chain.advance());
  EXPECT_THAT(said, HasSubstr(tokens.substr(0, 2)));
  expect_idle();
}

TEST_F(RpcGatewayTest, EndsTheSessionOfARequestThatIsCancelled) {
  bring_up();
  hello();
  ask(1, 0, nothing);
  EXPECT_EQ(front->counters.sessions, 1);
  connection.feed(rpc_cancel(1), front->clock->now());
  settle();

  EXPECT_EQ(last_code(), "cancelled");
  EXPECT_EQ(front->counters.sessions, 0);
  live();
  expect_idle();
}

TEST_F(RpcGatewayTest, RefusesInTheWordsOfHttp) {
  bring_up();
  hello();
  ask(1, 1, [](MsgpackWriter& w) { w.string("temperature").u64(9); });
  EXPECT_EQ(last_code(), "invalid_value");
  ask(2, 1, [](MsgpackWriter& w) { w.string("model").string("other"); });
  EXPECT_EQ(last_code(), "model_not_found");
  ask(3, 0, nothing, "embeddings.create");
  EXPECT_EQ(last_code(), "method_not_found");
  ask(4, 1, [](MsgpackWriter& w) { w.string("user").bytes("x"); });
  EXPECT_EQ(last_code(), "invalid_value");
  front->draining = true;
  ask(5, 0, nothing);
  EXPECT_EQ(last_code(), "draining");
  front->draining = false;
}

TEST_F(RpcGatewayTest, ObeysItsMeta) {
  bring_up();
  hello();
  ask_with(1, [](MsgpackWriter& w) { w.string("deadline_ms").u64(500); });
  advance(std::chrono::milliseconds(600));
  EXPECT_EQ(last_code(), "deadline_exceeded");
  ask_with(2, [](MsgpackWriter& w) { w.string("deadline_ms").string("soon"); });
  EXPECT_EQ(last_code(), "invalid_value");
  said.clear();
  ask_with(3, [](MsgpackWriter& w) { w.string("request_id").string("my-own-id"); });
  run_to_end();
  EXPECT_EQ(last_code(), "answer");
  EXPECT_THAT(said, HasSubstr("my-own-id"));
  ask_with(4, [](MsgpackWriter& w) { w.string("priority").string("high"); });
  EXPECT_EQ(last_code(), "invalid_value");  // by the validator of the body
  ask_with(5, [](MsgpackWriter& w) { w.string("traceparent").string("00-1-2-01"); });
  run_to_end();
  EXPECT_EQ(last_code(), "answer");
}

TEST_F(RpcGatewayTest, ExecutesWhatIsSentAgainUnderItsKeyOnce) {
  bring_up();
  hello();
  auto key = [](MsgpackWriter& w) { w.string("idempotency_key").string("k1"); };
  ask_with(1, key);
  ask_with(2, key);
  EXPECT_EQ(front->counters.sessions, 1);
  run_to_end();
  EXPECT_EQ(take().size(), 2U);
  said.clear();
  ask_with(3, key);
  EXPECT_EQ(last_code(), "answer");
  EXPECT_THAT(said, HasSubstr("replayed"));
  EXPECT_THAT(said, HasSubstr(hash_text("hello", 3)));
  ask_with(4, [](MsgpackWriter& w) { w.string("idempotency_key").string(""); });
  EXPECT_EQ(last_code(), "invalid_value");
}

TEST_F(RpcGatewayTest, AnswersWhatNeedsNoSession) {
  hello();
  ask(1, 0, nothing, "status");
  EXPECT_THAT((take(), said), HasSubstr("ready\xC2"));  // not yet
  bring_up();
  said.clear();
  ask(2, 0, nothing, "status");
  EXPECT_THAT((take(), said), HasSubstr("ready\xC3"));
  ask(3, 0, nothing, "models.list");
  EXPECT_THAT((take(), said), HasSubstr("max_model_len"));
  said.clear();
  ask(4, 0, nothing, "tokenize");
  EXPECT_THAT((take(), said), HasSubstr("tokens"));
}

TEST_F(RpcGatewayTest, AsksForAKeyWhenItSaysHelloAndAgainWhenKeysChange) {
  bring_up();
  auto ring = [](const std::string& token) {
    const Sha256 digest = sha256(token);
    std::string hex;
    for (unsigned char byte : digest) {
      constexpr char kHex[] = "0123456789abcdef";
      hex += kHex[byte >> 4];
      hex += kHex[byte & 15];
    }
    return std::move(*KeyRing::create({{"id", hex, nullptr}}));
  };
  gateway_options->keys->replace(ring("first"));
  hello("first");
  EXPECT_FALSE(connection.is_ending());
  ask(1, 0, nothing, "models.list");
  EXPECT_EQ(last_code(), "answer");
  gateway_options->keys->replace(ring("second"));
  ask(2, 0, nothing, "models.list");
  EXPECT_EQ(last_code(), "invalid_api_key");
}

TEST_F(RpcGatewayTest, EndsWhoeverHasNoKey) {
  gateway_options->keys->replace(
      std::move(*KeyRing::create({{"id", std::string(64, 'a'), nullptr}})));
  connection.feed(rpc_hello(), front->clock->now());

  EXPECT_EQ(last_code(), "invalid_api_key");
  EXPECT_TRUE(connection.is_ending());
}

TEST_F(RpcGatewayTest, PausesASequenceWhoseClientGivesNoCreditAndGoesOn) {
  bring_up();
  RpcHello hello;
  hello.stream_credit = 1;
  connection.feed(rpc_hello(hello), front->clock->now());
  take();
  connection.feed(rpc_frame_of(4,
                               [&](MsgpackWriter& w) {
                                 w.u64(0).u64(1).string("completions.create").map(4);
                                 w.string("prompt").string("hello");
                                 w.string("max_tokens").u64(50);
                                 w.string("ignore_eos").boolean(true);
                                 w.string("stream").boolean(true);
                               }),
                  front->clock->now());
  settle();
  std::size_t items = 0;
  bool ended = false;
  for (int round = 0; round < 200 && !ended; ++round) {
    run_to_end();
    for (const RpcMessage& message : take()) {
      if (message.type == RpcType::item) EXPECT_EQ(message.number, items++);
      ended = ended || message.type == RpcType::end;
    }
    connection.feed(rpc_credit(1, 1), front->clock->now());
    settle();
  }

  EXPECT_TRUE(ended);
  EXPECT_GT(items, 10U);
  EXPECT_THAT(said, HasSubstr("usage"));
  live();
  expect_idle();
}

}  // namespace
}  // namespace sluice::testing
