// A way into the server: where it listens, whose keys it asks for, and which names and web pages it
// answers to.
#pragma once

#include "admission/tenant.h"
#include "api/access_policy.h"
#include "api/keys.h"
#include "base/result.h"
#include "net/listener.h"
#include "server/keys_file.h"
#include "server/options.h"

#include <memory>
#include <string>
#include <vector>

namespace sluice {

/// The data port, or the management port.
struct Entrance {
  const char* option = "";  ///< that names its addresses, for messages
  KeysFile keys;
  std::vector<ListenAddress> addresses;
  std::vector<AccessPolicy> policies;  ///< of each address
};

/// The entrances that the options describe, their files of keys read. A public address without keys
/// has to be wanted: `allow_anonymous`; where it also answers to every name, that is logged.
/// Errors: invalid_argument (the options), unavailable (what they name is wrong or not enough).
Result<Entrance> make_data_entrance(const ServeOptions& options);
Result<Entrance> make_management_entrance(const ServeOptions& options);

/// Where Sluice RPC is served, with the keys of the data port; nowhere: it is not.
///   data  the data port
/// Errors: as above.
Result<std::vector<ListenAddress>> binary_addresses(const ServeOptions& options,
                                                    const Entrance& data);

/// The keys with their tenants, which are those of the file in its order.
KeyRing make_key_ring(const KeysFile& file,
                      const std::vector<std::shared_ptr<const Tenant>>& tenants);

/// The keys of a listener that are to take the place of `before`: its file read again. Errors:
/// unavailable: what is wrong with it, or it would open or close the door to those without a key.
///   option, path  of the file
Result<KeysFile> reread_keys(const char* option, const std::string& path, const KeyRing& before);

}  // namespace sluice
