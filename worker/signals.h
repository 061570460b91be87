// Signals that are meant for somebody else, or for the server as a whole.
#pragma once

#include <signal.h>

namespace sluice {

/// Signals that would end a process which does not expect them, and that no fault of its own
/// raises: sent by mistake, by a terminal that closed, by tools that know other servers, or by the
/// system because a log may not grow. Blocked in the front, which takes them one by one, and in
/// workers.
inline sigset_t stray_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal :
       {SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGIO, SIGPWR, SIGSTKFLT, SIGXFSZ})
    sigaddset(&set, signal);
  for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal)
    sigaddset(&set, signal);
  return set;
}

/// How a person or a service manager asks a process to end.
inline sigset_t orders_to_end() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

/// What a worker does not heed: the above, a log that nobody reads any more, and the orders to end
/// that a service manager or a terminal sends to a whole group. Whether a worker ends is the
/// front's decision, which may have streams to finish first; it says so on the link, or with
/// SIGKILL.
inline sigset_t signals_not_for_workers() {
  sigset_t strays = stray_signals();
  sigset_t orders = orders_to_end();
  sigset_t set;
  sigorset(&set, &strays, &orders);
  sigaddset(&set, SIGPIPE);
  return set;
}

}  // namespace sluice
