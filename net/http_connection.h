// One client of HTTP: bytes become requests, answers become bytes, and everything has an end.
#pragma once

#include "net/header_gate.h"
#include "net/http.h"
#include "net/http_body.h"
#include "net/http_exchange.h"
#include "net/http_loop.h"
#include "net/http_parser.h"
#include "net/loop_impl.h"

#include <uv.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// A connection and its state machine. Requests are read and answered one at a time, in order;
/// what arrives meanwhile waits in `in_`, and the socket stays readable so that a client who
/// leaves is noticed. It owns itself: it is freed when libuv has let go of its socket. On the
/// loop's thread only.
class HttpConnection final : public RoundTask {
 public:
  static void start(std::shared_ptr<HttpLoop> home,
                    int socket,
                    std::string address,
                    std::string peer);
  /// Only to say why there is no room; not counted as a connection.
  static void refuse(std::shared_ptr<HttpLoop> home,
                     int socket,
                     std::string peer,
                     const HttpFault& fault);

  // The answer to the running request. Called through the exchange, while it is attached.
  void respond(HttpResponse response);
  void begin_stream(HttpResponse head);
  void write_piece(std::string_view piece);
  void end_stream(std::string_view piece);
  void abort();

  // Called by the loop's shared part.
  void check_deadlines(TimePoint now);
  void close_if_idle();
  /// Its place in the order in which connections of the loop began to wait for a request; none: it
  /// does not wait, or its first one may well be on its way.
  [[nodiscard]] std::optional<std::uint64_t> idle_place() const;
  /// Since when its client has taken nothing of what lies here for it; TimePoint::max(): nothing
  /// does.
  [[nodiscard]] TimePoint stands_since() const;
  /// That lie here for its client, as its loop counts them.
  [[nodiscard]] std::size_t answer_bytes() const { return counted_; }
  [[nodiscard]] const std::string& address() const { return address_; }
  /// Closes the socket, with a reset where the answer is cut; a running exchange is told that its
  /// client is gone.
  void close(bool reset = false);
  void run_at_round_end() override;

  std::size_t index = 0;  ///< in the list of the loop's shared part

 private:
  enum class State : std::uint8_t {
    idle,       ///< no byte of a request yet
    head,       ///< a head has begun
    body,       ///< a body is being read
    unwanted,   ///< the request is refused and answered, its body is read away
    running,    ///< a handler has the request
    flushing,   ///< the answer is complete, not all of it is sent
    lingering,  ///< our side is shut; what still arrives is dropped, so that the answer is read
    closed,
  };

  HttpConnection(std::shared_ptr<HttpLoop> home, std::string address, std::string peer);
  ~HttpConnection() = default;
  bool open(int socket);

  // Reading.
  void on_bytes(std::string_view bytes);
  void on_end(bool clean);
  void hold(std::string_view bytes);
  bool may_hold_more();
  [[nodiscard]] std::size_t read_bytes_max() const;
  void consume(std::string_view arrived);
  std::size_t parse(std::string_view bytes);
  void begin_request(std::string_view head, bool body_arrived);
  void await_body(bool body_arrived);
  void dispatch();
  void start_reading();
  void stop_reading();
  [[nodiscard]] bool client_has_shut() const;

  // Answering.
  void refuse_request(HttpResponse response);
  std::size_t drop_body(std::string_view bytes);
  void give_up_body();
  [[nodiscard]] HttpFault of_request(HttpFault fault) const;
  void give_way();
  void fail(const HttpFault& fault);
  void answer(HttpResponse response);
  void append_answer(const HttpResponse& response);
  void finish_answer();
  void answer_sent();
  void queue_flush();
  void flush();
  void send_slice();
  void on_sent(int status);
  void note_progress();
  void count_answers(std::size_t now);
  void linger();

  std::shared_ptr<ExchangeState> detach();
  void close_socket(bool reset);
  [[nodiscard]] std::size_t unsent() const { return out_.size() + sending_.size() - sent_; }
  [[nodiscard]] const HttpOptions& options() const { return home_->options(); }
  [[nodiscard]] TimePoint now() const { return home_->loop().now(); }
  void note_idle(bool idle);
  void release_memory();

  std::shared_ptr<HttpLoop> home_;
  uv_tcp_t socket_{};
  std::string address_;  ///< empty: not counted
  std::string peer_;
  State state_ = State::idle;
  bool reading_ = false;
  bool parsing_ = false;       ///< `parse` is on the stack and goes on by itself
  bool writing_ = false;       ///< a slice of `sending_` is with libuv
  bool flush_queued_ = false;  ///< in the list of the round's end
  bool head_request_ = false;  ///< no body in the answer
  bool http10_ = false;
  bool close_after_ = false;  ///< after the current answer
  bool linger_after_ = false;
  bool streaming_ = false;
  bool chunked_ = false;  ///< the streamed answer
  bool refused_ = false;
  bool served_ = false;  ///< a request, at least
  bool cold_ = false;    ///< idle since the last sweep
  bool idle_counted_ = false;
  std::uint64_t idle_place_ = 0;

  std::string in_;                 ///< arrived and not yet parsed
  std::size_t heads_scanned_ = 0;  ///< of `in_`, for `waiting_heads_`
  std::size_t waiting_heads_ = 0;  ///< ends of heads in `in_` while a request runs
  HeaderGate gate_;
  std::unique_ptr<HttpParser> parser_;
  std::unique_ptr<HttpRequest> request_;   ///< being read
  HttpBody body_;                          ///< of `request_`
  std::shared_ptr<BodyShare> held_share_;  ///< of `in_`, while much waits there
  /// For whoever asks it to give way: null when it is gone.
  std::shared_ptr<HttpConnection*> self_;
  std::shared_ptr<ExchangeState> exchange_;

  std::string out_;       ///< to be written
  std::string sending_;   ///< being written
  std::size_t sent_ = 0;  ///< of `sending_`
  std::size_t slice_ = 0;
  std::size_t counted_ = 0;  ///< of `out_` and `sending_`, at its loop
  uv_write_t write_{};

  TimePoint deadline_;  ///< idle, head, lingering
  TimePoint write_deadline_ = TimePoint::max();
  std::size_t dropped_ = 0;  ///< while lingering
};

}  // namespace sluice
