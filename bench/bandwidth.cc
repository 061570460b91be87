// Sums an array with as few instructions a byte as portable code allows.
#include "bench/bandwidth.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace sluice::bench {
namespace {

/// 64 bytes; the compiler takes as many registers as the machine needs for them.
typedef std::uint64_t Line __attribute__((vector_size(64)));
constexpr std::int64_t kAheadLines = 32;

/// Sums `lines` lines as kStreams sequential streams.
#if defined(__x86_64__)
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
std::uint64_t
sum_lines(const Line* from, std::int64_t lines, int streams) {
  const std::int64_t stride = lines / streams;
  Line sums[4] = {};
  if (streams == 1) {
    for (std::int64_t i = 0; i + 4 <= stride; i += 4)
      for (int s = 0; s < 4; ++s) {
        __builtin_prefetch(from + i + s + kAheadLines);
        sums[s] += from[i + s];
      }
  } else {
    for (std::int64_t i = 0; i < stride; ++i)
      for (int s = 0; s < 4; ++s) {
        const Line* line = from + s * stride + i;
        __builtin_prefetch(line + kAheadLines);
        sums[s] += *line;
      }
  }
  Line all = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  std::uint64_t sum = 0;
  for (int i = 0; i < 8; ++i)
    sum += all[i];
  return sum;
}

}  // namespace

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median(std::vector<double> values) {
  auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct BandwidthProbe::Array {
  Line* lines = nullptr;
  std::size_t size_bytes = 0;
  std::atomic<std::uint64_t> sink{0};  ///< where sums go, so that they are computed
};

BandwidthProbe::BandwidthProbe(std::size_t size_bytes) : array_(std::make_unique<Array>()) {
  constexpr std::size_t kHugePage = std::size_t{2} << 20;
  array_->size_bytes = (size_bytes + kHugePage - 1) / kHugePage * kHugePage;
  array_->lines = static_cast<Line*>(std::aligned_alloc(kHugePage, array_->size_bytes));
  if (array_->lines == nullptr) {
    std::fprintf(stderr, "bandwidth probe: no %zu bytes\n", array_->size_bytes);
    std::exit(1);
  }
  madvise(array_->lines, array_->size_bytes, MADV_HUGEPAGE);
  for (std::size_t i = 0; i < array_->size_bytes / sizeof(Line); ++i)
    array_->lines[i] = Line{} + i;
}

BandwidthProbe::~BandwidthProbe() {
  std::free(array_->lines);
}

double BandwidthProbe::measure(ThreadPool& pool, int streams) {
  auto lines = static_cast<std::int64_t>(array_->size_bytes / sizeof(Line));
  double start = now_seconds();
  pool.share(pool.threads(), 1, [&](Units units, std::uint32_t) {
    Span span{cut(lines, 64, units.begin, pool.threads()).begin,
              cut(lines, 64, units.end - 1, pool.threads()).end};
    array_->sink += sum_lines(array_->lines + span.begin, span.end - span.begin, streams);
  });
  return static_cast<double>(array_->size_bytes) / (now_seconds() - start);
}

}  // namespace sluice::bench
