#include "base/work_pool.h"

#include "base/check.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr int kNicer = 10;  ///< than the process

class Threads final : public WorkPool {
 public:
  explicit Threads(WorkPoolOptions options)
      : options_(options), lengthy_max_(std::max<std::size_t>(1, options.threads / 2)) {
    CHECK(options.threads >= 1);
    for (std::size_t i = 0; i < options.threads; ++i)
      threads_.emplace_back([this] { run(); });
  }

  ~Threads() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_)
      thread.join();
  }

  bool submit(Length length, std::function<void()> work) override {
    {
      const std::lock_guard lock(mutex_);
      auto& queue = length == Length::brief ? brief_ : lengthy_;
      if (stopping_ || queue.size() >= options_.waiting_max) return false;
      queue.push_back(std::move(work));
    }
    wake_.notify_one();
    return true;
  }

 private:
  void run() {
    ::prctl(PR_SET_NAME, "sluice.pool");
    // Of this thread alone: on Linux priorities belong to threads.
    ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + kNicer);
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return stopping_ || !brief_.empty() || may_run_lengthy(); });
      if (stopping_) return;
      bool lengthy = brief_.empty();
      auto& queue = lengthy ? lengthy_ : brief_;
      std::function<void()> work = std::move(queue.front());
      queue.pop_front();
      running_lengthy_ += lengthy ? 1 : 0;
      lock.unlock();
      work();
      work = nullptr;  // what it holds must not wait for the next one
      lock.lock();
      running_lengthy_ -= lengthy ? 1 : 0;
      if (lengthy && !lengthy_.empty()) wake_.notify_one();
    }
  }

  [[nodiscard]] bool may_run_lengthy() const {
    return !lengthy_.empty() && running_lengthy_ < lengthy_max_;
  }

  const WorkPoolOptions options_;
  const std::size_t lengthy_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> brief_;
  std::deque<std::function<void()>> lengthy_;
  std::size_t running_lengthy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

std::unique_ptr<WorkPool> make_work_pool(WorkPoolOptions options) {
  return std::make_unique<Threads>(options);
}

}  // namespace sluice
