// API keys: who may ask. Only digests are kept, and they are compared in constant time.
#pragma once

#include "api/openai.h"
#include "api/request.h"
#include "base/result.h"
#include "net/sha256.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

/// A key as the file of keys gives it.
struct KeyEntry {
  std::string id;      ///< its name in logs; not secret
  std::string sha256;  ///< of the token, 64 hexadecimal digits
  ClientRights rights = {};
};

/// A client that may ask.
struct Client {
  std::string_view key_id = "anonymous";  ///< points into the key ring
  ClientRights rights = {};
};

/// The keys a server knows. Without any, every client is anonymous and every header is accepted.
/// Immutable: any thread.
class KeyRing {
 public:
  KeyRing() = default;
  /// Errors: invalid_argument (a digest that is not 64 hexadecimal digits, an id or digest twice).
  static Result<KeyRing> create(std::vector<KeyEntry> entries);

  [[nodiscard]] bool anonymous() const { return keys_.empty(); }

  /// Who sends these headers. Errors: 401 `missing_api_key`, `invalid_api_key`; 400
  /// `invalid_header` when both headers name different keys.
  [[nodiscard]] std::variant<Client, ApiError> authenticate(
      std::optional<std::string_view> authorization,
      std::optional<std::string_view> x_api_key) const;

 private:
  struct Key {
    std::string id;
    Sha256 digest;
    ClientRights rights;
  };
  std::vector<Key> keys_;
};

}  // namespace sluice
