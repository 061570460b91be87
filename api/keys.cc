#include "api/keys.h"

#include "api/errors.h"
#include "net/ascii.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace sluice {
namespace {

std::optional<Sha256> parse_digest(std::string_view hex) {
  Sha256 digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    int value = ascii::hex_value(hex[i]);
    if (value < 0) return std::nullopt;
    digest[i / 2] = static_cast<std::uint8_t>(digest[i / 2] << 4 | value);
  }
  return digest;
}

/// Looks at every byte, so that the time tells nothing about where two digests differ.
bool equal(const Sha256& a, const Sha256& b) {
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    difference |= static_cast<unsigned>(a[i] ^ b[i]);
  return difference == 0;
}

/// The token of "Bearer <token>": the scheme in any case, one or more spaces.
std::optional<std::string_view> bearer_token(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer";
  authorization = ascii::trim(authorization);
  bool bearer = ascii::equals(authorization.substr(0, kScheme.size()), kScheme);
  authorization.remove_prefix(std::min(authorization.size(), kScheme.size()));
  if (!bearer || !authorization.starts_with(' ')) return std::nullopt;
  return ascii::trim(authorization);
}

}  // namespace

Result<KeyRing> KeyRing::create(std::vector<KeyEntry> entries) {
  KeyRing ring;
  for (KeyEntry& entry : entries) {
    auto digest = parse_digest(entry.sha256);
    if (!digest)
      return Error{ErrorCode::invalid_argument,
                   "key \"" + entry.id + "\": sha256 must be 64 hexadecimal digits, got " +
                       std::to_string(entry.sha256.size()) + " characters"};
    for (const Key& key : ring.keys_) {
      if (key.id == entry.id)
        return Error{ErrorCode::invalid_argument, "key \"" + entry.id + "\" is given twice"};
      if (key.digest == *digest)
        return Error{ErrorCode::invalid_argument,
                     "keys \"" + key.id + "\" and \"" + entry.id + "\" have the same sha256"};
    }
    ring.keys_.push_back({std::move(entry.id), *digest, std::move(entry.tenant)});
  }
  return ring;
}

std::variant<Client, ApiError> KeyRing::authenticate(
    std::optional<std::string_view> authorization,
    std::optional<std::string_view> x_api_key) const {
  if (anonymous()) return Client{"anonymous", anonymous_};
  if (!authorization && !x_api_key) return errors::missing_api_key();
  std::optional<std::string_view> token;
  if (x_api_key) token = ascii::trim(*x_api_key);
  if (authorization) {
    auto bearer = bearer_token(*authorization);
    if (!bearer) return errors::invalid_api_key();
    if (token && *token != *bearer)
      return errors::invalid_header("x-api-key",
                                    "Authorization and x-api-key name different API keys.");
    token = bearer;
  }
  Sha256 digest = sha256(*token);
  const Key* found = nullptr;
  for (const Key& key : keys_)
    if (equal(key.digest, digest)) found = &key;
  if (!found) return errors::invalid_api_key();
  return Client{found->id, found->tenant};
}

}  // namespace sluice
