// What the system lets this process have, and whether a server can live on it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace sluice {

/// Limits of a process, as `getrlimit` tells them (`ulimit` of a shell).
struct ResourceLimits {
  std::uint64_t open_files = 0;   ///< RLIMIT_NOFILE
  std::uint64_t stack_bytes = 0;  ///< RLIMIT_STACK, which new threads get, too
};

/// What a server needs of them.
struct ResourceNeeds {
  std::uint64_t lanes = 1;
  std::uint64_t connections = 1;  ///< clients it is to have at a time
};

/// Why a server cannot live on these, or none. Pure.
std::optional<std::string> refuse_limits(const ResourceLimits& limits, const ResourceNeeds& needs);

/// What is to be said of limits on which a server lives, but not with all its clients; or none.
/// Pure.
std::optional<std::string> doubt_limits(const ResourceLimits& limits, const ResourceNeeds& needs);

/// The limits of this process, after as many open files as the hard limit allows have been asked
/// for: the soft one is for programs that still use `select`.
ResourceLimits take_limits();

/// Whether the system lets this process have so many threads more, all at the same time. Starts
/// and ends them.
bool may_start_threads(std::uint32_t count);

}  // namespace sluice
