// Server-sent events: one event is one line of payload.
#pragma once

#include <string>
#include <string_view>

namespace sluice {

/// A comment that keeps the connection's middle boxes awake and means nothing to the reader.
constexpr std::string_view kSseKeepAlive = ": keep-alive\n\n";
/// The last event of every stream.
constexpr std::string_view kSseDone = "data: [DONE]\n\n";

/// Appends the event `data: <payload>` to `out`. The payload is one line: JSON without a raw line
/// end; that is the caller's promise, and checked.
void append_sse_event(std::string& out, std::string_view payload);

}  // namespace sluice
