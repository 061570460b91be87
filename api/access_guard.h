// Puts an access policy before the handler of a listener, and answers what browsers ask first.
#pragma once

#include "api/access_policy.h"
#include "base/random.h"
#include "net/http.h"

#include <memory>
#include <optional>

namespace sluice {

/// Refuses before anything else looks at a request, so that a foreign page does not even learn
/// which paths there are. Pages of configured origins get the headers that let them read their
/// answers, errors too, and answers to their preflights, which need no key (CORS).
/// Source: the Fetch standard, "HTTP extensions".
class AccessGuard final : public HttpHandler {
 public:
  /// `inner` and `random` must outlive it.
  AccessGuard(AccessPolicy policy, HttpHandler& inner, Random& random)
      : policy_(std::move(policy)), inner_(inner), random_(random) {}

  std::optional<HttpResponse> on_head(const HttpRequest& request) override;
  void on_request(HttpRequest request, std::shared_ptr<HttpExchange> exchange) override;
  HttpResponse on_fault(const HttpFault& fault) override;

 private:
  const AccessPolicy policy_;
  HttpHandler& inner_;
  Random& random_;
};

}  // namespace sluice
