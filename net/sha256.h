// SHA-256 of a byte string.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice {

using Sha256 = std::array<std::uint8_t, 32>;

/// The digest of `bytes`. Thread-safe.   Source: FIPS 180-4.
[[nodiscard]] Sha256 sha256(std::string_view bytes);

}  // namespace sluice
