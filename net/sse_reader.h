// Reading server-sent events, wherever the stream is cut.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// One event: what its "data" lines say, joined by line ends.
struct SseEvent {
  std::string type;  ///< of its "event" line; empty: none
  std::string data;
};

/// Takes a stream in pieces and gives its events as they become complete. One that the stream ends
/// within is never given.   Source: HTML Living Standard, section 9.2.6; "id" and "retry" mean
/// nothing here.
class SseReader {
 public:
  explicit SseReader(std::size_t event_bytes_max = std::size_t{1} << 20)
      : event_bytes_max_(event_bytes_max) {}

  /// The events that this piece completes. Errors: resource_exhausted for an event of more than
  /// `event_bytes_max` bytes; the reader is of no use after it.
  Result<std::vector<SseEvent>> take(std::string_view piece);

 private:
  void end_line(std::vector<SseEvent>& events);

  std::size_t event_bytes_max_;
  std::string line_;  // without its end
  SseEvent event_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a line feed that follows belongs to the last line's end
  bool first_line_ = true;
};

}  // namespace sluice
