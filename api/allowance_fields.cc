#include "api/allowance_fields.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace sluice {
namespace {

/// As Go writes durations: "12ms" below a second, else "1s", "6m0s", "1h0m0s". Rounded up, so that
/// a client that waits so long does not come too early.
std::string go_duration(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  if (ms > 0 && ms < 1000) return std::to_string(ms) + "ms";
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(duration).count();
  std::string text;
  if (seconds >= 3600) text += std::to_string(seconds / 3600) + "h";
  if (seconds >= 60) text += std::to_string(seconds / 60 % 60) + "m";
  return text + std::to_string(seconds % 60) + "s";
}

}  // namespace

void append_allowances(HttpHeaders& headers, const Allowances& allowances) {
  if (const auto& requests = allowances.requests) {
    headers.emplace_back("x-ratelimit-limit-requests", std::to_string(requests->limit));
    headers.emplace_back("x-ratelimit-remaining-requests", std::to_string(requests->left));
    headers.emplace_back("x-ratelimit-reset-requests", go_duration(requests->until_full));
  }
  if (const auto& tokens = allowances.tokens) {
    headers.emplace_back("x-ratelimit-limit-tokens", std::to_string(tokens->limit));
    headers.emplace_back("x-ratelimit-remaining-tokens", std::to_string(tokens->left));
    headers.emplace_back("x-ratelimit-reset-tokens", go_duration(tokens->until_full));
  }
}

}  // namespace sluice
