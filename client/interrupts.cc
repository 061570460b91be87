#include "client/interrupts.h"

#include "base/check.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>

namespace sluice {

Interrupts::Interrupts() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM}) {
    ::signal(signal, SIG_DFL);  // one that is ignored would never be seen
    sigaddset(&set, signal);
  }
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // then the write that is too much says so
  pthread_sigmask(SIG_BLOCK, &set, &before_);
  descriptor_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  CHECK(descriptor_ >= 0);
}

Interrupts::~Interrupts() {
  take();  // one that still waited would end the process now
  ::close(descriptor_);
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

int Interrupts::take() {
  int taken = 0;
  signalfd_siginfo info{};
  while (::read(descriptor_, &info, sizeof info) == sizeof info)
    if (taken != SIGTERM) taken = static_cast<int>(info.ssi_signo);
  return taken;
}

bool Interrupts::pause(Duration time) const {
  pollfd signal{descriptor_, POLLIN, 0};
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
  return ::poll(&signal, 1, static_cast<int>(ms)) == 0;
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace sluice
