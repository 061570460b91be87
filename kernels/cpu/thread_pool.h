// A fork-join pool: the same few threads for every operation of a step, as many of them as help.
#pragma once

#include "kernels/cpu/claims.h"
#include "kernels/cpu/thread_policy.h"

#include <cstdint>
#include <memory>
#include <type_traits>

namespace sluice {

/// Does one piece of work after the other. A piece is a number of units, small ones, which its
/// threads claim as they come: it is over when all units are done, not when all threads have been
/// there, so that a thread that has lost its core holds up the others only if it took a claim with
/// it. How many threads take part, and whether they are bound to cores, follows what that costs
/// (thread_policy.h). Who computes a unit is chance; whoever uses the pool sees to it that the
/// result does not depend on it.
///
/// The caller is worker 0 and can finish a piece alone. Waiting threads spin for about 20
/// microseconds, then sleep in the kernel: an idle pool costs nothing, and an oversubscribed
/// machine is not starved by spinning.
///
/// While work runs, each thread treats denormal numbers as zero (FTZ and DAZ), so that a number
/// cannot depend on the thread that computed it; the caller's setting comes back afterwards.
///
/// Threads may be bound only if the pool has one for each core this process may use (and more than
/// one): several pools on one machine would all choose the same cores. The caller is bound at its
/// first `share`.
/// One thread calls `share` at a time; not re-entrant.
class ThreadPool {
 public:
  /// Counts since the pool began.
  struct Stats {
    std::uint64_t shared = 0;         ///< pieces of work in which other threads could take part
    std::uint64_t worker_sleeps = 0;  ///< how often the others fell asleep between pieces
    std::uint32_t taking_part = 1;    ///< threads that take part now, the caller included
    bool bound = false;               ///< to cores, now
    Duration worked{};                ///< time of the pieces, as the caller saw it
    Duration lost{};                  ///< of that, waiting for a thread or for a core
  };

  /// A test's hand in who computes what. Called by the threads of the pool, side by side.
  class Director {
   public:
    virtual ~Director() = default;
    /// A piece of `units` begins, on the caller's thread. How many threads take part in it, in
    /// [1, threads].
    virtual std::uint32_t begin(std::uint32_t units) = 0;
    /// `worker` is about to claim; it does when this returns.
    virtual void before_claim(std::uint32_t worker) = 0;
    /// `worker` has got these units, and computes them when this returns.
    virtual void claimed(std::uint32_t worker, Units units) = 0;
  };

  struct Options {
    std::uint32_t threads = 1;     ///< >= 1, the caller included
    Director* director = nullptr;  ///< must outlive the pool; in place of the policy
  };

  explicit ThreadPool(const Options& options);
  explicit ThreadPool(std::uint32_t threads) : ThreadPool(Options{.threads = threads}) {}
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] std::uint32_t threads() const;
  /// For the thread that calls `share`.
  [[nodiscard]] Stats stats() const;

  /// Calls `work(units, worker)` until each unit of [0, count) was in exactly one call, and returns
  /// when all are done. Each `worker` in [0, threads) is in one call at a time. Must not throw.
  ///   count       <= ClaimRange::kUnitsMax
  ///   claim_most  >= 1: the most units of a call where threads share
  template <class Work>
  void share(std::uint32_t count, std::uint32_t claim_most, Work&& work) {
    share_units(count, claim_most, function_of(work), &work);
  }
  /// Calls `work({0, count}, 0)` on the caller only, with the same treatment of denormals: for work
  /// that is too small to share.
  template <class Work>
  void run_alone(std::uint32_t count, Work&& work) {
    run_here(count, function_of(work), &work);
  }

 private:
  using Function = void (*)(void*, Units, std::uint32_t);
  struct Impl;

  template <class Work>
  static Function function_of(Work& /*work*/) {
    return [](void* body, Units units, std::uint32_t worker) {
      (*static_cast<std::remove_reference_t<Work>*>(body))(units, worker);
    };
  }
  void share_units(std::uint32_t count, std::uint32_t claim_most, Function function, void* body);
  static void run_here(std::uint32_t count, Function function, void* body);

  std::unique_ptr<Impl> impl_;
};

/// The part [begin, end) of [0, count) that is number `part` of `parts`, cut at multiples of
/// `unit`.
struct Span {
  std::int64_t begin, end;
};
constexpr Span cut(std::int64_t count, std::int64_t unit, std::int64_t part, std::int64_t parts) {
  std::int64_t units = (count + unit - 1) / unit;
  std::int64_t begin = units * part / parts * unit;
  std::int64_t end = units * (part + 1) / parts * unit;
  return {begin < count ? begin : count, end < count ? end : count};
}

}  // namespace sluice
