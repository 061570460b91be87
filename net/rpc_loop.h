// The connections of Sluice RPC on one loop: their sockets, and who answers on them.
#pragma once

#include "net/event_loop.h"
#include "net/loop_impl.h"
#include "net/loop_port.h"
#include "net/msgpack.h"
#include "net/rpc.h"
#include "net/rpc_connection.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

class RpcSocket;

/// Shared by all loops of a listener of Sluice RPC. Thread-safe.
struct RpcListenerState : PortState {
  RpcListenerState(RpcOptions all_options, RpcHandler& all_handler, std::size_t loops)
      : PortState(all_options.connections_max, all_options.connections_per_address_max),
        options(std::move(all_options)),
        handler(all_handler) {
    for (std::size_t i = 0; i < loops; ++i)
      counts.push_back(std::make_unique<RpcCounts>());
  }

  const RpcOptions options;
  RpcHandler& handler;
  std::vector<std::unique_ptr<RpcCounts>> counts;  ///< of each loop
};

class RpcLoop final : public LoopPort, public std::enable_shared_from_this<RpcLoop> {
 public:
  RpcLoop(EventLoop& loop, std::shared_ptr<RpcListenerState> shared, RpcCounts& counts);

  void adopt(int socket, const std::string& address, std::uint16_t port) override;
  void turn_away(int socket) override;
  bool make_room() override { return close_idle(nullptr); }
  void drain() override;
  void close_all() override;

  [[nodiscard]] const RpcOptions& options() const { return shared_->options; }
  [[nodiscard]] RpcHandler& handler() { return shared_->handler; }
  [[nodiscard]] PortState& shared() { return *shared_; }
  [[nodiscard]] EventLoop::Impl& loop() { return loop_.impl(); }
  [[nodiscard]] MsgpackReader& reader() { return reader_; }
  [[nodiscard]] RpcCounts& counts() { return counts_; }

  /// A connection holds `now` bytes of answers, where it held `before`. May close others, and it.
  void count_answers(std::size_t before, std::size_t now);
  /// A connection that is only told why there is no place begins or ends.
  void count_refusal(bool begins) { begins ? ++refusals_ : --refusals_; }
  void add(RpcSocket* socket);
  void remove(RpcSocket* socket);

 private:
  bool close_idle(const std::string* address);
  void sweep();

  EventLoop& loop_;
  std::shared_ptr<RpcListenerState> shared_;
  RpcCounts& counts_;
  MsgpackReader reader_;
  std::vector<RpcSocket*> sockets_;  ///< each knows its index
  std::unique_ptr<EventLoop::Timer> timer_;
  std::size_t answer_bytes_ = 0;
  std::size_t refusals_ = 0;
  bool draining_ = false;
  bool closed_ = false;
};

}  // namespace sluice
