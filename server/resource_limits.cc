#include "server/resource_limits.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <exception>
#include <latch>
#include <thread>
#include <vector>

namespace sluice {
namespace {

/// Event loops, listeners, standard streams, a log, and what libraries open for a moment.
constexpr std::uint64_t kFilesOfServer = 64;
/// Its link and its process, twice: the one that ends may not be gone when the next one starts.
constexpr std::uint64_t kFilesOfLane = 6;
/// With fewer clients nobody is served.
constexpr std::uint64_t kClientsLeast = 16;
constexpr std::uint64_t kStackLeast = std::uint64_t{256} << 10;

std::uint64_t files_without_clients(const ResourceNeeds& needs) {
  return kFilesOfServer + kFilesOfLane * needs.lanes;
}

}  // namespace

std::optional<std::string> refuse_limits(const ResourceLimits& limits, const ResourceNeeds& needs) {
  std::uint64_t files = files_without_clients(needs) + kClientsLeast;
  if (limits.open_files < files)
    return fmt::format(
        "this process may have {} files open (ulimit -n), a server of {} lane{} needs {} at least",
        limits.open_files,
        needs.lanes,
        needs.lanes == 1 ? "" : "s",
        files);
  if (limits.stack_bytes < kStackLeast)
    return fmt::format("the stack of a thread may have {} bytes (ulimit -s), {} are needed",
                       limits.stack_bytes,
                       kStackLeast);
  return std::nullopt;
}

std::optional<std::string> doubt_limits(const ResourceLimits& limits, const ResourceNeeds& needs) {
  std::uint64_t others = files_without_clients(needs);
  // The last tenth is kept for what is not a client's; see net/acceptor.cc.
  std::uint64_t clients = limits.open_files - limits.open_files / 10;
  clients = clients > others ? clients - others : 0;
  if (clients >= needs.connections) return std::nullopt;
  return fmt::format(
      "this process may have {} files open (ulimit -n): that is enough for about {} connections, "
      "--max-connections is {}",
      limits.open_files,
      clients,
      needs.connections);
}

ResourceLimits take_limits() {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  rlimit most{files.rlim_max, files.rlim_max};
  if (files.rlim_cur < files.rlim_max && ::setrlimit(RLIMIT_NOFILE, &most) == 0) files = most;
  rlimit stack{};
  ::getrlimit(RLIMIT_STACK, &stack);
  return {files.rlim_cur, stack.rlim_cur};
}

bool may_start_threads(std::uint32_t count) {
  std::latch all_tried(1);
  std::vector<std::thread> threads;
  bool is_granted = true;
  try {
    while (threads.size() < count)
      threads.emplace_back([&all_tried] { all_tried.wait(); });
  } catch (const std::exception&) {  // system_error, bad_alloc
    is_granted = false;
  }
  all_tried.count_down();
  for (std::thread& thread : threads)
    thread.join();
  return is_granted;
}

}  // namespace sluice
