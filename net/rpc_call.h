// The thread-safe side of a request of Sluice RPC: what a handler holds, and what the connection
// sees of it.
#pragma once

#include "net/client_watch.h"
#include "net/loop_impl.h"
#include "net/rpc.h"
#include "net/rpc_connection.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace sluice {

class RpcSocket;

/// Shared by a connection and the handle of one of its requests; outlives both.
class RpcCallState final : public RpcAnswerer {
 public:
  RpcCallState(std::shared_ptr<LoopMailbox> loop,
               std::shared_ptr<RpcSocket*> socket,
               std::uint32_t its_id,
               bool stream,
               std::size_t buffer)
      : mailbox(std::move(loop)),
        connection(std::move(socket)),
        id(its_id),
        is_stream(stream),
        stream_buffer(buffer) {}

  void gone() override { client.tell_gone(); }
  void buffered(std::size_t bytes, bool starved) override;

  const std::shared_ptr<LoopMailbox> mailbox;
  const std::shared_ptr<RpcSocket*> connection;  ///< what it points to is the loop's
  const std::uint32_t id;
  const bool is_stream;
  const std::size_t stream_buffer;
  std::atomic<std::size_t> posted{0};  ///< bytes on their way to the loop
  std::atomic<std::size_t> held{0};    ///< bytes the connection holds
  std::atomic<bool> starved{false};    ///< they wait for credit
  std::atomic<bool> above{false};      ///< a producer was told not to go on
  std::atomic<bool> answered{false};   ///< the handler has said all it will

  ClientWatch client;

  [[nodiscard]] std::size_t unsent() const { return posted.load() + held.load(); }
  /// Tells a producer that paused that it may go on, if it may.
  void report_writable();
};

/// What a handler is given: every call becomes a post to the connection's loop.
class PostingRpcCall final : public RpcCall {
 public:
  explicit PostingRpcCall(std::shared_ptr<RpcCallState> state) : state_(std::move(state)) {}
  /// A request that nobody can answer any more ends with an error.
  ~PostingRpcCall() override;

  [[nodiscard]] std::uint32_t id() const override { return state_->id; }
  [[nodiscard]] bool is_stream() const override { return state_->is_stream; }
  void item(std::string frame) override;
  void finish(std::string frame) override;
  [[nodiscard]] bool keeps_up() override;
  void on_gone(std::function<void()> gone) override;
  void on_writable(std::function<void()> writable) override;

 private:
  std::shared_ptr<RpcCallState> state_;
};

}  // namespace sluice
