// Workers wait for the number of the piece of work to change; the caller waits for the count of its
// units that are not done to reach zero.
#include "kernels/cpu/thread_pool.h"

#include "base/check.h"
#include "kernels/cpu/run_delay.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace sluice {
namespace {

constexpr auto kSpin = std::chrono::microseconds(20);
/// Whose ranges a thread looks into before it holds that nothing is left. The caller looks into
/// all.
constexpr std::uint32_t kVictimsMax = 8;

TimePoint now() {
  return SystemClock().now();
}

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// Waits for a short time until `variable` is not `old`. False: it still is.
bool spin_while_equal(const std::atomic<std::uint32_t>& variable, std::uint32_t old) {
  TimePoint end = now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (variable.load(std::memory_order_acquire) != old) return true;
      pause_briefly();
    }
  } while (now() < end);
  return false;
}

/// Denormals are zero while this lives.
class DenormalsAreZero {
 public:
#if defined(__x86_64__)
  DenormalsAreZero() : before_(_mm_getcsr()) {
    constexpr unsigned kFlushToZero = 0x8000;
    constexpr unsigned kDenormalsAreZero = 0x0040;
    _mm_setcsr(before_ | kFlushToZero | kDenormalsAreZero);
  }
  ~DenormalsAreZero() {
    _mm_setcsr(before_);
  }

 private:
  unsigned before_;
#endif
};

std::vector<int> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  return cores;
}

/// Lets the thread run on `count` cores.
void allow(pthread_t thread, const int* cores, std::size_t count) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (std::size_t i = 0; i < count; ++i)
    CPU_SET(cores[i], &set);
  // A core may have been taken from us since; then the system places the thread.
  pthread_setaffinity_np(thread, sizeof set, &set);
}

/// What the piece of work is. Its fields are written before its number, and stay until its last
/// unit is done: who has claimed a unit of the piece reads what belongs to it.
struct alignas(64) Piece {
  std::atomic<std::uint32_t> number{0};
  std::atomic<std::uint32_t> sharing{1};  ///< threads that have a range of units
  std::atomic<std::uint32_t> claim_most{1};
  std::atomic<void (*)(void*, Units, std::uint32_t)> function{nullptr};
  std::atomic<void*> body{nullptr};
};

}  // namespace

struct ThreadPool::Impl {
  Impl(const Options& given, std::vector<int> all_cores)
      : options(given),
        cores(std::move(all_cores)),
        policy({.threads = given.threads,
                .may_bind = given.director == nullptr && cores.size() == given.threads}),
        bound(policy.bound()),
        ranges(std::make_unique<ClaimRange[]>(given.threads)),
        taking_part(given.threads) {}

  const Options options;
  const std::vector<int> cores;
  std::vector<std::thread> others;

  // The caller's.
  ThreadPolicy policy;
  RunDelay delay;
  bool bound;
  bool knows_caller = false;
  pthread_t caller{};
  std::uint64_t shared = 0;
  Duration worked_time{}, lost_time{};

  // Each on its own cache line, so that threads that end do not disturb those that begin.
  Piece piece;
  std::unique_ptr<ClaimRange[]> ranges;                ///< one a thread
  alignas(64) std::atomic<std::uint32_t> left{0};      ///< units of the piece not yet done
  alignas(64) std::atomic<std::uint32_t> taking_part;  ///< workers from this on do not
  alignas(64) std::atomic<std::uint64_t> worker_sleeps{0};
  std::atomic<bool> stopping{false};

  // --- all threads ---

  /// Takes part in piece `number` until nothing of it is left to be claimed.
  void work_on(std::uint32_t number, std::uint32_t worker) {
    std::uint32_t done = 0;
    for (;;) {
      if (options.director != nullptr) options.director->before_claim(worker);
      Units units = claim(number, worker);
      if (units.empty()) break;
      if (options.director != nullptr) options.director->claimed(worker, units);
      piece.function.load(std::memory_order_relaxed)(
          piece.body.load(std::memory_order_relaxed), units, worker);
      done += units.count();
    }
    if (done != 0 && left.fetch_sub(done, std::memory_order_acq_rel) == done) left.notify_one();
  }

  Units claim(std::uint32_t number, std::uint32_t worker) {
    std::uint32_t most = piece.claim_most.load(std::memory_order_relaxed);
    std::uint32_t sharing = piece.sharing.load(std::memory_order_relaxed);
    if (worker >= sharing) return {};
    Units units = ranges[worker].take(number, most);
    std::uint32_t victims = worker == 0 ? sharing - 1 : std::min(sharing - 1, kVictimsMax);
    for (std::uint32_t i = 1; units.empty() && i <= victims; ++i)
      units = ranges[(worker + i) % sharing].steal(number, most);
    return units;
  }

  // --- the others ---

  void serve(std::uint32_t worker) {
    DenormalsAreZero denormals;
    std::uint32_t seen = 0;
    for (;;) {
      wait_for_work(worker, seen);
      if (stopping.load(std::memory_order_acquire)) return;
      seen = piece.number.load(std::memory_order_acquire);
      work_on(seen, worker);
    }
  }

  /// Returns when there is a piece other than `seen` and the worker takes part.
  void wait_for_work(std::uint32_t worker, std::uint32_t seen) {
    for (;;) {
      std::uint32_t parting = taking_part.load(std::memory_order_acquire);
      if (worker >= parting) {
        taking_part.wait(parting, std::memory_order_acquire);
        continue;
      }
      if (spin_while_equal(piece.number, seen)) return;
      worker_sleeps.fetch_add(1, std::memory_order_relaxed);
      piece.number.wait(seen, std::memory_order_acquire);
    }
  }

  // --- the caller ---

  void meet_caller() {
    if (knows_caller && pthread_equal(caller, pthread_self())) return;
    knows_caller = true;
    caller = pthread_self();
    delay.follow_this_thread();
    if (bound) allow(caller, cores.data(), 1);
  }

  void bind_all(bool to_cores) {
    bound = to_cores;
    for (std::uint32_t worker = 0; worker < options.threads; ++worker) {
      pthread_t thread = worker == 0 ? caller : others[worker - 1].native_handle();
      if (to_cores)
        allow(thread, &cores[worker], 1);
      else
        allow(thread, cores.data(), cores.size());
    }
  }

  void set_taking_part(std::uint32_t threads) {
    if (threads == taking_part.load(std::memory_order_relaxed)) return;
    taking_part.store(threads, std::memory_order_release);
    taking_part.notify_all();
  }

  /// Hands out `count` units to `sharing` threads.
  void announce(std::uint32_t count,
                std::uint32_t claim_most,
                std::uint32_t sharing,
                Function f,
                void* body) {
    std::uint32_t number = piece.number.load(std::memory_order_relaxed) + 1;
    piece.sharing.store(sharing, std::memory_order_relaxed);
    piece.claim_most.store(claim_most, std::memory_order_relaxed);
    piece.function.store(f, std::memory_order_relaxed);
    piece.body.store(body, std::memory_order_relaxed);
    left.store(count, std::memory_order_relaxed);
    for (std::uint32_t worker = 0; worker < sharing; ++worker) {
      Span part = cut(count, 1, worker, sharing);
      ranges[worker].offer(
          number, {static_cast<std::uint32_t>(part.begin), static_cast<std::uint32_t>(part.end)});
    }
    piece.number.store(number, std::memory_order_release);
    piece.number.notify_all();
  }

  void wait_until_done() {
    while (std::uint32_t undone = left.load(std::memory_order_acquire))
      if (!spin_while_equal(left, undone)) left.wait(undone, std::memory_order_acquire);
  }

  void judge(TimePoint at, Duration took, Duration waited) {
    worked_time += took;
    if (!policy.worked(took, waited)) return;
    lost_time += policy.judge(at, delay.take());
    set_taking_part(policy.taking_part());
    if (policy.bound() != bound) bind_all(policy.bound());
  }
};

ThreadPool::ThreadPool(const Options& options)
    : impl_(std::make_unique<Impl>(options, allowed_cores())) {
  for (std::uint32_t worker = 1; worker < options.threads; ++worker) {
    impl_->others.emplace_back([impl = impl_.get(), worker] { impl->serve(worker); });
    if (impl_->bound) allow(impl_->others.back().native_handle(), &impl_->cores[worker], 1);
  }
}

ThreadPool::~ThreadPool() {
  impl_->stopping.store(true, std::memory_order_release);
  impl_->set_taking_part(threads());
  impl_->piece.number.fetch_add(1, std::memory_order_release);
  impl_->piece.number.notify_all();
  for (std::thread& other : impl_->others)
    other.join();
  if (impl_->bound && impl_->knows_caller && pthread_equal(impl_->caller, pthread_self()))
    allow(pthread_self(), impl_->cores.data(), impl_->cores.size());
}

std::uint32_t ThreadPool::threads() const {
  return impl_->options.threads;
}

ThreadPool::Stats ThreadPool::stats() const {
  return {.shared = impl_->shared,
          .worker_sleeps = impl_->worker_sleeps.load(std::memory_order_relaxed),
          .taking_part = impl_->taking_part.load(std::memory_order_relaxed),
          .bound = impl_->bound,
          .worked = impl_->worked_time,
          .lost = impl_->lost_time};
}

void ThreadPool::run_here(std::uint32_t count, Function function, void* body) {
  DenormalsAreZero denormals;
  function(body, {0, count}, 0);
}

void ThreadPool::share_units(std::uint32_t count,
                             std::uint32_t claim_most,
                             Function function,
                             void* body) {
  CHECK(count <= ClaimRange::kUnitsMax && claim_most >= 1);
  if (count == 0) return;
  if (threads() == 1) return run_here(count, function, body);
  impl_->meet_caller();
  Director* director = impl_->options.director;
  if (director != nullptr) impl_->set_taking_part(director->begin(count));
  std::uint32_t sharing = impl_->taking_part.load(std::memory_order_relaxed);
  TimePoint begun = now();
  TimePoint worked = begun;
  if (sharing == 1 && director == nullptr) {
    run_here(count, function, body);
    worked = now();
    return impl_->judge(worked, worked - begun, {});
  }
  ++impl_->shared;
  impl_->announce(count, claim_most, sharing, function, body);
  {
    DenormalsAreZero denormals;
    impl_->work_on(impl_->piece.number.load(std::memory_order_relaxed), 0);
    worked = now();
    impl_->wait_until_done();
  }
  if (director != nullptr) return;
  TimePoint ended = now();
  impl_->judge(ended, ended - begun, ended - worked);
}

}  // namespace sluice
