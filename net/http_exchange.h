// The thread-safe side of an exchange: what a handler holds, and what the connection sees of it.
#pragma once

#include "net/client_watch.h"
#include "net/http.h"
#include "net/loop_impl.h"

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace sluice {

class HttpConnection;

/// Shared by a connection and the handles of one of its exchanges; outlives both.
struct ExchangeState {
  ExchangeState(std::shared_ptr<LoopMailbox> loop, HttpConnection* owner, std::size_t buffer)
      : mailbox(std::move(loop)), stream_buffer(buffer), connection(owner) {}

  const std::shared_ptr<LoopMailbox> mailbox;
  const std::size_t stream_buffer;
  std::atomic<std::size_t> posted{0};    ///< bytes on their way to the loop
  std::atomic<std::size_t> buffered{0};  ///< bytes the connection holds
  std::atomic<bool> above{false};        ///< a producer was told more than `stream_buffer`
  std::atomic<bool> answered{false};     ///< the handler has said all it will

  ClientWatch client;

  // On the loop's thread only.
  HttpConnection* connection;  ///< null once the answer is complete or the client gone

  [[nodiscard]] std::size_t unsent() const { return posted.load() + buffered.load(); }
  /// Tells a producer that paused that it may go on, if it may.
  void report_writable();
};

/// What a handler is given: every call becomes a post to the connection's loop.
class PostingExchange final : public HttpExchange {
 public:
  explicit PostingExchange(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
  /// An exchange that nobody can answer any more is cut.
  ~PostingExchange() override;

  void respond(HttpResponse response) override;
  void begin_stream(HttpResponse head) override;
  void write(std::string piece) override;
  void end_stream(std::string piece) override;
  void abort() override;
  [[nodiscard]] std::size_t unsent_bytes() const override;
  void on_gone(std::function<void()> gone) override;
  void on_writable(std::function<void()> writable) override;

 private:
  void post_piece(std::string piece, bool last);

  std::shared_ptr<ExchangeState> state_;
};

}  // namespace sluice
