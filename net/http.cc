// Requests and responses as values.
#include "net/http.h"

#include "net/ascii.h"

#include <utility>

namespace sluice {

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (ascii::equals_any_case(key, name)) return value;
  }
  return std::nullopt;
}

void HttpResponse::share_body() {
  if (shared_body) return;
  shared_body = std::make_shared<const std::string>(std::move(body));
  body.clear();
}

}  // namespace sluice
