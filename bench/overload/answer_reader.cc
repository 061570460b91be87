#include "bench/overload/answer_reader.h"

#include "net/ascii.h"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace sluice::overload {
namespace {

constexpr std::size_t kHeadMax = std::size_t{16} << 10;
constexpr std::size_t kTextMax = 1024;

template <class Number>
bool parse(std::string_view text, Number& number, int base = 10) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return failed == std::errc() && end == text.data() + text.size();
}

/// The value of "code" in an error's JSON; empty if it has none.
std::string code_in(std::string_view text) {
  constexpr std::string_view kName = "\"code\":";
  std::size_t at = text.rfind(kName);
  if (at == std::string_view::npos) return {};
  text.remove_prefix(at + kName.size());
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  if (!text.starts_with('"')) return {};
  text.remove_prefix(1);
  return std::string(text.substr(0, text.find('"')));
}

}  // namespace

void AnswerReader::start() {
  answer_ = {};
  part_ = Part::head;
  events_ = false;
  kept_.clear();
  text_.clear();
}

AnswerReader::State AnswerReader::take(std::string_view bytes) {
  while (!bytes.empty()) {
    switch (part_) {
      case Part::head:
        if (!take_head(bytes)) return State::broken;
        break;
      case Part::body:
      case Part::chunk: {
        auto count = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
        take_body(bytes.substr(0, count));
        bytes.remove_prefix(count);
        left_ -= count;
        if (left_ == 0) part_ = part_ == Part::body ? Part::over : Part::chunk_end;
        break;
      }
      case Part::chunk_size:
      case Part::chunk_end:
      case Part::trailer:
        if (!take_line(bytes)) return State::broken;
        break;
      case Part::over:
        return State::broken;
    }
  }
  if (part_ != Part::over) return State::more;
  if (answer_.status != 200) answer_.code = code_in(text_);
  return State::done;
}

/// Heads mostly come whole and are read where they lie.
bool AnswerReader::take_head(std::string_view& bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  if (kept_.empty()) {
    if (std::size_t end = bytes.find(kEnd); end != std::string_view::npos) {
      std::string_view head = bytes.substr(0, end + 2);
      bytes.remove_prefix(end + kEnd.size());
      return parse_head(head);
    }
  }
  std::size_t before = kept_.size();
  kept_ += bytes;
  std::size_t end = kept_.find(kEnd, before < 3 ? 0 : before - 3);
  if (end == std::string::npos) {
    bytes = {};
    return kept_.size() <= kHeadMax;
  }
  bytes.remove_prefix(end + kEnd.size() - before);
  bool good = parse_head(std::string_view(kept_).substr(0, end + 2));
  kept_.clear();
  return good;
}

/// Every line of it ends with CR LF.
bool AnswerReader::parse_head(std::string_view head) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (!head.starts_with(kVersion) || !parse(head.substr(kVersion.size(), 3), answer_.status))
    return false;
  left_ = 0;
  part_ = Part::body;
  head.remove_prefix(head.find("\r\n") + 2);
  while (!head.empty()) {
    std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    std::string_view value = line.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (!parse_field(line.substr(0, colon), value)) return false;
  }
  if (part_ == Part::body && left_ == 0) part_ = Part::over;
  return true;
}

bool AnswerReader::parse_field(std::string_view name, std::string_view value) {
  if (ascii::equals(name, "content-length")) return parse(value, left_);
  if (ascii::equals(name, "transfer-encoding")) {
    part_ = Part::chunk_size;
    return ascii::equals(value, "chunked");
  }
  if (ascii::equals(name, "content-type")) events_ = value.starts_with("text/event-stream");
  if (ascii::equals(name, "connection")) answer_.keep_alive = !ascii::equals(value, "close");
  if (ascii::equals(name, "x-should-retry")) answer_.never_retry = value == "false";
  std::uint32_t wait = 0;
  if (ascii::equals(name, "retry-after-ms") && parse(value, wait))
    answer_.retry_after = std::chrono::milliseconds(wait);
  if (ascii::equals(name, "retry-after") && !answer_.retry_after && parse(value, wait))
    answer_.retry_after = std::chrono::seconds(wait);
  return true;
}

/// A line of the chunked coding.
bool AnswerReader::take_line(std::string_view& bytes) {
  std::size_t end = bytes.find('\n');
  kept_ += bytes.substr(0, end);
  bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  if (kept_.size() > kTextMax) return false;
  return end == std::string_view::npos || end_line();
}

bool AnswerReader::end_line() {
  if (kept_.empty() || kept_.back() != '\r') return false;
  kept_.pop_back();
  bool good = true;
  if (part_ == Part::chunk_end) {
    good = kept_.empty();
    part_ = Part::chunk_size;
  } else if (part_ == Part::trailer) {
    if (kept_.empty()) part_ = Part::over;
  } else {
    good = parse(std::string_view(kept_).substr(0, kept_.find(';')), left_, 16);
    part_ = left_ == 0 ? Part::trailer : Part::chunk;
  }
  kept_.clear();
  return good;
}

void AnswerReader::take_body(std::string_view piece) {
  auto keep = [this](std::string_view more) {
    text_ += more.substr(0, kTextMax - std::min(text_.size(), kTextMax));
  };
  if (!events_) return keep(piece);
  while (!piece.empty()) {
    std::size_t end = piece.find('\n');
    keep(piece.substr(0, end));
    if (end == std::string_view::npos) return;
    piece.remove_prefix(end + 1);
    end_event_line();
    text_.clear();
  }
}

void AnswerReader::end_event_line() {
  constexpr std::string_view kData = "data: ";
  std::string_view line = text_;
  if (!line.starts_with(kData)) return;
  line.remove_prefix(kData.size());
  if (line.starts_with("[DONE]")) {
    answer_.done = true;
  } else if (line.starts_with("{\"error\"")) {
    answer_.failed = true;
    answer_.code = code_in(line);
  } else {
    answer_.first_token = true;
  }
}

}  // namespace sluice::overload
