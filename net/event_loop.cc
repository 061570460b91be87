// The libuv loop: its thread, its mailbox and its timers.
#include "net/event_loop.h"

#include "base/check.h"
#include "net/loop_impl.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace sluice {
namespace {

constexpr std::uint64_t kHeartbeatMs = 500;
constexpr std::uint64_t kNanosecondsPerMs = 1'000'000;
constexpr double kNanosecondsPerSecond = 1e9;
/// Posts and round tasks that bring further ones are served this often before the loop looks at
/// its sockets again.
constexpr int kPassesMax = 8;

std::uint64_t ceil_ms(Duration duration) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(duration).count();
  return ms > 0 ? static_cast<std::uint64_t>(ms) : 0;
}

/// What a timer leaves on the loop until libuv has let go of it.
struct TimerNode {
  uv_timer_t timer;
  std::function<void()> fire;
  bool owned = true;    ///< the Timer lives
  bool closed = false;  ///< libuv let go
};

/// The first member of a node is its handle.
void close_timer(uv_handle_t* handle) {
  uv_close(handle, [](uv_handle_t* closed) {
    auto* node = static_cast<TimerNode*>(closed->data);
    node->closed = true;
    if (!node->owned) delete node;
  });
}

class LoopTimer final : public EventLoop::Timer {
 public:
  LoopTimer(uv_loop_t* loop, std::function<void()> fire) : node_(new TimerNode) {
    node_->fire = std::move(fire);
    CHECK(uv_timer_init(loop, &node_->timer) == 0);
    node_->timer.data = node_;
  }
  ~LoopTimer() override {
    node_->owned = false;
    if (node_->closed) {
      delete node_;
    } else if (uv_is_closing(handle()) == 0) {
      uv_timer_stop(&node_->timer);
      close_timer(handle());
    }
  }
  void arm(Duration delay, bool repeat) override {
    if (uv_is_closing(handle()) != 0) return;
    const std::uint64_t ms = ceil_ms(delay);
    uv_update_time(node_->timer.loop);
    uv_timer_start(
        &node_->timer,
        [](uv_timer_t* timer) {
          // A copy, for the body may destroy the timer.
          const auto fire = static_cast<TimerNode*>(timer->data)->fire;
          fire();
        },
        ms,
        repeat ? std::max<std::uint64_t>(ms, 1) : 0);
  }
  void disarm() override { uv_timer_stop(&node_->timer); }

 private:
  uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(&node_->timer); }
  TimerNode* node_;
};

}  // namespace

bool LoopMailbox::post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (closed_) return false;
  work_.push_back(std::move(work));
  if (awake_) return true;
  awake_ = true;
  if (!(on_loop_thread() && in_round_)) uv_async_send(wake_up_);
  return true;
}

EventLoop::Impl::Impl()
    : mailbox_(std::make_shared<LoopMailbox>()), read_buffer_(new char[kReadBufferBytes]) {}

Result<std::unique_ptr<EventLoop::Impl>> EventLoop::Impl::start(const std::string& name) {
  std::unique_ptr<Impl> impl(new Impl);
  if (const int rc = uv_loop_init(&impl->uv_); rc != 0) {
    impl->stopped_ = true;
    return Error{ErrorCode::resource_exhausted,
                 "cannot create an event loop: " + std::string(uv_strerror(rc))};
  }
  impl->uv_.data = impl.get();
  CHECK(uv_async_init(&impl->uv_, &impl->wake_up_, [](uv_async_t*) {}) == 0);
  uv_prepare_init(&impl->uv_, &impl->round_begin_);
  uv_check_init(&impl->uv_, &impl->round_end_);
  uv_timer_init(&impl->uv_, &impl->heartbeat_);
  impl->mailbox_->wake_up_ = &impl->wake_up_;
  uv_prepare_start(&impl->round_begin_, [](uv_prepare_t* handle) {
    static_cast<Impl*>(handle->loop->data)->mailbox_->in_round_ = true;
  });
  uv_check_start(&impl->round_end_,
                 [](uv_check_t* handle) { static_cast<Impl*>(handle->loop->data)->end_round(); });
  uv_timer_start(
      &impl->heartbeat_,
      [](uv_timer_t* timer) { static_cast<Impl*>(timer->loop->data)->on_heartbeat(); },
      kHeartbeatMs,
      kHeartbeatMs);
  impl->last_turn_ms_ = uv_now(&impl->uv_);
  impl->heartbeat_due_ns_ = (uv_now(&impl->uv_) + kHeartbeatMs) * kNanosecondsPerMs;

  // Signals belong to the process' own thread; a write to a closed socket must not raise one here.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP})
    sigdelset(&all, fault);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  Result<void> started;
  try {
    impl->thread_ = std::thread([raw = impl.get(), name] { raw->run(name); });
  } catch (const std::system_error& error) {
    started = Error{ErrorCode::resource_exhausted,
                    "cannot start the thread of an event loop: " + std::string(error.what())};
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (!started) return started.error();
  return impl;
}

void EventLoop::Impl::run(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  mailbox_->thread_.store(std::this_thread::get_id());
  uv_run(&uv_, UV_RUN_DEFAULT);
  mailbox_->thread_.store(std::thread::id());  // the system may give the same one again
}

EventLoop::Impl::~Impl() {
  if (stopped_) return;  // it never came into being
  if (thread_.joinable()) {
    CHECK(!mailbox_->on_loop_thread());
    mailbox_->post([this] { stopping_ = true; });
    thread_.join();
  } else {
    stop();
    uv_run(&uv_, UV_RUN_DEFAULT);
  }
  CHECK(uv_loop_close(&uv_) == 0);
}

void EventLoop::Impl::end_round() {
  last_turn_ms_.store(uv_now(&uv_), std::memory_order_relaxed);
  LoopMailbox& mailbox = *mailbox_;
  for (int pass = 0; pass < kPassesMax; ++pass) {
    {
      const std::lock_guard lock(mailbox.mutex_);
      batch_.swap(mailbox.work_);
      mailbox.awake_ = false;
    }
    if (batch_.empty() && tasks_.empty()) break;
    for (auto& work : batch_) {
      work();
      work = nullptr;
    }
    batch_.clear();
    running_tasks_.swap(tasks_);
    for (RoundTask* task : running_tasks_)
      task->run_at_round_end();
    running_tasks_.clear();
  }
  {
    const std::lock_guard lock(mailbox.mutex_);
    mailbox.in_round_ = false;
    if (!mailbox.work_.empty() || !tasks_.empty()) {
      mailbox.awake_ = true;
      uv_async_send(&wake_up_);
    }
  }
  if (stopping_) {
    stopping_ = false;
    stop();
  }
}

/// libuv has armed the timer again already, for so much after the time of this round.
void EventLoop::Impl::on_heartbeat() {
  const std::uint64_t now = uv_hrtime();
  const std::uint64_t due =
      std::exchange(heartbeat_due_ns_, (uv_now(&uv_) + kHeartbeatMs) * kNanosecondsPerMs);
  const std::uint64_t late = now - std::min(now, due);
  const double seconds = static_cast<double>(late) / kNanosecondsPerSecond;
  const auto bound = std::lower_bound(LoopLag::kBounds.begin(), LoopLag::kBounds.end(), seconds);
  lag_counts_[static_cast<std::size_t>(bound - LoopLag::kBounds.begin())].fetch_add(
      1, std::memory_order_relaxed);
  lag_ns_.fetch_add(late, std::memory_order_relaxed);
}

LoopLag EventLoop::Impl::lag() const {
  LoopLag lag;
  for (std::size_t i = 0; i < lag.counts.size(); ++i)
    lag.counts[i] = lag_counts_[i].load(std::memory_order_relaxed);
  lag.sum_seconds =
      static_cast<double>(lag_ns_.load(std::memory_order_relaxed)) / kNanosecondsPerSecond;
  return lag;
}

void EventLoop::Impl::at_round_end(RoundTask* task) {
  tasks_.push_back(task);
  if (!mailbox_->in_round_) uv_async_send(&wake_up_);
}

std::uint64_t EventLoop::Impl::at_stop(std::function<void()> hook) {
  stop_hooks_.emplace_back(++next_hook_, std::move(hook));
  return next_hook_;
}

void EventLoop::Impl::forget_stop_hook(std::uint64_t key) {
  std::erase_if(stop_hooks_, [key](const auto& hook) { return hook.first == key; });
}

void EventLoop::Impl::stop() {
  std::vector<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mailbox_->mutex_);
    mailbox_->closed_ = true;
    dropped.swap(mailbox_->work_);
  }
  dropped.clear();
  for (auto& [key, hook] : std::exchange(stop_hooks_, {}))
    hook();
  uv_walk(
      &uv_,
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle) != 0) return;
        if (handle->type == UV_TIMER && handle->data != nullptr) {
          close_timer(handle);
        } else {
          uv_close(handle, nullptr);
        }
      },
      nullptr);
}

Result<std::unique_ptr<EventLoop>> EventLoop::start(const std::string& name) {
  auto impl = Impl::start(name);
  if (!impl) return impl.error();
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(*impl)));
}

EventLoop::EventLoop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
EventLoop::~EventLoop() = default;

void EventLoop::post(std::function<void()> work) {
  impl_->mailbox()->post(std::move(work));
}

bool EventLoop::on_loop_thread() const {
  return impl_->mailbox()->on_loop_thread();
}

std::unique_ptr<EventLoop::Timer> EventLoop::make_timer(std::function<void()> fire) {
  return std::make_unique<LoopTimer>(impl_->uv(), std::move(fire));
}

TimePoint EventLoop::now() const {
  return impl_->now();
}

TimePoint EventLoop::last_turn() const {
  return impl_->last_turn();
}

LoopLag EventLoop::lag() const {
  return impl_->lag();
}

}  // namespace sluice
