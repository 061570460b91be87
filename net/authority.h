// The part of a URL that says whom it is for, as it stands in Host and Origin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// "example.com:8000", "127.0.0.1", "[::1]:80" taken apart.
struct Authority {
  std::string host;  ///< in one spelling: lower case, no brackets, no dot behind a name
  std::optional<std::uint16_t> port;
  bool is_address = false;   ///< an IP address; otherwise a name
  bool is_loopback = false;  ///< localhost, 127.0.0.0/8 or ::1
};

/// None where the text is no host, or its port no number in [0, 65535].
std::optional<Authority> parse_authority(std::string_view text);

/// "https://app.example:8443" taken apart.
struct Origin {
  std::string scheme;   ///< in lower case
  Authority authority;  ///< without a port where it has none of its own
  /// Its own, or that of its scheme (http 80, https 443); none for other schemes.
  [[nodiscard]] std::optional<std::uint16_t> port() const;
};

/// None where the text is no origin: "null", a path behind the host, no scheme. Source: RFC 6454.
std::optional<Origin> parse_origin(std::string_view text);

}  // namespace sluice
