// The ceilings of this machine, measured in the same run as what is compared with them.
#pragma once

#include "kernels/cpu/thread_pool.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace sluice::bench {

/// Seconds on the monotonic clock.
double now_seconds();

/// The middle of `values` (of an even number, the lower one of the two). Not empty.
double median(std::vector<double> values);

/// Reads a large array again and again: the read bandwidth of memory.
class BandwidthProbe {
 public:
  /// Takes and fills `size_bytes`; less than a few times the last-level cache measures the cache.
  explicit BandwidthProbe(std::size_t size_bytes = std::size_t{1} << 30);
  ~BandwidthProbe();
  BandwidthProbe(const BandwidthProbe&) = delete;
  BandwidthProbe& operator=(const BandwidthProbe&) = delete;

  /// Bytes a second with all threads of `pool`, each reading its share of the array once, as
  /// `streams` sequential streams side by side (1 or 4) with software prefetch.
  double measure(ThreadPool& pool, int streams);

 private:
  struct Array;
  std::unique_ptr<Array> array_;
};

}  // namespace sluice::bench
