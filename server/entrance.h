// A way into the server: where it listens, whose keys it asks for, and which names and web pages it
// answers to.
#pragma once

#include "api/access_policy.h"
#include "api/keys.h"
#include "base/result.h"
#include "net/listener.h"
#include "server/options.h"

#include <string>
#include <vector>

namespace sluice {

/// The data port, or the management port.
struct Entrance {
  const char* option = "";  ///< that names its addresses, for messages
  KeyRing keys;
  std::vector<ListenAddress> addresses;
  std::vector<AccessPolicy> policies;  ///< of each address
};

/// The entrances that the options describe, their files of keys read. A public address without keys
/// has to be wanted: `allow_anonymous`; where it also answers to every name, that is logged.
/// Errors: invalid_argument (the options), unavailable (what they name is wrong or not enough).
Result<Entrance> make_data_entrance(const ServeOptions& options);
Result<Entrance> make_management_entrance(const ServeOptions& options);

}  // namespace sluice
