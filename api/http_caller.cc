#include "api/http_caller.h"

#include "api/errors.h"
#include "api/http_answer.h"
#include "api/shared_exchange.h"

namespace sluice {

void HttpCaller::refuse(const ApiError& error) {
  exchange_->respond(to_response(error, request_id_));
}

void HttpCaller::answer(std::string json) {
  exchange_->respond(json_response(200, std::move(json), request_id_));
}

void HttpCaller::replay(const HttpResponse& first) {
  exchange_->respond(replayed_response(first, request_id_));
}

std::unique_ptr<AnswerWriter> HttpCaller::write(AnswerForm form, bool stream) {
  return std::make_unique<HttpAnswer>(
      std::move(exchange_), std::move(request_id_), std::move(form), stream, std::move(options_));
}

void HttpCaller::share(std::shared_ptr<IdempotencyTable::Execution> execution,
                       std::shared_ptr<const Clock> clock) {
  exchange_ = std::make_shared<SharedExchange>(
      std::move(exchange_), std::move(execution), std::move(clock));
}

}  // namespace sluice
