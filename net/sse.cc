// Writing a server-sent event.
#include "net/sse.h"

#include "base/check.h"

namespace sluice {

void append_sse_event(std::string& out, std::string_view payload) {
  CHECK(payload.find_first_of("\r\n") == std::string_view::npos);
  out.reserve(out.size() + payload.size() + 8);
  out.append("data: ").append(payload).append("\n\n");
}

}  // namespace sluice
