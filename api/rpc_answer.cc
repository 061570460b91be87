#include "api/rpc_answer.h"

#include "api/http_answer.h"

#include <utility>

namespace sluice {

RpcAnswer::RpcAnswer(std::shared_ptr<RpcCall> call, std::string request_id, AnswerForm form)
    : call_(std::move(call)), request_id_(std::move(request_id)), form_(std::move(form)) {}

void RpcAnswer::degraded(const Degradation& degradation) {
  degraded_ = degraded_text(degradation);
}

void RpcAnswer::head(std::string_view model, std::string_view fingerprint) {
  author_ = {std::string(model), std::string(fingerprint)};
}

RpcAbout RpcAnswer::about() const {
  return {.request_id = request_id_, .ignored_params = form_.ignored_params, .degraded = degraded_};
}

void RpcAnswer::delta(ChoiceDelta& piece, const Usage&, bool last) {
  if (ended_) return;
  if (!call_->is_stream()) {
    add_piece(whole_, piece);
    return;
  }
  waiting_.push_back(rpc_item(call_->id(), next_item_++, piece, form_.logprobs));
  if (!last) flush();
}

void RpcAnswer::flush() {
  while (!ended_ && !waiting_.empty() && call_->keeps_up()) {
    call_->item(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

/// What has been granted and is there goes to the connection, which sends it as the client allows.
void RpcAnswer::send_waiting() {
  for (std::string& frame : waiting_)
    call_->item(std::move(frame));
  waiting_.clear();
}

void RpcAnswer::done(const Usage& total) {
  if (std::exchange(ended_, true)) return;
  if (call_->is_stream()) {
    send_waiting();
    call_->finish(rpc_end(call_->id(), form_, author_, total, about()));
  } else {
    call_->finish(rpc_result(call_->id(), form_, author_, whole_, total, about()));
  }
}

void RpcAnswer::error(const ApiError& error) {
  if (std::exchange(ended_, true)) return;
  send_waiting();
  call_->finish(rpc_refusal(call_->id(), call_->is_stream(), error, request_id_));
}

}  // namespace sluice
