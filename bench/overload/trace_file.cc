#include "bench/overload/trace_file.h"

#include <array>
#include <charconv>
#include <system_error>
#include <utility>

namespace sluice::overload {
namespace {

constexpr std::size_t kFields = 5;

template <class Number>
bool parse_number(std::string_view text, Number& number) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failed == std::errc() && end == text.data() + text.size();
}

Error wrong(const std::string& message) {
  return Error{ErrorCode::invalid_argument, message};
}

}  // namespace

Result<TraceArrival> TraceFile::parse(std::string_view line, const std::vector<ClientKind>& kinds) {
  std::array<std::string_view, kFields> fields;
  std::size_t count = 0;
  for (std::size_t start = 0; start <= line.size(); ++count) {
    std::size_t end = std::min(line.find(',', start), line.size());
    if (count < kFields) fields[count] = line.substr(start, end - start);
    start = end + 1;
  }
  if (count != kFields) return wrong("expected seconds,tenant,class,prompt_chars,max_tokens");
  TraceArrival arrival;
  double seconds = 0;
  constexpr double kDay = 86'400;
  if (!parse_number(fields[0], seconds) || !(seconds >= 0 && seconds <= kDay))
    return wrong("expected seconds, a day at most");
  arrival.at = std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  if (!parse_number(fields[3], arrival.prompt_chars) || arrival.prompt_chars > 10'000'000)
    return wrong("expected a length of the prompt");
  if (!parse_number(fields[4], arrival.max_tokens) || arrival.max_tokens == 0)
    return wrong("expected a number of tokens above 0");
  for (; arrival.kind < kinds.size(); ++arrival.kind)
    if (kinds[arrival.kind].tenant == fields[1] && kinds[arrival.kind].priority_class == fields[2])
      return arrival;
  return wrong("no client of the mix has tenant \"" + std::string(fields[1]) + "\" and class \"" +
               std::string(fields[2]) + "\"");
}

Result<TraceFile> TraceFile::open(const std::string& path, const std::vector<ClientKind>& kinds) {
  std::ifstream file(path);
  if (!file) return Error{ErrorCode::not_found, "cannot read " + path};
  TraceFile trace(std::move(file), kinds);
  Duration last{};
  while (trace.next_line()) {
    auto here = path + ":" + std::to_string(trace.number_) + ": ";
    auto arrival = parse(trace.line_, kinds);
    if (!arrival) return wrong(here + arrival.error().message);
    if (arrival->at < last) return wrong(here + "is earlier than the line before it");
    last = arrival->at;
  }
  trace.file_.clear();
  trace.file_.seekg(0);
  return trace;
}

std::optional<TraceArrival> TraceFile::next() {
  if (!next_line()) return std::nullopt;
  auto arrival = parse(line_, kinds_);
  if (!arrival) return std::nullopt;  // somebody has changed the file: it ends here
  return *arrival;
}

bool TraceFile::next_line() {
  while (std::getline(file_, line_)) {
    ++number_;
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    if (!line_.empty() && line_[0] != '#') return true;
  }
  return false;
}

}  // namespace sluice::overload
