// Workers wait for the number of the run to change; the caller waits for the count of workers to
// reach zero.
#include "kernels/cpu/thread_pool.h"

#include "base/check.h"

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

using SpinClock = std::chrono::steady_clock;
constexpr auto kSpin = std::chrono::microseconds(20);

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

/// Waits until `variable` is not `old`: spins, then calls `before_sleep` and sleeps until it is
/// notified.
template <class BeforeSleep>
void wait_while_equal(std::atomic<std::uint32_t>& variable,
                      std::uint32_t old,
                      BeforeSleep&& before_sleep) {
  auto end = SpinClock::now() + kSpin;
  do {
    for (int i = 0; i < 32; ++i) {
      if (variable.load(std::memory_order_acquire) != old) return;
      pause_briefly();
    }
  } while (SpinClock::now() < end);
  before_sleep();
  variable.wait(old, std::memory_order_acquire);
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

void bind_to(pthread_t thread, int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  // A core may have been taken from us since; then the system places the thread.
  pthread_setaffinity_np(thread, sizeof set, &set);
}

}  // namespace

struct ThreadPool::Impl {
  std::uint32_t threads = 1;
  std::vector<int> cores;  ///< one a worker if bound, else empty
  std::vector<std::thread> others;
  pthread_t bound_caller{};
  bool caller_is_bound = false;

  // The work of the current run; written before `run_number` changes.
  Function function = nullptr;
  void* body = nullptr;
  bool stopping = false;

  // Apart, so that workers arriving do not disturb those still waiting.
  alignas(64) std::atomic<std::uint32_t> run_number{0};
  alignas(64) std::atomic<std::uint32_t> working{0};
  alignas(64) std::atomic<std::uint64_t> worker_sleeps{0};
  std::uint64_t runs = 0;  ///< the caller's

  void serve(std::uint32_t worker) {
    DenormalsAreZero denormals;
    std::uint32_t seen = 0;
    for (;;) {
      wait_while_equal(
          run_number, seen, [this] { worker_sleeps.fetch_add(1, std::memory_order_relaxed); });
      std::uint32_t now = run_number.load(std::memory_order_acquire);
      if (now == seen) continue;
      seen = now;
      if (stopping) return;
      function(body, worker);
      if (working.fetch_sub(1, std::memory_order_acq_rel) == 1) working.notify_one();
    }
  }

  void begin_run() {
    run_number.fetch_add(1, std::memory_order_release);
    run_number.notify_all();
  }
};

ThreadPool::ThreadPool(std::uint32_t threads) : impl_(std::make_unique<Impl>()) {
  CHECK(threads >= 1);
  impl_->threads = threads;
  std::vector<int> cores = allowed_cores();
  if (threads > 1 && cores.size() == threads) impl_->cores = cores;
  for (std::uint32_t worker = 1; worker < threads; ++worker) {
    impl_->others.emplace_back([impl = impl_.get(), worker] { impl->serve(worker); });
    if (pinned()) bind_to(impl_->others.back().native_handle(), impl_->cores[worker]);
  }
}

ThreadPool::~ThreadPool() {
  impl_->stopping = true;
  impl_->begin_run();
  for (std::thread& other : impl_->others)
    other.join();
  if (!impl_->caller_is_bound || !pthread_equal(impl_->bound_caller, pthread_self())) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : impl_->cores)
    CPU_SET(core, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

std::uint32_t ThreadPool::threads() const {
  return impl_->threads;
}

bool ThreadPool::pinned() const {
  return !impl_->cores.empty();
}

ThreadPool::Stats ThreadPool::stats() const {
  return {impl_->runs, impl_->worker_sleeps.load(std::memory_order_relaxed)};
}

void ThreadPool::run_here(Function function, void* body) {
  DenormalsAreZero denormals;
  function(body, 0);
}

void ThreadPool::run_all(Function function, void* body) {
  if (impl_->threads == 1) {
    run_here(function, body);
    return;
  }
  if (pinned() &&
      (!impl_->caller_is_bound || !pthread_equal(impl_->bound_caller, pthread_self()))) {
    impl_->bound_caller = pthread_self();
    impl_->caller_is_bound = true;
    bind_to(impl_->bound_caller, impl_->cores[0]);
  }
  impl_->function = function;
  impl_->body = body;
  impl_->working.store(impl_->threads - 1, std::memory_order_relaxed);
  impl_->begin_run();
  run_here(function, body);
  ++impl_->runs;
  while (std::uint32_t left = impl_->working.load(std::memory_order_acquire))
    wait_while_equal(impl_->working, left, [] {});
}

}  // namespace sluice
