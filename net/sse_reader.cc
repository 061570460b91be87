#include "net/sse_reader.h"

#include <algorithm>
#include <utility>

namespace sluice {

void SseReader::end_line(std::vector<SseEvent>& events) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string_view line = line_;
  if (std::exchange(first_line_, false) && line.starts_with(kByteOrderMark))
    line.remove_prefix(kByteOrderMark.size());
  if (line.empty()) {
    SseEvent event = std::exchange(event_, {});
    if (std::exchange(has_data_, false)) events.push_back(std::move(event));
    return;
  }
  const std::size_t colon = std::min(line.find(':'), line.size());
  const std::string_view field = line.substr(0, colon);
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    if (std::exchange(has_data_, true)) event_.data += '\n';
    event_.data += value;
  } else if (field == "event") {
    event_.type = value;
  }
}

Result<std::vector<SseEvent>> SseReader::take(std::string_view piece) {
  std::vector<SseEvent> events;
  while (!piece.empty()) {
    if (std::exchange(after_cr_, false) && piece.front() == '\n') {
      piece.remove_prefix(1);
      continue;
    }
    const std::size_t end = std::min(piece.find_first_of("\r\n"), piece.size());
    if (end > event_bytes_max_ - std::min(event_bytes_max_, line_.size() + event_.data.size()))
      return Error{
          ErrorCode::resource_exhausted,
          "an event of the stream has more than " + std::to_string(event_bytes_max_) + " bytes"};
    line_ += piece.substr(0, end);
    piece.remove_prefix(end);
    if (piece.empty()) break;
    after_cr_ = piece.front() == '\r';
    piece.remove_prefix(1);
    end_line(events);
    line_.clear();
  }
  return events;
}

}  // namespace sluice
