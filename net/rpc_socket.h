// A connection of Sluice RPC on its socket: reads, writes, and carries answers in from other
// threads.
#pragma once

#include "net/loop_impl.h"
#include "net/rpc.h"
#include "net/rpc_connection.h"
#include "net/rpc_loop.h"

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace sluice {

/// Owns itself: it is freed when libuv has let go of its socket. On the loop's thread only.
class RpcSocket final : public RoundTask, public RpcConnection::Owner {
 public:
  static void start(std::shared_ptr<RpcLoop> home, int socket, std::string address);
  /// Only to say why there is no place; not counted as a connection.
  static void refuse(std::shared_ptr<RpcLoop> home, int socket, std::string_view code);

  // Answers, carried here by posts.
  void item(std::uint32_t id, std::string frame);
  void finish(std::uint32_t id, std::string frame);

  // Called by the loop's shared part.
  void check_deadlines(TimePoint now);
  void drain();
  void close_idle();
  [[nodiscard]] std::optional<TimePoint> idle_since() const;
  /// Since when its client has taken nothing of what lies here for it; TimePoint::max(): nothing
  /// does.
  [[nodiscard]] TimePoint stands_since() const;
  [[nodiscard]] std::size_t answer_bytes() const { return counted_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  void close(bool reset = false);
  void run_at_round_end() override;

  std::size_t index = 0;  ///< in the list of the loop's shared part

 private:
  RpcSocket(std::shared_ptr<RpcLoop> home, std::string address, bool refused);
  ~RpcSocket() = default;
  bool open(int socket);

  std::variant<RpcAccepted, RpcFatal> on_hello(const RpcHello& hello) override;
  std::shared_ptr<RpcAnswerer> on_request(RpcRequest& request) override;
  std::shared_ptr<BodyShare> open_share(std::size_t bytes) override;

  void start_reading();
  void stop_reading();
  void on_bytes(std::string_view bytes);
  void queue_flush();
  void flush();
  void send_slice();
  void on_sent(int status);
  void note_progress();
  void note_idle();
  void linger();
  [[nodiscard]] TimePoint now() const { return home_->loop().now(); }

  std::shared_ptr<RpcLoop> home_;
  uv_tcp_t socket_{};
  uv_write_t write_{};
  std::string address_;
  RpcConnection connection_;
  /// For whoever answers: null when this is closed.
  std::shared_ptr<RpcSocket*> self_;
  std::string out_;       ///< being written
  std::size_t sent_ = 0;  ///< of `out_`
  std::size_t slice_ = 0;
  std::size_t counted_ = 0;  ///< of what waits here, at its loop
  TimePoint write_deadline_ = TimePoint::max();
  TimePoint linger_deadline_ = TimePoint::max();
  std::size_t dropped_ = 0;  ///< while it lingers
  bool refused_;
  bool reading_ = false;
  bool writing_ = false;
  bool flush_queued_ = false;
  bool idle_counted_ = false;
  bool lingering_ = false;
  bool closed_ = false;
};

}  // namespace sluice
