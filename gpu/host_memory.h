// How much memory this machine still gives this process.
#pragma once

#include <cstddef>
#include <string>

namespace sluice {

/// Bytes that this process can still take: the smallest of what the kernel says is available and
/// what is left under the limit of each memory cgroup (version 1 or 2) the process stands in.
/// File cache that can be dropped counts as free. Without any account: SIZE_MAX.
///   root  where "proc" and "sys" are found; tests bring their own
/// Thread-safe. Source: proc(5), "MemAvailable"; the kernel's cgroup-v1 and cgroup-v2 documents.
std::size_t available_host_bytes(const std::string& root = "/");

}  // namespace sluice
