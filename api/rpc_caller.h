// A client of Sluice RPC.
#pragma once

#include "api/caller.h"
#include "net/rpc.h"

#include <memory>
#include <string>
#include <utility>

namespace sluice {

class RpcCaller final : public Caller {
 public:
  ///   request_id  as the answer names it
  RpcCaller(std::shared_ptr<RpcCall> call, std::string request_id, AnswerOptions options)
      : call_(std::move(call)), request_id_(std::move(request_id)), options_(std::move(options)) {}

  void refuse(const ApiError& error) override;
  void answer(std::string json) override;
  void replay(const HttpResponse& first) override;
  std::unique_ptr<AnswerWriter> write(AnswerForm form, bool stream) override;
  void share(std::shared_ptr<IdempotencyTable::Execution> execution,
             std::shared_ptr<const Clock> clock) override;
  void on_gone(std::function<void()> gone) override;

 private:
  std::shared_ptr<RpcCall> call_;
  std::string request_id_;
  AnswerOptions options_;
  /// What others join is an answer of HTTP, which is translated for this client. Null: nobody
  /// joins.
  std::shared_ptr<HttpExchange> shared_;
};

}  // namespace sluice
