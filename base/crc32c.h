// CRC-32C, the checksum of iSCSI (RFC 3720, appendix B.4).
#pragma once

#include <cstdint>
#include <string_view>

namespace sluice {

/// Of all bytes; `crc32c("123456789")` is 0xE3069283. By the processor's instruction where it has
/// one.
[[nodiscard]] std::uint32_t crc32c(std::string_view bytes);

/// The same on any processor.
[[nodiscard]] std::uint32_t crc32c_portable(std::string_view bytes);

}  // namespace sluice
