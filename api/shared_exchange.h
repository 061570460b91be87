// The exchange of a request that others may join by their Idempotency-Key.
#pragma once

#include "api/idempotency.h"
#include "base/clock.h"
#include "net/http.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace sluice {

/// Whoever executes the request answers by this: its own client gets everything, and those who have
/// joined get a whole answer too. The clients count as gone when the last of them is; what is
/// unsent is the first one's alone, for only its stream can be slow. As thread-safe as the
/// exchanges are.
class SharedExchange final : public HttpExchange {
 public:
  SharedExchange(std::shared_ptr<HttpExchange> first,
                 std::shared_ptr<IdempotencyTable::Execution> execution,
                 std::shared_ptr<const Clock> clock)
      : first_(std::move(first)), execution_(std::move(execution)), clock_(std::move(clock)) {
    first_->on_gone([execution = execution_] { execution->first_left(); });
  }
  /// Those who joined an execution that nobody can answer any more are cut with its first client.
  ~SharedExchange() override { execution_->ended(); }

  /// It is kept before anybody has it: who sends the request again finds it.
  void respond(HttpResponse response) override {
    response.share_body();
    execution_->answered(response, clock_->now());
    first_->respond(std::move(response));
  }
  void begin_stream(HttpResponse head) override {
    execution_->streams();
    first_->begin_stream(std::move(head));
  }
  void write(std::string piece) override { first_->write(std::move(piece)); }
  void end_stream(std::string piece) override {
    execution_->ended();
    first_->end_stream(std::move(piece));
  }
  void abort() override {
    execution_->ended();
    first_->abort();
  }
  [[nodiscard]] std::size_t unsent_bytes() const override { return first_->unsent_bytes(); }
  void on_gone(std::function<void()> gone) override { execution_->on_cancelled(std::move(gone)); }
  void on_writable(std::function<void()> writable) override {
    first_->on_writable(std::move(writable));
  }

 private:
  std::shared_ptr<HttpExchange> first_;
  std::shared_ptr<IdempotencyTable::Execution> execution_;
  std::shared_ptr<const Clock> clock_;
};

}  // namespace sluice
