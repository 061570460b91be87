#include "api/rpc_caller.h"

#include "api/errors.h"
#include "api/http_answer.h"
#include "api/rpc_answer.h"
#include "api/rpc_format.h"
#include "api/shared_exchange.h"
#include "base/check.h"

namespace sluice {
namespace {

/// Takes whole answers of HTTP for a call.
class TranslatedExchange final : public HttpExchange {
 public:
  TranslatedExchange(std::shared_ptr<RpcCall> call, std::string request_id)
      : call_(std::move(call)), request_id_(std::move(request_id)) {}

  void respond(HttpResponse response) override {
    call_->finish(rpc_frame(call_->id(), call_->is_stream(), response, request_id_));
  }
  // Streams are written by `RpcAnswer`.
  void begin_stream(HttpResponse) override { CHECK(false); }
  void write(std::string) override { CHECK(false); }
  void end_stream(std::string) override { CHECK(false); }
  void abort() override {
    call_->finish(rpc_refusal(
        call_->id(), call_->is_stream(), errors::internal_error(request_id_), request_id_));
  }
  [[nodiscard]] std::size_t unsent_bytes() const override { return 0; }
  void on_gone(std::function<void()> gone) override { call_->on_gone(std::move(gone)); }
  void on_writable(std::function<void()> writable) override {
    call_->on_writable(std::move(writable));
  }

 private:
  std::shared_ptr<RpcCall> call_;
  std::string request_id_;
};

/// A stream under an idempotency key, which nobody can join: as long as it is written, others with
/// the key are refused.
class LoneStream final : public RpcCall {
 public:
  LoneStream(std::shared_ptr<RpcCall> call, std::shared_ptr<HttpExchange> shared)
      : call_(std::move(call)), shared_(std::move(shared)) {}

  [[nodiscard]] std::uint32_t id() const override { return call_->id(); }
  [[nodiscard]] bool is_stream() const override { return true; }
  void item(std::string frame) override { call_->item(std::move(frame)); }
  void finish(std::string frame) override { call_->finish(std::move(frame)); }
  [[nodiscard]] bool keeps_up() override { return call_->keeps_up(); }
  void on_gone(std::function<void()> gone) override { shared_->on_gone(std::move(gone)); }
  void on_writable(std::function<void()> writable) override {
    call_->on_writable(std::move(writable));
  }

 private:
  std::shared_ptr<RpcCall> call_;
  std::shared_ptr<HttpExchange> shared_;  // its end is the execution's
};

}  // namespace

void RpcCaller::refuse(const ApiError& error) {
  if (shared_) return shared_->respond(to_response(error, request_id_));
  call_->finish(rpc_refusal(call_->id(), call_->is_stream(), error, request_id_));
}

void RpcCaller::answer(std::string json) {
  call_->finish(rpc_result(call_->id(), json, {.request_id = request_id_}));
}

void RpcCaller::replay(const HttpResponse& first) {
  call_->finish(rpc_frame(
      call_->id(), call_->is_stream(), replayed_response(first, request_id_), request_id_));
}

std::unique_ptr<AnswerWriter> RpcCaller::write(AnswerForm form, bool stream) {
  if (shared_ && !stream)
    return std::make_unique<HttpAnswer>(
        std::move(shared_), std::move(request_id_), std::move(form), false, std::move(options_));
  if (shared_) call_ = std::make_shared<LoneStream>(std::move(call_), std::move(shared_));
  return std::make_unique<RpcAnswer>(std::move(call_), std::move(request_id_), std::move(form));
}

void RpcCaller::share(std::shared_ptr<IdempotencyTable::Execution> execution,
                      std::shared_ptr<const Clock> clock) {
  shared_ =
      std::make_shared<SharedExchange>(std::make_shared<TranslatedExchange>(call_, request_id_),
                                       std::move(execution),
                                       std::move(clock));
}

void RpcCaller::on_gone(std::function<void()> gone) {
  shared_ ? shared_->on_gone(std::move(gone)) : call_->on_gone(std::move(gone));
}

}  // namespace sluice
