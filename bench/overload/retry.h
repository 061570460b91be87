// Whether and when a client asks again.
#pragma once

#include "bench/overload/client_kind.h"

#include <cstdint>
#include <optional>

namespace sluice::overload {

/// How an attempt ended that brought no complete answer.
struct Disappointment {
  bool refused = false;                 ///< with 429 or 503
  std::optional<Duration> retry_after;  ///< what the server said
  bool never_retry = false;             ///< the server said that it is of no use
};

/// After which time the client asks again; nothing if it does not.
///   attempts  it has made, this one included
///   left      of its patience; who would have to wait for longer gives up now
///   uniform   in [0, 1): its jitter. A polite client waits as told and up to a quarter longer;
///             untold, it begins with a second and doubles, up to a minute
std::optional<Duration> retry_after(const ClientKind& kind,
                                    const Disappointment& end,
                                    std::uint32_t attempts,
                                    Duration left,
                                    double uniform);

}  // namespace sluice::overload
