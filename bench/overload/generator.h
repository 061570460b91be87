// The load generator: sends each request at its intended time, whatever the server does. START
// HERE.
#pragma once

#include "base/result.h"
#include "bench/overload/arrivals.h"
#include "bench/overload/client_kind.h"
#include "bench/overload/connection.h"
#include "bench/overload/index_lists.h"
#include "bench/overload/latency_histogram.h"
#include "bench/overload/request_text.h"
#include "bench/overload/retry.h"
#include "bench/overload/statistics.h"
#include "bench/overload/timer_wheel.h"
#include "bench/overload/trace_file.h"

#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace sluice::overload {

struct GeneratorOptions {
  std::string host = "127.0.0.1";  ///< a numeric address
  std::uint16_t port = 8000;
  std::string path = "/v1/completions";
  std::string model;  ///< empty: not named
  LoadCurve curve;
  std::optional<TraceFile> trace;  ///< in place of the curve
  std::vector<ClientKind> kinds;   ///< at least one
  std::uint64_t seed = 1;
  Duration duration = std::chrono::seconds(10);  ///< of the arrivals
  Duration drain = std::chrono::seconds(10);     ///< then requests may take so long to end
  std::size_t skip_s = 0;                        ///< seconds at the beginning that sums leave out
  std::size_t connections_max = 1000;
  std::size_t requests_max = 200'000;  ///< that have not ended; further ones are dropped
};

/// One run, on the thread that calls `run`. A request that finds no connection free waits, and its
/// latency counts from its intended time: so a server that slows down cannot make the generator
/// ask less, nor hide how long its clients wait (no coordinated omission).
class Generator final : private ConnectionUser {
 public:
  explicit Generator(GeneratorOptions options);
  ~Generator();

  /// Sends everything and waits until all has ended, or `drain` is over. Once.
  /// Errors: invalid_argument: `host` is no address. resource_exhausted: no timer could be made.
  Result<void> run();

  [[nodiscard]] const GeneratorOptions& options() const { return options_; }
  [[nodiscard]] const Statistics& statistics() const { return statistics_; }
  /// From the intended time of each first attempt until the generator turned to it: how well it
  /// kept up itself. Waiting for a connection is not part of it.
  [[nodiscard]] const LatencyHistogram& lateness() const { return lateness_; }
  [[nodiscard]] std::size_t connections_opened() const { return connections_.size(); }

 private:
  /// A request that somebody intended and that has not ended.
  struct Request {
    enum class State : std::uint8_t { waits_for_connection, on_connection, waits_to_retry };
    State state = State::waits_for_connection;
    bool had_token = false;  ///< an attempt's stream has begun
    Duration intended{};
    Duration attempt_at{};  ///< when this attempt was meant to be sent
    std::uint64_t number = 0;
    std::uint32_t kind = 0;
    std::uint32_t attempts = 0;
    std::uint32_t connection = 0;
    std::uint32_t prompt_chars = 0;
    std::uint32_t max_tokens = 0;
  };

  [[nodiscard]] Duration now() const;
  void turn();
  void release_arrivals();
  bool fetch_arrival();
  void offer();

  void begin_attempt(std::uint32_t id);
  [[nodiscard]] bool has_connection() const;
  void use_connection(std::uint32_t id);
  void send(Connection& connection);
  void set_timer(std::uint32_t id);
  void on_timer(std::uint32_t id);
  void end_attempt(std::uint32_t id, Outcome outcome, const Disappointment& how);
  void end(std::uint32_t id, Outcome outcome);
  void count_refusal(const Request& request, const Answer& answer);
  void release_connection(Connection& connection, bool keep);
  void serve_waiting();
  void finish();

  void on_open(Connection& connection) override;
  void on_first_token(Connection& connection) override;
  void on_answer(Connection& connection, const Answer& answer) override;
  void on_lost(Connection& connection, bool garbled) override;
  void on_closed(Connection& connection) override;

  const ClientKind& kind_of(const Request& request) const { return options_.kinds[request.kind]; }

  GeneratorOptions options_;
  Arrivals arrivals_;
  RequestText text_;
  Statistics statistics_;
  LatencyHistogram lateness_;

  std::vector<Request> requests_;
  std::vector<std::uint32_t> free_requests_;
  IndexLists waiting_;  // for a connection, in order
  TimerWheel timers_;   // of each request: what it waits for, or its patience
  std::optional<TraceArrival> next_;
  std::uint64_t offered_ = 0;
  bool arrivals_over_ = false;

  std::deque<Connection> connections_;     // their addresses stay
  std::vector<std::uint32_t> request_of_;  // of each connection, or kNone
  std::vector<std::uint32_t> closed_;      // may be opened again
  IndexLists idle_;                        // the last one used is used first
  std::vector<char> read_buffer_;

  uv_loop_t loop_{};
  uv_poll_t wake_{};
  int timer_fd_ = -1;
  sockaddr_storage address_{};
  std::int64_t start_ns_ = 0;
  bool finished_ = false;
};

}  // namespace sluice::overload
