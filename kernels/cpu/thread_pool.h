// A fork-join pool: the same few threads for every operation of a step.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace sluice {

/// Runs one piece of work on all threads and returns when all are done. The caller is worker 0.
/// Waiting threads spin for about 20 microseconds, then sleep in the kernel: an idle pool costs
/// nothing, and an oversubscribed machine is not starved by spinning.
///
/// While work runs, each thread treats denormal numbers as zero (FTZ and DAZ), so that a number
/// cannot depend on the thread that computed it; the caller's setting comes back afterwards.
///
/// If the pool has a thread for each core this process may use (and more than one), threads are
/// bound to cores, the caller at its first `run`. Otherwise the system places them: several pools
/// on one machine would all choose the same cores.
/// One thread calls `run` at a time; not re-entrant.
class ThreadPool {
 public:
  /// Counts since the pool began.
  struct Stats {
    std::uint64_t runs = 0;           ///< calls of `run` that used other threads
    std::uint64_t worker_sleeps = 0;  ///< how often the others fell asleep between runs
  };

  /// `threads` >= 1, the caller included.
  explicit ThreadPool(std::uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] std::uint32_t threads() const;
  [[nodiscard]] bool pinned() const;
  [[nodiscard]] Stats stats() const;

  /// Calls `work(worker)` once for each worker in [0, threads). Must not throw.
  template <class Work>
  void run(Work&& work) {
    using Body = std::remove_reference_t<Work>;
    run_all([](void* body, std::uint32_t worker) { (*static_cast<Body*>(body))(worker); }, &work);
  }
  /// Calls `work(0)` on the caller only, with the same treatment of denormals: for work that is
  /// too small to share.
  template <class Work>
  void run_alone(Work&& work) {
    using Body = std::remove_reference_t<Work>;
    run_here([](void* body, std::uint32_t worker) { (*static_cast<Body*>(body))(worker); }, &work);
  }

 private:
  using Function = void (*)(void*, std::uint32_t);
  struct Impl;

  void run_all(Function function, void* body);
  void run_here(Function function, void* body);

  std::unique_ptr<Impl> impl_;
};

/// The part [begin, end) of [0, count) that belongs to `worker` of `workers`, cut at multiples of
/// `unit`.
struct Span {
  std::int64_t begin, end;
};
constexpr Span cut(std::int64_t count,
                   std::int64_t unit,
                   std::uint32_t worker,
                   std::uint32_t workers) {
  std::int64_t units = (count + unit - 1) / unit;
  std::int64_t begin = units * worker / workers * unit;
  std::int64_t end = units * (worker + 1) / workers * unit;
  return {begin < count ? begin : count, end < count ? end : count};
}

}  // namespace sluice
