// A connection of Sluice RPC under any script of frames, bytes, answers, credit and time: it says
// only whole frames, and ends every request once.
#include "net/rpc_connection.h"
#include "tests/net/rpc_client.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {
namespace {

void expect(bool holds) {
  if (!holds) std::abort();
}

/// Reads a script byte by byte; zeros behind its end.
class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size)
      : rest_(reinterpret_cast<const char*>(data), size) {}
  [[nodiscard]] bool done() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }
  std::string bytes(std::size_t most) {
    std::string taken(rest_.substr(0, most));
    rest_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view rest_;
};

class Answerer final : public RpcAnswerer {
 public:
  void gone() override {
    expect(!is_gone_);
    is_gone_ = true;
  }
  void buffered(std::size_t, bool) override {}

 private:
  bool is_gone_ = false;
};

class Memory final : public BodyMemory {
 public:
  struct Share final : BodyShare {
    bool resize(std::size_t bytes) override { return bytes <= kRoom; }
    void complete() override {}
  };
  std::shared_ptr<BodyShare> open(const std::string&,
                                  std::uint64_t,
                                  std::function<void()>) override {
    return std::make_shared<Share>();
  }
  static constexpr std::size_t kRoom = 12'000;
};

class World final : public RpcConnection::Owner {
 public:
  void run(Script script) {
    const std::uint8_t first = script.byte();
    if ((first & 1) != 0) {
      RpcHello hello;
      hello.frame_bytes_max = 4096 + first;
      hello.stream_credit = first >> 4;
      feed(testing::rpc_hello(hello));
    }
    while (!script.done())
      act(script);
    take(SIZE_MAX);
    connection_.abandon();
    expect(connection_.requests() == 0 && connection_.unsent_bytes() == 0);
  }

 private:
  std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello&) override { return RpcAccepted{}; }
  std::shared_ptr<RpcAnswerer> on_request(RpcRequest& request) override {
    expect(request.id != 0);
    Request& known = requests_[request.id];
    expect(!known.open);
    known = {.open = true, .stream = request.is_stream};
    return std::make_shared<Answerer>();
  }
  std::shared_ptr<BodyShare> open_share(std::size_t bytes) override {
    return options_.body_memory->open("", bytes, {});
  }

  void act(Script& script) {
    const std::uint8_t op = script.byte();
    const std::uint32_t id = script.byte() % 6;
    switch (op % 11) {
      case 0:
        return feed(testing::rpc_request(id, "m", op >= 128));
      case 1:
        return feed(testing::rpc_credit(id, script.byte()));
      case 2:
        return feed(testing::rpc_cancel(id));
      case 3:
        return feed(script.bytes(script.byte()));
      case 4:
        return take(script.byte() * 4);
      case 5:
        now_ += std::chrono::milliseconds(script.byte() * 100);
        return connection_.check_deadlines(now_);
      case 6:
        return connection_.item(id, testing::rpc_piece(id, 0, std::string(script.byte(), 'x')));
      case 7:
        return connection_.finish(id, testing::rpc_last(id, requests_[id].stream));
      case 8:
        return connection_.give_way();
      case 9:
        // The beginning of a large one, whose rest may never come.
        return feed(testing::rpc_request(id, "m", false, std::string(script.byte() * 100, 'x'))
                        .substr(0, script.byte() * 64));
      default:
        return op < 200 ? feed(script.bytes(1)) : connection_.drain(std::chrono::seconds(1));
    }
  }

  void feed(const std::string& bytes) { connection_.feed(bytes, now_); }

  void take(std::size_t most) {
    std::string out;
    connection_.take(out, most, now_);
    if (out.starts_with("HTTP/")) return;
    for (const testing::RpcMessage& message : messages_.read(out)) {
      expect(message.is_whole);
      Request& request = requests_[message.id];
      if (message.type == RpcType::item) expect(request.open);
      if (message.type != RpcType::response && message.type != RpcType::end) continue;
      if (is_refusal(message.code)) continue;  // of a request that was never one
      expect(request.open);
      request.open = false;
    }
    if (connection_.is_ending()) requests_.clear();
  }

  static bool is_refusal(std::string_view code) {
    return code == "too_many_inflight" || code == "draining" || code == "overloaded" ||
           code == "request_too_large";
  }

  struct Request {
    bool open = false;
    bool stream = false;
  };

  static RpcOptions make_options() {
    RpcOptions options;
    options.frame_bytes_max = 16 << 10;
    options.request_bytes_max = 14'000;
    options.inflight_max = 4;
    options.window_bytes = 2000;
    options.body_memory = std::make_shared<Memory>();
    return options;
  }

  RpcOptions options_ = make_options();
  MsgpackReader reader_;
  RpcCounts counts_;
  TimePoint now_{std::chrono::seconds(1)};
  std::map<std::uint32_t, Request> requests_;
  testing::RpcMessages messages_;
  RpcConnection connection_{options_, *this, reader_, counts_, now_};
};

}  // namespace
}  // namespace sluice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  sluice::World().run({data, size});
  return 0;
}
