// The client against a server that follows a script.
#include "sluice/client/client.h"

#include "codec.h"
#include "vectors.h"
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace sluice::client {
namespace {

using namespace detail;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// What a script may do with one connection.
class Peer {
 public:
  explicit Peer(int socket) : socket_(socket) {}
  ~Peer() { ::close(socket_); }

  void send(const std::string& bytes) {
    (void)!::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void say(const Value::Array& message) { send(encode(message)); }
  /// The next message; nil at the end.
  Value read() {
    for (;;) {
      if (auto payload = splitter_.next()) return decode(*payload).value_or(Value());
      char bytes[4096];
      const ssize_t size = ::recv(socket_, bytes, sizeof bytes, 0);
      if (size <= 0) return {};
      std::string_view rest(bytes, static_cast<std::size_t>(size));
      const std::size_t taken = std::min(rest.size(), kPreface.size() - preface_);
      preface_ += taken;
      splitter_.feed(rest.substr(taken));
    }
  }
  /// The next REQUEST; its number.
  std::int64_t request() {
    for (;;) {
      const Value message = read();
      if (message.is_nil()) return 0;
      if (message[0].integer() == kRequest) return message[1].integer();
    }
  }
  void welcome(int inflight = 256) {
    read();
    send(std::string(kPreface));
    say({kWelcome, Value::Map{{"max_frame", 1 << 20}, {"max_inflight", inflight}}});
  }
  void answer(std::int64_t id, const std::string& text) {
    say({kResponse,
         id,
         nullptr,
         Value::Map{
             {"choices", Value::Array{Value::Map{{"text", text}, {"finish_reason", "stop"}}}},
             {"usage", Value::Map{{"completion_tokens", 3}}}},
         Value::Map{{"request_id", "r"}}});
  }
  void refuse(std::int64_t id, const std::string& code, int http, int retry_after_ms) {
    say({kResponse,
         id,
         Value::Map{{"code", code},
                    {"message", "no"},
                    {"http", http},
                    {"retryable", true},
                    {"retry_after_ms", retry_after_ms}},
         nullptr});
  }
  void item(std::int64_t id, int seq, const std::string& text) {
    say({kItem, id, seq, Value::Map{{"c", 0}, {"t", text}, {"k", Value::Array{seq}}}});
  }
  void end(std::int64_t id) {
    say({kEnd, id, nullptr, Value::Map{{"usage", Value::Map{{"completion_tokens", 2}}}}});
  }

 private:
  int socket_;
  std::size_t preface_ = 0;
  Splitter splitter_{1 << 20};
};

/// Serves one connection after the other, each with the next script.
class FakeServer {
 public:
  using Script = std::function<void(Peer&)>;

  explicit FakeServer(std::vector<Script> scripts) : scripts_(std::move(scripts)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 8), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] {
      for (const Script& script : scripts_) {
        const int socket = ::accept(listener_, nullptr, nullptr);
        if (socket < 0) return;
        Peer peer(socket);
        script(peer);
      }
    });
  }
  ~FakeServer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }

  [[nodiscard]] Options options() {
    Options options;
    options.port = port_;
    options.sleep = [this](Milliseconds wait) {
      const std::lock_guard lock(mutex_);
      waits_.push_back(wait.count());
    };
    return options;
  }
  std::vector<std::int64_t> waits() {
    const std::lock_guard lock(mutex_);
    return waits_;
  }

 private:
  std::vector<Script> scripts_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  std::vector<std::int64_t> waits_;
  std::thread thread_;
};

TEST(Client, GetsAWholeAnswer) {
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    peer.answer(peer.request(), "hello");
    peer.read();
  }});
  Client client(server.options());
  auto answer = client.complete({{"prompt", "x"}});

  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->choices.at(0).text, "hello");
  EXPECT_EQ(answer->usage.completion_tokens, 3U);
  EXPECT_EQ(answer->about["request_id"].text(), "r");
}

TEST(Client, ReadsAStreamToItsEnd) {
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    const auto id = peer.request();
    peer.item(id, 0, "a");
    peer.item(id, 1, "b");
    peer.end(id);
    peer.read();
  }});
  Client client(server.options());
  Stream stream = client.stream_completion({{"prompt", "x"}});
  std::string text;
  std::vector<std::int64_t> tokens;
  while (auto piece = stream.next()) {
    text += piece->text;
    tokens.insert(tokens.end(), piece->tokens.begin(), piece->tokens.end());
  }

  EXPECT_EQ(text, "ab");
  EXPECT_THAT(tokens, ElementsAre(0, 1));
  EXPECT_FALSE(stream.error());
  EXPECT_EQ(stream.usage().completion_tokens, 2U);
}

TEST(Client, CancelsAStreamThatIsLeft) {
  std::atomic<bool> cancelled{false};
  {
    FakeServer server({[&](Peer& peer) {
      peer.welcome();
      const auto id = peer.request();
      peer.item(id, 0, "a");
      for (Value message = peer.read(); !message.is_nil() && !cancelled; message = peer.read())
        cancelled = message[0].integer() == kCancel && message[1].integer() == id;
    }});
    Client client(server.options());
    Stream stream = client.stream_completion({});
    EXPECT_TRUE(stream.next());
  }
  EXPECT_TRUE(cancelled);
}

TEST(Client, TriesAgainNoEarlierThanItIsTold) {
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    peer.refuse(peer.request(), "overloaded", 429, 1700);
    peer.refuse(peer.request(), "not_ready", 503, 20);
    peer.answer(peer.request(), "at last");
    peer.read();
  }});
  Client client(server.options());
  auto answer = client.complete({});

  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->choices.at(0).text, "at last");
  const auto waits = server.waits();
  ASSERT_EQ(waits.size(), 2U);
  EXPECT_EQ(waits[0], 1700);
  EXPECT_GE(waits[1], 200);  // its own back-off is longer
  EXPECT_LE(waits[1], 400);
}

TEST(Client, DoesNotRetryWhatWouldComeAgain) {
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    peer.refuse(peer.request(), "internal_error", 500, 1);
    peer.read();
  }});
  Client client(server.options());
  auto answer = client.complete({});

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "internal_error");
  EXPECT_EQ(answer.error().retry_after, Milliseconds(1));
  EXPECT_TRUE(server.waits().empty());
}

TEST(Client, AsksAgainWhenTheConnectionWasLost) {
  FakeServer server({[](Peer& peer) {
                       peer.welcome();
                       peer.request();
                     },
                     [](Peer& peer) {
                       peer.welcome();
                       peer.answer(peer.request(), "again");
                       peer.read();
                     }});
  Client client(server.options());
  auto answer = client.complete({});

  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->choices.at(0).text, "again");
}

TEST(Client, EndsAStreamThatHasBegunWithAnErrorAndNotAnew) {
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    peer.item(peer.request(), 0, "a");
  }});
  Client client(server.options());
  Stream stream = client.stream_completion({});

  EXPECT_EQ(stream.next()->text, "a");
  EXPECT_FALSE(stream.next());
  ASSERT_TRUE(stream.error());
  EXPECT_EQ(stream.error()->code, "connection_lost");
  EXPECT_TRUE(server.waits().empty());
}

TEST(Client, TriesAStreamAgainThatHasNotBegun) {
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    peer.refuse(peer.request(), "overloaded", 429, 50);
    const auto id = peer.request();
    peer.item(id, 0, "a");
    peer.end(id);
    peer.read();
  }});
  Client client(server.options());
  Stream stream = client.stream_chat({});

  EXPECT_EQ(stream.next()->text, "a");
  EXPECT_EQ(server.waits().size(), 1U);
}

TEST(Client, OpensAnotherConnectionWhenItIsAskedToGo) {
  FakeServer server({[](Peer& peer) {
                       peer.welcome();
                       const auto id = peer.request();
                       peer.say({kGoAway, id, "draining", 1000});
                       peer.answer(id, "first");
                       peer.read();
                     },
                     [](Peer& peer) {
                       peer.welcome();
                       peer.answer(peer.request(), "second");
                       peer.read();
                     }});
  Client client(server.options());

  EXPECT_EQ(client.complete({})->choices.at(0).text, "first");
  EXPECT_EQ(client.complete({})->choices.at(0).text, "second");
}

TEST(Client, SaysWhyItIsNotLetIn) {
  FakeServer server({[](Peer& peer) {
    peer.read();
    peer.send(std::string(kPreface));
    peer.say({kFatal, "invalid_api_key", "no such key"});
  }});
  Client client(server.options());
  auto answer = client.complete({});

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "invalid_api_key");
  EXPECT_EQ(answer.error().http, 401);
}

TEST(Client, SaysThatNobodyListens) {
  Options options;
  {
    FakeServer server({});
    options = server.options();
    options.sleep = [](Milliseconds) {};
  }
  Client client(options);
  auto answer = client.complete({});

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "connection_failed");
  EXPECT_THAT(answer.error().message, HasSubstr("127.0.0.1:"));
}

TEST(Client, WaitsForRoomOnAConnectionThatIsFull) {
  FakeServer server({[](Peer& peer) {
    peer.welcome(1);
    const auto first = peer.request();
    peer.answer(first, "one");
    peer.answer(peer.request(), "two");
    peer.read();
  }});
  Client client(server.options());
  std::thread other([&] { EXPECT_TRUE(client.complete({})); });
  EXPECT_TRUE(client.complete({}));
  other.join();
}

TEST(Client, GivesUpInTime) {
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    peer.request();
    peer.read();  // the CREDIT of the handshake or the CANCEL
    peer.read();
  }});
  Options options = server.options();
  options.timeout = Milliseconds(50);
  Client client(options);
  auto answer = client.complete({});

  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, "timeout");
}

TEST(Client, SharesOneConnectionBetweenThreads) {
  constexpr int kThreads = 16;
  FakeServer server({[](Peer& peer) {
    peer.welcome();
    for (int i = 0; i < kThreads * 20; ++i) {
      const auto id = peer.request();
      peer.answer(id, std::to_string(id));
    }
    peer.read();
  }});
  Client client(server.options());
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j)
        if (client.complete({})) ++answered;
    });
  for (std::thread& thread : threads)
    thread.join();

  EXPECT_EQ(answered, kThreads * 20);
}

}  // namespace
}  // namespace sluice::client
