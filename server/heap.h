// The memory that the process has from the system beyond what it uses.
#pragma once

#include <cstdint>

namespace sluice {

// Of jemalloc where the program is linked with it, as `sluice` is; else of libc. Any thread.

/// Gives back what has been free for a second. To be called every second: by itself jemalloc does
/// so only where a thread allocates. A few microseconds if there is nothing. libc: nothing happens.
void let_go_of_old_memory();
/// Gives back all that is free. Some milliseconds for each GiB.
void give_memory_back();

/// Bytes that are allocated now; an estimate, some threads keep what they have freed for a while.
[[nodiscard]] std::uint64_t allocated_bytes();

}  // namespace sluice
