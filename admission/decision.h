// What admission says to a request.
#pragma once

#include "base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// Why a request is not let in; a closed list.
enum class Refusal : std::uint8_t {
  draining,              ///< the server is shutting down
  rate_limited,          ///< the tenant's own limits
  token_bucket,          ///< more requests a second than the server takes
  core_reserve,          ///< what is left of that is kept for others
  tenant_share,          ///< the tenant has had its share of that, and the rest is kept for others
  queue_full,            ///< too many sequences inside
  tokens_exhausted,      ///< too many tokens inside
  wait_too_long,         ///< it would wait for a lane longer than anybody of its class should
  deadline_unreachable,  ///< or so long that its deadline would pass
  too_large,             ///< more choices than would fit even if it were alone
  too_many_tokens,       ///< likewise, more tokens
  degraded,              ///< the degradation ladder lets nobody in who is like it
  memory,                ///< the prompts of others fill the memory there is for them
  no_lane,               ///< no lane of its model serves, or will soon
  poison,                ///< it ends workers, or is like others that do
};

/// Their names in answers, logs and metrics, in order.
inline constexpr std::array<std::string_view, 15> kRefusalNames{"draining",
                                                                "rate_limited",
                                                                "token_bucket",
                                                                "core_reserve",
                                                                "tenant_share",
                                                                "queue_full",
                                                                "tokens_exhausted",
                                                                "wait_too_long",
                                                                "deadline_unreachable",
                                                                "too_large",
                                                                "too_many_tokens",
                                                                "degraded",
                                                                "memory",
                                                                "no_lane",
                                                                "poison"};
inline constexpr std::size_t kRefusals = kRefusalNames.size();

constexpr std::string_view to_string(Refusal refusal) {
  return kRefusalNames[static_cast<std::size_t>(refusal)];
}

struct Decision {
  std::optional<Refusal> refused;  ///< none: admitted
  std::string message;             ///< a sentence with the numbers
  Duration retry_after{};          ///< zero: retrying does not help

  [[nodiscard]] bool admitted() const { return !refused; }
};

}  // namespace sluice
