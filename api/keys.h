// API keys: who may ask. Only digests are kept, and they are compared in constant time.
#pragma once

#include "admission/tenant.h"
#include "api/request.h"
#include "base/result.h"
#include "net/sha256.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

/// A key as the file of keys gives it.
struct KeyEntry {
  std::string id;      ///< its name in logs; not secret
  std::string sha256;  ///< of the token, 64 hexadecimal digits
  std::shared_ptr<const Tenant> tenant = nullptr;
};

/// A client that may ask.
struct Client {
  std::string key_id = "anonymous";
  std::shared_ptr<const Tenant> tenant;  ///< null: of the management port, or nobody's
};

/// The keys a server knows. Without any, every client is anonymous and every header is accepted.
/// Immutable: any thread.
class KeyRing {
 public:
  KeyRing() = default;
  ///   anonymous  the tenant of those who need no key
  explicit KeyRing(std::shared_ptr<const Tenant> anonymous) : anonymous_(std::move(anonymous)) {}
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
    std::shared_ptr<const Tenant> tenant;
  };
  std::vector<Key> keys_;
  std::shared_ptr<const Tenant> anonymous_;
};

/// The key ring that holds now; another one takes its place as a whole. Any thread.
class CurrentKeys {
 public:
  explicit CurrentKeys(KeyRing ring = KeyRing()) { replace(std::move(ring)); }
  void replace(KeyRing ring) { ring_ = std::make_shared<const KeyRing>(std::move(ring)); }
  [[nodiscard]] std::shared_ptr<const KeyRing> get() const { return ring_; }

 private:
  std::atomic<std::shared_ptr<const KeyRing>> ring_;
};

}  // namespace sluice
