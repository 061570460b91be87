// A listener: one acceptor and one set of connections a loop.
#include "net/listener.h"

#include "base/check.h"
#include "net/acceptor.h"
#include "net/http_loop.h"
#include "net/socket.h"

#include <atomic>
#include <future>
#include <utility>

namespace sluice {
namespace {

/// One loop's part. Everything on the loop's thread, except its making.
struct Part {
  Part(EventLoop& its_loop, const std::shared_ptr<HttpListenerState>& shared)
      : loop(its_loop),
        mailbox(its_loop.impl().mailbox()),
        http(std::make_shared<HttpLoop>(its_loop, shared)) {}

  void open(int socket) {
    acceptor = new Acceptor(
        loop,
        socket,
        {.accepted = [http = http](int accepted,
                                   const std::string& host,
                                   std::uint16_t port) { http->adopt(accepted, host, port); },
         .make_room = [http = http] { return http->close_idle(1); },
         .exhausted =
             [http = http](int accepted) {
               ++http->shared().refused;
               http->turn_away(accepted);
             }});
    // A loop that ends before its listener is closed takes its part of it along.
    stop_hook = loop.impl().at_stop([this] { end(); });
  }
  void drain() {
    stop_accepting(false);
    http->drain();
  }
  void close() {
    loop.impl().forget_stop_hook(stop_hook);
    end();
  }

  EventLoop& loop;  ///< may be gone; `mailbox` is not
  const std::shared_ptr<LoopMailbox> mailbox;
  std::shared_ptr<HttpLoop> http;
  Acceptor* acceptor = nullptr;  ///< frees itself
  std::uint64_t stop_hook = 0;

 private:
  void stop_accepting(bool at_once) {
    if (acceptor != nullptr) std::exchange(acceptor, nullptr)->close(at_once);
  }
  void end() {
    stop_accepting(true);
    http->close_all();
  }
};

class Listener final : public HttpListener {
 public:
  Listener(const std::vector<EventLoop*>& loops,
           const std::vector<int>& sockets,
           HttpOptions options,
           HttpHandler& handler)
      : address_(bound_address(sockets.front())),
        shared_(std::make_shared<HttpListenerState>(std::move(options), handler)) {
    for (EventLoop* loop : loops) {
      parts_.push_back(std::make_unique<Part>(*loop, shared_));
      shared_->loops.emplace_back(parts_.back()->mailbox, parts_.back()->http);
    }
    for (std::size_t i = 0; i < loops.size(); ++i)
      parts_[i]->mailbox->post(
          [part = parts_[i].get(), socket = sockets[i]] { part->open(socket); });
  }
  ~Listener() override { close(); }

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
  std::shared_ptr<HttpListenerState> shared_;
  std::vector<std::unique_ptr<Part>> parts_;
  std::atomic<bool> closed_{false};
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

Result<std::unique_ptr<HttpListener>> HttpListener::open(const ListenAddress& address,
                                                         const std::vector<EventLoop*>& loops,
                                                         HttpOptions options,
                                                         HttpHandler& handler) {
  CHECK(!loops.empty());
  const auto sockets = open_listening_sockets(address, loops.size(), options.write_timeout);
  if (!sockets) return sockets.error();
  return std::unique_ptr<HttpListener>(new Listener(loops, *sockets, std::move(options), handler));
}

}  // namespace sluice
