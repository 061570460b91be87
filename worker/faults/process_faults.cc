// Faults as they happen to a real process.
#include "worker/faults/fault.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

namespace sluice {
namespace {

class ProcessFaults final : public FaultActions {
 public:
  ProcessFaults(std::function<void()> stall_link, std::function<void()> slice_link)
      : stall_link_(std::move(stall_link)), slice_link_(std::move(slice_link)) {}

  void exit(int code) override { ::_exit(code); }
  void raise(int signal) override { ::kill(::getpid(), signal); }
  void hang() override { wait_for_ever(nullptr); }
  void sleep(Duration duration) override {
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration);
    timespec time{.tv_sec = seconds.count(), .tv_nsec = (duration - seconds).count()};
    ::ppoll(nullptr, 0, &time, nullptr);
  }
  void stretch(double factor, Duration took) override {
    sleep(std::chrono::duration_cast<Duration>(took * (factor - 1.0)));
  }
  void leak_descriptors(std::int32_t count) override {
    while (count > 0 && ::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
      --count;
  }
  void leak_threads(std::int32_t count) override {
    pthread_t thread{};
    while (count > 0 && ::pthread_create(&thread, nullptr, wait_for_ever, nullptr) == 0) {
      ::pthread_detach(thread);
      --count;
    }
  }
  void stall_link() override { stall_link_(); }
  void slice_link() override { slice_link_(); }

 private:
  static void* wait_for_ever(void* /*nothing*/) {
    for (;;)
      ::pause();
  }

  std::function<void()> stall_link_;
  std::function<void()> slice_link_;
};

}  // namespace

std::unique_ptr<FaultActions> make_process_faults(std::function<void()> stall_link,
                                                  std::function<void()> slice_link) {
  return std::make_unique<ProcessFaults>(std::move(stall_link), std::move(slice_link));
}

}  // namespace sluice
