// Hosts in one spelling, so that they can be compared.
#include "net/authority.h"

#include "net/ascii.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace sluice {
namespace {

constexpr std::size_t kNameBytesMax = 253;  // of a name in the domain name system

bool read_v4(Authority& authority) {
  in_addr address{};
  if (inet_pton(AF_INET, authority.host.c_str(), &address) != 1) return false;
  authority.is_address = true;
  authority.is_loopback = ntohl(address.s_addr) >> 24 == 127;
  return true;
}

bool read_v6(Authority& authority) {
  in6_addr address{};
  if (inet_pton(AF_INET6, authority.host.c_str(), &address) != 1) return false;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    inet_ntop(AF_INET, &address.s6_addr[12], text.data(), text.size());
    authority.host = text.data();
    return read_v4(authority);
  }
  inet_ntop(AF_INET6, &address, text.data(), text.size());
  authority.host = text.data();
  authority.is_address = true;
  authority.is_loopback = IN6_IS_ADDR_LOOPBACK(&address) != 0;
  return true;
}

bool read_name(Authority& authority) {
  std::string& name = authority.host;
  if (name.ends_with('.')) name.pop_back();
  const auto allowed = [](char c) {
    return ascii::is_alnum(c) || c == '-' || c == '.' || c == '_';
  };
  if (name.empty() || name.size() > kNameBytesMax ||
      !std::all_of(name.begin(), name.end(), allowed))
    return false;
  authority.is_loopback = name == "localhost";
  return true;
}

}  // namespace

std::optional<Authority> parse_authority(std::string_view text) {
  Authority authority;
  const bool bracketed = text.starts_with('[');
  const std::size_t end = bracketed ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == std::string_view::npos) return std::nullopt;
  authority.host = bracketed ? text.substr(1, end - 1) : text.substr(0, end);
  std::transform(
      authority.host.begin(), authority.host.end(), authority.host.begin(), ascii::lower);
  if (const std::string_view rest = text.substr(bracketed ? end + 1 : end); !rest.empty()) {
    std::uint16_t port = 0;
    const char* last = rest.data() + rest.size();
    const auto [stop, failure] = std::from_chars(rest.data() + 1, last, port);
    if (rest.front() != ':' || failure != std::errc() || stop != last) return std::nullopt;
    authority.port = port;
  }
  const bool known = bracketed ? read_v6(authority) : read_v4(authority) || read_name(authority);
  if (!known) return std::nullopt;
  return authority;
}

std::optional<std::uint16_t> Origin::port() const {
  if (authority.port) return authority.port;
  if (scheme == "http") return 80;
  if (scheme == "https") return 443;
  return std::nullopt;
}

std::optional<Origin> parse_origin(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  Origin origin;
  origin.scheme = text.substr(0, colon);
  std::transform(origin.scheme.begin(), origin.scheme.end(), origin.scheme.begin(), ascii::lower);
  const auto allowed = [](char c) {
    return ascii::is_alnum(c) || c == '+' || c == '-' || c == '.';
  };
  if (!std::all_of(origin.scheme.begin(), origin.scheme.end(), allowed)) return std::nullopt;
  auto authority = parse_authority(text.substr(colon + 3));
  if (!authority) return std::nullopt;
  origin.authority = std::move(*authority);
  return origin;
}

}  // namespace sluice
