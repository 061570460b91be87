// Looking up a header field of a request.
#include "net/http.h"

#include "net/ascii.h"

namespace sluice {

std::optional<std::string_view> HttpRequest::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (ascii::equals_any_case(key, name)) return value;
  }
  return std::nullopt;
}

}  // namespace sluice
