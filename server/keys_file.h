// The file of keys: who may ask, as which tenant, and how much.
#pragma once

#include "admission/tenant.h"
#include "base/result.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// What a file of keys says.
struct KeysFile {
  struct Key {
    std::string id;
    std::string sha256;      ///< of the token, 64 hexadecimal digits
    std::size_t tenant = 0;  ///< its place in `tenants`
  };
  std::vector<Key> keys;
  /// Names are unique. Where there is no key, the one of the anonymous is among them.
  std::vector<TenantPolicy> tenants;
};

/// Reads TOML:
///
///     [[key]]
///     id = "web"                 # its name in logs
///     sha256 = "..."             # of the token
///     tenant = "shop"            # whose key it is; without this the key is a tenant of its own
///
///     [[tenant]]
///     name = "shop"              # "anonymous": those who need no key, where there is none
///     class = "batch"            # of requests that name none: realtime, batch or low
///     max_class = "realtime"     # the best they may ask for
///     scopes = ["priority"]      # may use priorities below 0
///     core = true                # may use what is kept for the core API
///     weight = 2                 # its share beside others of its class who wait, 1 to 1000
///     rpm = 600                  # requests a minute,
///     burst = 50                 # so many of them at once; without this a minute's
///     tpm = 100000               # tokens a minute, a minute's at once
///     max_inflight = 8           # requests at once
///     degradation = "never"      # under overload it is refused rather than answered less; "allow"
///
/// What a tenant may have can stand in a key that is one of its own. All that is wrong is reported
/// at once, a line each: "FILE:LINE:COLUMN: NAME: reason". Errors: invalid_argument.
///   name  of the file, for these
Result<KeysFile> parse_keys_file(std::string_view text, const std::string& name);

/// The file at `path`. Errors: those, and unavailable: it cannot be read.
///   option  that names it, for the message
Result<KeysFile> read_keys_file(const char* option, const std::string& path);

}  // namespace sluice
