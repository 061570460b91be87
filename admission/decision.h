// What admission says to a request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// Why a request is not let in; a closed list.
enum class Refusal : std::uint8_t {
  draining,          ///< the server is shutting down
  queue_full,        ///< too many sequences inside
  tokens_exhausted,  ///< too many tokens inside
  too_large,         ///< would not fit even if it were alone
};

struct Decision {
  std::optional<Refusal> refused;   ///< none: admitted
  std::string message;              ///< a sentence with the numbers
  std::uint32_t retry_after_s = 0;  ///< 0: retrying does not help

  [[nodiscard]] bool admitted() const { return !refused; }
};

}  // namespace sluice
