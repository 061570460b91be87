#include "server/heap.h"

#include <malloc.h>

#include <cstddef>

// As <jemalloc/jemalloc.h> declares it; null in programs that are not linked with it.
extern "C" [[gnu::weak]] int mallctl(
    const char* name, void* old_value, std::size_t* old_size, void* new_value, std::size_t size);

// Read by jemalloc when the program begins, unless the program has its own. What was freed goes
// back to the system after a second; bodies and long prompts, from 32 KiB on, at once.
extern "C" [[gnu::weak]] const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:1000,muzzy_decay_ms:0,oversize_threshold:32768";

namespace sluice {
namespace {

// Of all arenas together: their number is MALLCTL_ARENAS_ALL.
constexpr const char* kDecayAll = "arena.4096.decay";
constexpr const char* kPurgeAll = "arena.4096.purge";

}  // namespace

void let_go_of_old_memory() {
  if (mallctl != nullptr) mallctl(kDecayAll, nullptr, nullptr, nullptr, 0);
}

void give_memory_back() {
  if (mallctl != nullptr)
    mallctl(kPurgeAll, nullptr, nullptr, nullptr, 0);
  else
    ::malloc_trim(0);
}

std::uint64_t allocated_bytes() {
  if (mallctl == nullptr) {
    struct mallinfo2 heap = ::mallinfo2();
    return heap.uordblks + heap.hblkhd;
  }
  // Figures are those of the last epoch.
  std::uint64_t epoch = 1;
  std::size_t size = sizeof epoch;
  mallctl("epoch", &epoch, &size, &epoch, size);
  std::size_t allocated = 0;
  size = sizeof allocated;
  mallctl("stats.allocated", &allocated, &size, nullptr, 0);
  return allocated;
}

}  // namespace sluice
