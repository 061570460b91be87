// A client of HTTP.
#pragma once

#include "api/caller.h"
#include "net/http.h"

#include <memory>
#include <string>
#include <utility>

namespace sluice {

class HttpCaller final : public Caller {
 public:
  ///   request_id  as the answer names it
  HttpCaller(std::shared_ptr<HttpExchange> exchange, std::string request_id, AnswerOptions options)
      : exchange_(std::move(exchange)),
        request_id_(std::move(request_id)),
        options_(std::move(options)) {}

  void refuse(const ApiError& error) override;
  void answer(std::string json) override;
  void replay(const HttpResponse& first) override;
  std::unique_ptr<AnswerWriter> write(AnswerForm form, bool stream) override;
  void share(std::shared_ptr<IdempotencyTable::Execution> execution,
             std::shared_ptr<const Clock> clock) override;
  void on_gone(std::function<void()> gone) override { exchange_->on_gone(std::move(gone)); }

 private:
  std::shared_ptr<HttpExchange> exchange_;
  std::string request_id_;
  AnswerOptions options_;
};

}  // namespace sluice
