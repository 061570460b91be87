// A listener: one acceptor and one set of connections a loop.
#include "net/listener.h"

#include "base/check.h"
#include "net/acceptor.h"
#include "net/http_loop.h"
#include "net/loop_port.h"
#include "net/rpc_loop.h"
#include "net/socket.h"

#include <atomic>
#include <future>
#include <utility>

namespace sluice {
namespace {

/// One loop's part. Everything on the loop's thread, except its making.
struct Part {
  Part(EventLoop& its_loop,
       std::shared_ptr<LoopPort> its_port,
       std::shared_ptr<PortState> its_state)
      : loop(its_loop),
        mailbox(its_loop.impl().mailbox()),
        port(std::move(its_port)),
        state(std::move(its_state)) {}

  void open(int socket) {
    acceptor = new Acceptor(
        loop,
        socket,
        {.accepted = [port = port](int accepted,
                                   const std::string& host,
                                   std::uint16_t number) { port->adopt(accepted, host, number); },
         .make_room = [port = port] { return port->make_room(); },
         .exhausted =
             [port = port, state = state](int accepted) {
               ++state->refused;
               port->turn_away(accepted);
             }});
    // A loop that ends before its listener is closed takes its part of it along.
    stop_hook = loop.impl().at_stop([this] { end(); });
  }
  void drain() {
    stop_accepting(false);
    port->drain();
  }
  void close() {
    loop.impl().forget_stop_hook(stop_hook);
    end();
  }

  EventLoop& loop;  ///< may be gone; `mailbox` is not
  const std::shared_ptr<LoopMailbox> mailbox;
  const std::shared_ptr<LoopPort> port;
  const std::shared_ptr<PortState> state;
  Acceptor* acceptor = nullptr;  ///< frees itself
  std::uint64_t stop_hook = 0;

 private:
  void stop_accepting(bool at_once) {
    if (acceptor != nullptr) std::exchange(acceptor, nullptr)->close(at_once);
  }
  void end() {
    stop_accepting(true);
    port->close_all();
  }
};

/// A listener of any protocol: `Interface` is what its users see.
template <class Interface>
class Listener : public Interface {
 public:
  Listener(ListenAddress address, std::shared_ptr<PortState> shared)
      : address_(std::move(address)), shared_(std::move(shared)) {}
  ~Listener() override { close(); }

  void add(EventLoop& loop, std::shared_ptr<LoopPort> port) {
    parts_.push_back(std::make_unique<Part>(loop, std::move(port), shared_));
  }
  /// When all parts are there.
  void open(const std::vector<int>& sockets) {
    for (std::size_t i = 0; i < parts_.size(); ++i)
      parts_[i]->mailbox->post(
          [part = parts_[i].get(), socket = sockets[i]] { part->open(socket); });
  }

  [[nodiscard]] ListenAddress address() const override { return address_; }

  [[nodiscard]] ListenerStats stats() const override {
    return {shared_->connections.load(),
            shared_->accepted.load(),
            shared_->refused.load(),
            shared_->idle.load(),
            shared_->bytes_in.load(),
            shared_->bytes_out.load(),
            shared_->answer_bytes.load(),
            shared_->cut.load()};
  }

  void drain() override {
    if (closed_) return;
    for (const auto& part : parts_) {
      part->mailbox->post([part = part.get()] { part->drain(); });
    }
  }

  void close() override {
    if (closed_.exchange(true)) return;
    for (const auto& part : parts_) {
      CHECK(!part->mailbox->on_loop_thread());
      auto done = std::make_shared<std::promise<void>>();
      auto wait = done->get_future();
      const auto work = [part = part.get(), done] {
        part->close();
        done->set_value();
      };
      if (part->mailbox->post(work)) wait.wait();
    }
  }

 private:
  ListenAddress address_;
  std::shared_ptr<PortState> shared_;
  std::vector<std::unique_ptr<Part>> parts_;
  std::atomic<bool> closed_{false};
};

class RpcPort final : public Listener<RpcListener> {
 public:
  RpcPort(ListenAddress address, std::shared_ptr<RpcListenerState> shared)
      : Listener(std::move(address), shared), rpc_(std::move(shared)) {}

  [[nodiscard]] RpcStats rpc_stats() const override {
    RpcStats stats;
    for (const auto& counts : rpc_->counts) {
      sum_up(stats.frames_in, counts->frames_in);
      sum_up(stats.frames_out, counts->frames_out);
      sum_up(stats.fatals, counts->fatals);
    }
    return stats;
  }

 private:
  template <class Sums, class Counts>
  static void sum_up(Sums& sums, const Counts& counts) {
    for (std::size_t i = 0; i < sums.size(); ++i)
      sums[i] += counts[i].load(std::memory_order_relaxed);
  }

  std::shared_ptr<RpcListenerState> rpc_;
};

}  // namespace

ListenerStats& ListenerStats::operator+=(const ListenerStats& other) {
  connections += other.connections;
  accepted += other.accepted;
  refused += other.refused;
  idle += other.idle;
  bytes_in += other.bytes_in;
  bytes_out += other.bytes_out;
  answer_bytes += other.answer_bytes;
  cut += other.cut;
  return *this;
}

RpcStats& RpcStats::operator+=(const RpcStats& other) {
  const auto add = [](auto& sums, const auto& more) {
    for (std::size_t i = 0; i < sums.size(); ++i)
      sums[i] += more[i];
  };
  add(frames_in, other.frames_in);
  add(frames_out, other.frames_out);
  add(fatals, other.fatals);
  return *this;
}

Result<std::unique_ptr<PortListener>> listen_http(const ListenAddress& address,
                                                  const std::vector<EventLoop*>& loops,
                                                  HttpOptions options,
                                                  HttpHandler& handler) {
  CHECK(!loops.empty());
  const auto sockets = open_listening_sockets(address, loops.size(), options.write_timeout);
  if (!sockets) return sockets.error();
  auto shared = std::make_shared<HttpListenerState>(std::move(options), handler);
  auto listener = std::make_unique<Listener<PortListener>>(bound_address(sockets->front()), shared);
  for (EventLoop* loop : loops) {
    auto port = std::make_shared<HttpLoop>(*loop, shared);
    shared->loops.emplace_back(loop->impl().mailbox(), port);
    listener->add(*loop, std::move(port));
  }
  listener->open(*sockets);
  return std::unique_ptr<PortListener>(std::move(listener));
}

Result<std::unique_ptr<RpcListener>> listen_rpc(const ListenAddress& address,
                                                const std::vector<EventLoop*>& loops,
                                                RpcOptions options,
                                                RpcHandler& handler) {
  CHECK(!loops.empty());
  const auto sockets = open_listening_sockets(address, loops.size(), options.write_timeout);
  if (!sockets) return sockets.error();
  auto shared = std::make_shared<RpcListenerState>(std::move(options), handler, loops.size());
  auto listener = std::make_unique<RpcPort>(bound_address(sockets->front()), shared);
  for (std::size_t i = 0; i < loops.size(); ++i)
    listener->add(*loops[i], std::make_shared<RpcLoop>(*loops[i], shared, *shared->counts[i]));
  listener->open(*sockets);
  return std::unique_ptr<RpcListener>(std::move(listener));
}

}  // namespace sluice
