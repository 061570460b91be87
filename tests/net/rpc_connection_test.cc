// The server's side of Sluice RPC as a state machine: what it reads, answers, holds back and ends.
#include "net/rpc_connection.h"

#include "base/crc32c.h"
#include "tests/net/rpc_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::rpc_cancel;
using testing::rpc_credit;
using testing::rpc_hello;
using testing::rpc_last;
using testing::rpc_piece;
using testing::rpc_request;
using testing::RpcMessage;

struct Answerer final : RpcAnswerer {
  void gone() override { is_gone = true; }
  void buffered(std::size_t now, bool is_starved) override {
    bytes = now;
    starved = is_starved;
  }
  bool is_gone = false;
  std::size_t bytes = 0;
  bool starved = false;
};

/// Memory for frames that is as large as a test says.
class Memory final : public BodyMemory {
 public:
  struct Share final : BodyShare {
    explicit Share(Memory& its_memory) : memory(its_memory) {}
    ~Share() override { memory.used -= bytes; }
    bool resize(std::size_t now) override {
      if (memory.used - bytes + now > memory.room) return false;
      memory.used = memory.used - bytes + now;
      bytes = now;
      return true;
    }
    void complete() override {}
    Memory& memory;
    std::size_t bytes = 0;
  };
  std::shared_ptr<BodyShare> open(const std::string&,
                                  std::uint64_t,
                                  std::function<void()>) override {
    return std::make_shared<Share>(*this);
  }
  std::size_t room = 1 << 20;
  std::size_t used = 0;
};

class RpcConnectionTest : public ::testing::Test, public RpcConnection::Owner {
 protected:
  std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello& hello) override {
    if (hello.token && *hello.token != "K")
      return RpcFatal{RpcFatalCode::invalid_api_key, "no such key"};
    RpcAccepted accepted;
    accepted.server = "test";
    accepted.models = {"m"};
    accepted.session = "s";
    return accepted;
  }
  std::shared_ptr<RpcAnswerer> on_request(RpcRequest& request) override {
    requests.emplace_back(request.id, std::string(request.method));
    memory_of_last = request.memory;
    auto answerer = std::make_shared<Answerer>();
    answerers[request.id] = answerer;
    if (request.method == "now")
      connection->finish(request.id, rpc_last(request.id, request.is_stream));
    return answerer;
  }
  std::shared_ptr<BodyShare> open_share(std::size_t bytes) override {
    return options.body_memory->open("", bytes, {});
  }

  /// A connection that has said hello.
  void open(RpcHello hello = {}) {
    start();
    feed(rpc_hello(std::move(hello)));
    take();
  }
  void start() {
    connection = std::make_unique<RpcConnection>(options, *this, reader, counts, now);
    messages = {};
    raw.clear();
    requests.clear();
  }
  void feed(const std::string& bytes) { connection->feed(bytes, now); }
  std::vector<RpcMessage> take(std::size_t most = std::size_t{1} << 30) {
    std::string out;
    connection->take(out, most, now);
    raw += out;
    return messages.read(out);
  }
  /// The code of the FATAL that ends the connection.
  std::string fatal() {
    auto said = take();
    if (said.empty() || said.back().type != RpcType::fatal || !connection->is_ending())
      return "none";
    return said.back().code;
  }
  void pass(Duration time) {
    now += time;
    connection->check_deadlines(now);
  }
  Answerer& answerer(std::uint32_t id) { return *answerers.at(id); }

  RpcOptions options;
  MsgpackReader reader;
  RpcCounts counts;
  TimePoint now{seconds(1000)};
  std::unique_ptr<RpcConnection> connection;
  std::vector<std::pair<std::uint32_t, std::string>> requests;
  std::map<std::uint32_t, std::shared_ptr<Answerer>> answerers;
  std::shared_ptr<BodyShare> memory_of_last;
  testing::RpcMessages messages;
  std::string raw;
};

// ---- The beginning

TEST_F(RpcConnectionTest, GreetsWhoeverSaysHello) {
  start();
  feed(rpc_hello({.token = "K"}));
  auto said = take();

  EXPECT_TRUE(raw.starts_with(kRpcPreface));
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, RpcType::welcome);
  EXPECT_FALSE(connection->is_ending());
}

TEST_F(RpcConnectionTest, ReadsAHandshakeByteByByte) {
  start();
  for (const char byte : rpc_hello())
    feed(std::string(1, byte));
  auto said = take();

  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, RpcType::welcome);
}

TEST_F(RpcConnectionTest, RefusesAKeyThatIsNone) {
  start();
  feed(rpc_hello({.token = "wrong"}));

  EXPECT_EQ(fatal(), "invalid_api_key");
  EXPECT_EQ(counts.fatals[static_cast<std::size_t>(RpcFatalCode::invalid_api_key)], 1U);
}

TEST_F(RpcConnectionTest, TellsClientsOfHttpWhereTheyAre) {
  start();
  feed("POST /v1/completions HTTP/1.1\r\n\r\n");
  take();

  EXPECT_TRUE(connection->is_ending());
  EXPECT_THAT(raw, HasSubstr("HTTP/1.1 400 Bad Request\r\n"));
  EXPECT_THAT(raw, HasSubstr("speaks Sluice RPC"));
}

TEST_F(RpcConnectionTest, SaysNothingToWhatItDoesNotKnow) {
  start();
  feed("\x16\x03\x01");  // TLS
  take();

  EXPECT_TRUE(connection->is_ending());
  EXPECT_EQ(raw, "");
}

TEST_F(RpcConnectionTest, ShowsItsVersionToOthers) {
  start();
  feed(std::string("\xC1SRP\x02\x00\x00\x00", 8));
  take();

  EXPECT_TRUE(connection->is_ending());
  EXPECT_EQ(raw, kRpcPreface);
}

TEST_F(RpcConnectionTest, TakesALaterMinorVersionAndNoUnknownFlags) {
  start();
  std::string later = rpc_hello();
  later[5] = '\x07';
  feed(later);
  EXPECT_EQ(take().at(0).type, RpcType::welcome);

  start();
  std::string flags = rpc_hello();
  flags[7] = '\x01';
  feed(flags);
  EXPECT_EQ(fatal(), "bad_preface");
}

TEST_F(RpcConnectionTest, WantsHelloFirstAndOnce) {
  start();
  feed(std::string(kRpcPreface) + rpc_request(1));
  EXPECT_EQ(fatal(), "bad_message");
  EXPECT_TRUE(requests.empty());

  open();
  feed(rpc_hello().substr(kRpcPreface.size()));
  EXPECT_EQ(fatal(), "bad_message");
}

TEST_F(RpcConnectionTest, GivesHandshakesFiveSeconds) {
  start();
  feed(std::string(kRpcPreface));
  pass(milliseconds(4999));
  EXPECT_FALSE(connection->is_ending());
  pass(milliseconds(1));
  EXPECT_EQ(fatal(), "handshake_timeout");

  start();
  pass(seconds(5));
  EXPECT_TRUE(connection->is_ending());
}

TEST_F(RpcConnectionTest, TakesSmallFramesOnlyBeforeItKnowsTheClient) {
  start();
  feed(std::string(kRpcPreface) + std::string("\x00\x01\x00\x01", 4));

  EXPECT_EQ(fatal(), "frame_too_large");
}

// ---- Requests

TEST_F(RpcConnectionTest, AnswersRequestsInAnyOrder) {
  open();
  feed(rpc_request(7, "a") + rpc_request(3, "b"));
  connection->finish(3, rpc_last(3, false));
  connection->finish(7, rpc_last(7, false));
  auto said = take();

  EXPECT_THAT(requests, ElementsAre(std::pair(7U, "a"), std::pair(3U, "b")));
  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].id, 3U);
  EXPECT_EQ(said[1].id, 7U);
  EXPECT_EQ(connection->requests(), 0U);
  EXPECT_EQ(connection->unsent_bytes(), 0U);
}

TEST_F(RpcConnectionTest, TakesAnAnswerFromWithinTheRequest) {
  open();
  feed(rpc_request(1, "now"));

  EXPECT_EQ(take().at(0).id, 1U);
  EXPECT_EQ(connection->requests(), 0U);
}

TEST_F(RpcConnectionTest, TakesAnIdAgainOnlyWhenItsAnswerIsOnItsWay) {
  open();
  feed(rpc_request(1));
  connection->finish(1, rpc_last(1, false));
  take();
  feed(rpc_request(1));
  EXPECT_EQ(requests.size(), 2U);

  feed(rpc_request(1));
  EXPECT_EQ(fatal(), "duplicate_id");
  EXPECT_TRUE(answerer(1).is_gone);
}

TEST_F(RpcConnectionTest, RefusesMoreRequestsThanItSaid) {
  options.inflight_max = 2;
  open();
  feed(rpc_request(1) + rpc_request(2) + rpc_request(3) + rpc_request(4, "s", true));
  auto said = take();

  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].type, RpcType::response);
  EXPECT_EQ(said[0].id, 3U);
  EXPECT_EQ(said[0].code, "too_many_inflight");
  EXPECT_EQ(said[1].type, RpcType::end);
  EXPECT_EQ(requests.size(), 2U);
}

TEST_F(RpcConnectionTest, EndsOverWhatIsNoMessage) {
  const auto ends_with = [this](const std::string& frame) {
    open();
    feed(frame);
    return fatal();
  };
  using testing::rpc_frame_of;

  EXPECT_EQ(ends_with(std::string("\x00\x00\x00\x00", 4)), "frame_too_large");
  EXPECT_EQ(ends_with(std::string("\x00\x00\x00\x01\x80", 5)), "bad_frame");
  EXPECT_EQ(ends_with(std::string("\x00\x00\x00\x01\xC1", 5)), "bad_frame");
  EXPECT_EQ(ends_with(std::string("\x00\x00\x00\x04\x92\x07\x01\x00", 8)), "bad_frame");
  EXPECT_EQ(ends_with(std::string("\x00\x00\x00\x01\x90", 5)), "bad_message");
  EXPECT_EQ(ends_with(rpc_frame_of(1, [](MsgpackWriter& w) { w.string("x"); })), "bad_message");
  EXPECT_EQ(ends_with(rpc_frame_of(1, [](MsgpackWriter& w) { w.u64(13); })), "bad_message");
  EXPECT_EQ(ends_with(rpc_piece(1, 0)), "bad_message");
  EXPECT_EQ(ends_with(rpc_request(0)), "bad_message");
  EXPECT_EQ(ends_with(rpc_frame_of(3, [](MsgpackWriter& w) { w.u64(0).u64(1).string("m"); })),
            "bad_message");
  EXPECT_EQ(
      ends_with(rpc_frame_of(4, [](MsgpackWriter& w) { w.u64(0).u64(1).string("m").array(0); })),
      "bad_message");
  EXPECT_EQ(ends_with(rpc_frame_of(
                5, [](MsgpackWriter& w) { w.u64(0).u64(1).string("m").map(0).string("meta"); })),
            "bad_message");
}

TEST_F(RpcConnectionTest, PassesOverWhatLaterVersionsMaySay) {
  using testing::rpc_frame_of;
  open();
  feed(rpc_frame_of(2, [](MsgpackWriter& w) { w.u64(16).string("new"); }));
  feed(rpc_frame_of(3, [](MsgpackWriter& w) { w.u64(2).string("hint").map(0); }));
  feed(rpc_frame_of(4, [](MsgpackWriter& w) { w.u64(7).u64(9).nil().string("more"); }));
  auto said = take();

  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, RpcType::pong);
  EXPECT_EQ(said[0].number, 9U);
}

TEST_F(RpcConnectionTest, EndsWhenItsClientGivesUp) {
  open();
  feed(rpc_request(1));
  std::string frame;
  append_rpc_fatal(frame, {RpcFatalCode::internal, "broken"});
  feed(frame);

  EXPECT_TRUE(connection->is_ending());
  EXPECT_TRUE(answerer(1).is_gone);
}

// ---- Streams

TEST_F(RpcConnectionTest, GivesEveryStreamItsTurn) {
  open();
  feed(rpc_request(1, "s", true) + rpc_request(2, "s", true));
  for (std::uint32_t i = 0; i < 3; ++i)
    connection->item(1, rpc_piece(1, i));
  connection->item(2, rpc_piece(2, 0));
  connection->finish(2, rpc_last(2, true));
  std::vector<std::pair<std::uint32_t, RpcType>> order;
  for (const RpcMessage& message : take())
    order.emplace_back(message.id, message.type);

  EXPECT_THAT(order,
              ElementsAre(std::pair(1U, RpcType::item),
                          std::pair(2U, RpcType::item),
                          std::pair(1U, RpcType::item),
                          std::pair(2U, RpcType::end),
                          std::pair(1U, RpcType::item)));
}

TEST_F(RpcConnectionTest, SendsPongBeforeWhatWaits) {
  open();
  feed(rpc_request(1, "s", true));
  connection->item(1, rpc_piece(1, 0, std::string(1000, 'x')));
  std::string ping;
  append_rpc_ping(ping, 5);
  feed(ping);

  EXPECT_EQ(take(1).at(0).type, RpcType::pong);
  EXPECT_EQ(take().at(0).type, RpcType::item);
}

TEST_F(RpcConnectionTest, HoldsAStreamBackThatHasNoCredit) {
  open({.stream_credit = 2});
  feed(rpc_request(1, "s", true));
  for (std::uint32_t i = 0; i < 4; ++i)
    connection->item(1, rpc_piece(1, i));
  connection->finish(1, rpc_last(1, true));

  EXPECT_EQ(take().size(), 2U);
  EXPECT_TRUE(answerer(1).starved);
  EXPECT_GT(answerer(1).bytes, 0U);
  feed(rpc_credit(1, 1));
  EXPECT_EQ(take().size(), 1U);
  feed(rpc_credit(1, 9));
  auto rest = take();
  ASSERT_EQ(rest.size(), 2U);
  EXPECT_EQ(rest[0].number, 3U);
  EXPECT_EQ(rest[1].type, RpcType::end);
  EXPECT_EQ(answerer(1).bytes, 0U);
  EXPECT_FALSE(answerer(1).starved);
}

TEST_F(RpcConnectionTest, HoldsAllStreamsBackWhenTheConnectionHasNoCredit) {
  options.window_bytes = 100;
  open();
  feed(rpc_request(1, "s", true) + rpc_request(2, "s", true) + rpc_request(3));
  for (std::uint32_t i = 0; i < 4; ++i) {
    connection->item(1, rpc_piece(1, i, std::string(50, 'x')));
    connection->item(2, rpc_piece(2, i, std::string(50, 'x')));
  }
  connection->finish(3, rpc_last(3, false));
  auto said = take();

  // The first is within the window, the second ends beyond it; an answer that is whole needs none.
  EXPECT_EQ(said.size(), 3U);
  EXPECT_EQ(
      std::count_if(said.begin(), said.end(), [](auto& m) { return m.type == RpcType::response; }),
      1);
  EXPECT_TRUE(answerer(1).starved);
  EXPECT_TRUE(answerer(2).starved);
  feed(rpc_credit(0, 10'000));
  EXPECT_EQ(take().size(), 6U);
}

TEST_F(RpcConnectionTest, EndsOverMoreCreditThanThereMayBe) {
  open();
  feed(rpc_request(1, "s", true) + rpc_credit(1, 0x7FFFFFFF) + rpc_credit(1, 100));
  EXPECT_EQ(fatal(), "flow_control");

  open();
  feed(rpc_credit(0, 0x7FFFFFFF));
  feed(rpc_credit(0, 0x7FFFFFFF));
  EXPECT_EQ(fatal(), "flow_control");
}

TEST_F(RpcConnectionTest, IgnoresCreditAndCancelForWhatHasEnded) {
  open();
  feed(rpc_credit(9, 5) + rpc_cancel(9));

  EXPECT_TRUE(take().empty());
  EXPECT_FALSE(connection->is_ending());
}

TEST_F(RpcConnectionTest, EndsAStreamWhoseClientGivesNoCreditForTooLong) {
  options.ping_after = seconds(100);
  open({.stream_credit = 0});
  feed(rpc_request(1, "s", true) + rpc_request(2, "s", true));
  connection->item(1, rpc_piece(1, 0));
  take();
  pass(milliseconds(29'999));
  feed(rpc_credit(2, 1));
  connection->item(2, rpc_piece(2, 0));
  EXPECT_EQ(take().size(), 1U);
  pass(milliseconds(1));
  auto said = take();

  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, RpcType::end);
  EXPECT_EQ(said[0].id, 1U);
  EXPECT_EQ(said[0].code, "slow_client");
  EXPECT_TRUE(answerer(1).is_gone);
  EXPECT_FALSE(answerer(2).is_gone);
}

TEST_F(RpcConnectionTest, EndsWhatIsCancelledExactlyOnce) {
  open();
  feed(rpc_request(1, "s", true) + rpc_request(2));
  connection->item(1, rpc_piece(1, 0));
  feed(rpc_cancel(1) + rpc_cancel(2) + rpc_cancel(1));
  connection->item(1, rpc_piece(1, 1));
  connection->finish(1, rpc_last(1, true));
  auto said = take();

  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].type, RpcType::end);
  EXPECT_EQ(said[0].code, "cancelled");
  EXPECT_EQ(said[1].type, RpcType::response);
  EXPECT_EQ(said[1].code, "cancelled");
  EXPECT_TRUE(answerer(1).is_gone);
  EXPECT_TRUE(answerer(2).is_gone);
  EXPECT_EQ(connection->unsent_bytes(), 0U);
}

TEST_F(RpcConnectionTest, LetsAnAnswerThatIsOnItsWayStand) {
  open();
  feed(rpc_request(1));
  connection->finish(1, rpc_last(1, false));
  feed(rpc_cancel(1));
  auto said = take();

  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].code, "");
  EXPECT_FALSE(answerer(1).is_gone);
}

// ---- Frames and their memory

TEST_F(RpcConnectionTest, SendsNoFrameThatIsLargerThanItsClientTakes) {
  open({.frame_bytes_max = 4096});
  feed(rpc_request(1) + rpc_request(2, "s", true));
  connection->finish(1, rpc_last(1, false, std::string(5000, 'x')));
  connection->item(2, rpc_piece(2, 0, std::string(5000, 'x')));
  auto said = take();

  ASSERT_EQ(said.size(), 2U);
  EXPECT_EQ(said[0].code, "frame_too_large");
  EXPECT_EQ(said[1].code, "frame_too_large");
  EXPECT_TRUE(answerer(2).is_gone);
}

TEST_F(RpcConnectionTest, TakesNoFrameThatIsLargerThanWasAgreed) {
  options.frame_bytes_max = 5000;
  open();
  feed(rpc_request(1, "m", false, std::string(6000, 'x')));

  EXPECT_EQ(fatal(), "frame_too_large");
}

TEST_F(RpcConnectionTest, RefusesARequestThatIsTooLargeAndGoesOnBehindIt) {
  options.request_bytes_max = 10'000;
  open();
  const std::string large = rpc_request(1, "m", false, std::string(20'000, 'x'));
  feed(large.substr(0, 100));
  auto said = take();
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].id, 1U);
  EXPECT_EQ(said[0].code, "request_too_large");
  feed(large.substr(100) + rpc_request(2));

  EXPECT_THAT(requests, ElementsAre(std::pair(2U, "echo")));
}

TEST_F(RpcConnectionTest, RefusesARequestForWhichThereIsNoMemory) {
  auto memory = std::make_shared<Memory>();
  memory->room = 10'000;
  options.body_memory = memory;
  open();
  const std::string large = rpc_request(1, "m", false, std::string(20'000, 'x'));
  feed(large.substr(0, 9'000));
  EXPECT_TRUE(take().empty());
  EXPECT_GT(memory->used, 8'000U);
  feed(large.substr(9'000, 5'000));
  auto said = take();
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].code, "overloaded");
  EXPECT_EQ(memory->used, 0U);
  feed(large.substr(14'000) + rpc_request(2, "m", false, std::string(8'000, 'x')));

  ASSERT_EQ(requests.size(), 1U);
  EXPECT_GT(memory->used, 8'000U);
  memory_of_last.reset();
  EXPECT_EQ(memory->used, 0U);
}

TEST_F(RpcConnectionTest, GivesUpWhatIsArrivingWhenOthersNeedTheRoom) {
  options.body_memory = std::make_shared<Memory>();
  open();
  const std::string large = rpc_request(5, "m", false, std::string(20'000, 'x'));
  feed(large.substr(0, 9'000));
  connection->give_way();
  auto said = take();

  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].id, 5U);
  EXPECT_EQ(said[0].code, "overloaded");
  feed(large.substr(9'000) + rpc_request(6));
  EXPECT_THAT(requests, ElementsAre(std::pair(6U, "echo")));
}

TEST_F(RpcConnectionTest, GivesAFrameItsTime) {
  open();
  const std::string large = rpc_request(1, "m", false, std::string(640 << 10, 'x'));
  feed(large.substr(0, 1000));
  pass(seconds(39));
  EXPECT_FALSE(connection->is_ending());
  pass(seconds(2));

  EXPECT_EQ(fatal(), "idle_timeout");
}

TEST_F(RpcConnectionTest, ChecksAndWritesSumsWhereThatIsAgreed) {
  const auto with_sum = [](const std::string& frame) {
    std::string out;
    const std::size_t start = begin_frame(out);
    out += frame.substr(kFramePrefixBytes);
    const std::uint32_t sum = crc32c(std::string_view(frame).substr(kFramePrefixBytes));
    for (int shift = 24; shift >= 0; shift -= 8)
      out += static_cast<char>(sum >> shift & 0xFF);
    end_frame(out, start);
    return out;
  };
  open({.crc32c = true});
  raw.clear();
  feed(with_sum(rpc_request(1)));
  EXPECT_EQ(requests.size(), 1U);
  connection->finish(1, rpc_last(1, false));
  take();
  EXPECT_EQ(raw, with_sum(rpc_last(1, false)));

  std::string broken = with_sum(rpc_request(2));
  broken[10] ^= 1;
  feed(broken);
  take();
  EXPECT_TRUE(connection->is_ending());
  EXPECT_EQ(counts.fatals[static_cast<std::size_t>(RpcFatalCode::bad_frame)], 1U);
}

// ---- Time, and the end

TEST_F(RpcConnectionTest, AsksASilentClientWhetherItIsThere) {
  open();
  feed(rpc_request(1));
  pass(milliseconds(14'999));
  EXPECT_TRUE(take().empty());
  pass(milliseconds(1));
  auto said = take();
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, RpcType::ping);
  std::string pong;
  append_rpc_pong(pong, said[0].number);
  pass(seconds(9));
  feed(pong);
  pass(seconds(14));
  EXPECT_FALSE(connection->is_ending());
  pass(seconds(1));
  EXPECT_EQ(take().at(0).type, RpcType::ping);
  pass(seconds(10));

  EXPECT_EQ(fatal(), "ping_timeout");
  EXPECT_TRUE(answerer(1).is_gone);
}

TEST_F(RpcConnectionTest, LetsGoOfWhoeverAsksForNothing) {
  open();
  pass(seconds(299));
  std::string ping;
  append_rpc_ping(ping, 1);
  feed(ping);  // is no reason to stay
  EXPECT_FALSE(connection->is_ending());
  take();
  pass(seconds(1));
  auto said = take();

  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].type, RpcType::go_away);
  EXPECT_EQ(said[0].code, "idle");
  EXPECT_TRUE(connection->is_ending());
}

TEST_F(RpcConnectionTest, DrainsWhatItHasAndRefusesWhatComes) {
  open();
  feed(rpc_request(4));
  connection->drain(seconds(30));
  feed(rpc_request(5));
  auto said = take();

  ASSERT_EQ(said.size(), 3U);
  EXPECT_EQ(said[0].type, RpcType::notify);
  EXPECT_EQ(said[1].type, RpcType::go_away);
  EXPECT_EQ(said[1].id, 4U);
  EXPECT_EQ(said[1].code, "draining");
  EXPECT_EQ(said[2].id, 5U);
  EXPECT_EQ(said[2].code, "draining");
  EXPECT_FALSE(connection->is_ending());
  connection->finish(4, rpc_last(4, false));
  EXPECT_EQ(take().at(0).id, 4U);
  EXPECT_TRUE(connection->is_ending());
}

TEST_F(RpcConnectionTest, TellsWhoeverAnswersWhenItIsAbandoned) {
  open();
  feed(rpc_request(1) + rpc_request(2, "s", true));
  connection->finish(1, rpc_last(1, false));
  connection->abandon();

  EXPECT_TRUE(answerer(2).is_gone);
  EXPECT_EQ(connection->unsent_bytes(), 0U);
  EXPECT_TRUE(take().empty());
}

TEST_F(RpcConnectionTest, IsFloodedByAClientThatAsksAndDoesNotRead) {
  open();
  std::string ping;
  append_rpc_ping(ping, UINT64_MAX);
  for (int i = 0; i < 10'000 && !connection->is_flooded(); ++i)
    feed(ping);

  EXPECT_TRUE(connection->is_flooded());
  EXPECT_LT(connection->unsent_bytes(), std::size_t{70} << 10);
  take();
  EXPECT_FALSE(connection->is_flooded());
}

TEST_F(RpcConnectionTest, SurvivesEveryCutAndEveryWrongByte) {
  options.body_memory = std::make_shared<Memory>();
  const std::string script = rpc_hello({.token = "K", .stream_credit = 1}) +
                             rpc_request(1, "now", true) + rpc_request(2) + rpc_credit(1, 3) +
                             rpc_cancel(2);
  for (std::size_t at = 0; at < script.size(); ++at) {
    start();
    feed(script.substr(0, at));
    pass(seconds(400));
    take();
    for (const int change : {1, 0x80, 0xFF}) {
      std::string wrong = script;
      wrong[at] = static_cast<char>(wrong[at] ^ change);
      start();
      feed(wrong);
      take();
      EXPECT_LT(connection->unsent_bytes(), script.size() * 2);
      connection->abandon();
    }
  }
  EXPECT_LT(reader.capacity_bytes(), std::size_t{1} << 20);
}

TEST_F(RpcConnectionTest, ReservesNothingForWhatAFrameOnlyDeclares) {
  open();
  std::string frame("\x00\xFF\xFF\xFF", 4);
  frame += std::string("\xDD\xFF\xFF\xFF\xFF", 5) + std::string(100, '\0');
  feed(frame);

  EXPECT_LT(reader.capacity_bytes(), std::size_t{64} << 10);
}

}  // namespace
}  // namespace sluice
