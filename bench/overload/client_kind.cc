#include "bench/overload/client_kind.h"

#include <toml++/toml.h>

#include <array>
#include <charconv>
#include <sstream>
#include <system_error>

namespace sluice::overload {
namespace {

constexpr std::array<std::string_view, 3> kRetryNames{"none", "polite", "storm"};

Error wrong(std::string_view field, std::string_view value, const std::string& expected) {
  return Error{
      ErrorCode::invalid_argument,
      std::string(field) + ": expected " + expected + ", got \"" + std::string(value) + "\""};
}

template <class Number>
bool parse(std::string_view text, Number& number) {
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failed == std::errc() && end == text.data() + text.size();
}

Result<void> set_text(std::string& text, std::string_view field, std::string_view value) {
  // They become part of heads, bodies and tables as they are.
  for (char c : value)
    if (c <= ' ' || c > '~' || c == '"' || c == '\\') return wrong(field, value, "a plain word");
  text = value;
  return {};
}

Result<void> set_count(std::uint32_t& count,
                       std::uint32_t min,
                       std::string_view field,
                       std::string_view value) {
  constexpr std::uint32_t kMax = 10'000'000;
  std::uint32_t number = 0;
  if (!parse(value, number) || number < min || number > kMax)
    return wrong(
        field, value, "a number from " + std::to_string(min) + " to " + std::to_string(kMax));
  count = number;
  return {};
}

Result<void> set_time(Duration& time, std::string_view field, std::string_view value) {
  constexpr double kMaxMs = 86'400'000;
  double ms = 0;
  if (!parse(value, ms) || !(ms >= 0 && ms <= kMaxMs))
    return wrong(field, value, "milliseconds, a day at most");
  time = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
  return {};
}

Result<void> set_behaviour(ClientKind& kind, std::string_view field, std::string_view value) {
  if (field == "share") {
    if (!parse(value, kind.share) || !(kind.share > 0 && kind.share <= 1e6))
      return wrong(field, value, "a number above 0");
    return {};
  }
  if (field == "stream") {
    if (value != "true" && value != "false") return wrong(field, value, "true or false");
    kind.stream = value == "true";
    return {};
  }
  if (field == "retry") {
    for (std::size_t i = 0; i < kRetryNames.size(); ++i) {
      if (kRetryNames[i] != value) continue;
      kind.retry = static_cast<ClientKind::Retry>(i);
      return {};
    }
    return wrong(field, value, "none, polite or storm");
  }
  return Error{ErrorCode::invalid_argument, "clients have no field \"" + std::string(field) + "\""};
}

}  // namespace

Result<void> set_field(ClientKind& kind, std::string_view field, std::string_view value) {
  if (field == "tenant") return set_text(kind.tenant, field, value);
  if (field == "class") return set_text(kind.priority_class, field, value);
  if (field == "key") return set_text(kind.key, field, value);
  if (field == "service_tier") return set_text(kind.service_tier, field, value);
  if (field == "prompt_chars") return set_count(kind.prompt_chars, 16, field, value);
  if (field == "max_tokens") return set_count(kind.max_tokens, 1, field, value);
  if (field == "attempts") return set_count(kind.attempts, 1, field, value);
  if (field == "objective_ms") return set_time(kind.objective, field, value);
  if (field == "patience_ms") return set_time(kind.patience, field, value);
  if (field == "attempt_ms") return set_time(kind.attempt, field, value);
  if (field == "deadline_ms") return set_time(kind.deadline, field, value);
  if (field == "retry_delay_ms") return set_time(kind.retry_delay, field, value);
  return set_behaviour(kind, field, value);
}

Result<ClientKind> parse_client_kind(std::string_view text) {
  ClientKind kind;
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    std::size_t cut = part.find('=');
    if (cut == std::string_view::npos) return wrong("client", part, "FIELD=VALUE");
    if (auto set = set_field(kind, part.substr(0, cut), part.substr(cut + 1)); !set)
      return set.error();
  }
  return kind;
}

Result<std::vector<ClientKind>> read_mix(const std::string& path) {
  auto complain = [&](const toml::source_region& place, const std::string& reason) {
    return Error{ErrorCode::invalid_argument,
                 path + ":" + std::to_string(place.begin.line) + ": " + reason};
  };
  toml::table file;
  try {
    file = toml::parse_file(path);
  } catch (const toml::parse_error& error) {
    return complain(error.source(), std::string(error.description()));
  }
  std::vector<ClientKind> kinds;
  const toml::array* clients = file["client"].as_array();
  if (clients == nullptr || clients->empty() || !clients->is_array_of_tables())
    return complain(file.source(), "has no [[client]]");
  for (const auto& [name, node] : file)
    if (name != "client") return complain(node.source(), "expected [[client]] only");
  for (const toml::node& client : *clients) {
    ClientKind& kind = kinds.emplace_back();
    for (const auto& [field, node] : *client.as_table()) {
      std::ostringstream value;  // as the command line would have it
      if (const auto* text = node.as_string())
        value << text->get();
      else
        node.visit([&](const auto& other) { value << other; });
      if (auto set = set_field(kind, field.str(), value.str()); !set)
        return complain(node.source(), set.error().message);
    }
  }
  return kinds;
}

std::size_t choose_kind(const std::vector<ClientKind>& kinds, double uniform) {
  double all = 0;
  for (const ClientKind& kind : kinds)
    all += kind.share;
  double left = uniform * all;
  for (std::size_t i = 0; i + 1 < kinds.size(); ++i) {
    if (left < kinds[i].share) return i;
    left -= kinds[i].share;
  }
  return kinds.size() - 1;
}

}  // namespace sluice::overload
