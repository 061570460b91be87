// Starts real workers: a process each, a socket pair for the link, a pidfd for its end.
#pragma once

#include "net/event_loop.h"
#include "worker/link.h"

#include <cstddef>
#include <memory>
#include <string>

namespace sluice {

/// The descriptor on which a worker finds its end of the link.
inline constexpr int kWorkerLinkFd = 3;

struct ProcessLauncherOptions {
  /// A worker that leaves more than this unread is killed: credit keeps an honest one far below.
  std::size_t backlog_bytes_max = std::size_t{128} << 20;
  int oom_score_adj = 500;              ///< the kernel ends workers before the front; best effort
  std::string vmstat = "/proc/vmstat";  ///< where the kernel counts whom it ended for memory
};

/// Starts workers as `program worker arguments...` on the loop's thread. The thread must live as
/// long as the front, for the workers' death signal follows the thread that created them; the loop
/// must outlive the launcher and all links. A worker gets the link as descriptor 3, the front's
/// standard output and error, nothing on its input, no other descriptor, default signals, and a
/// process group of its own (a Ctrl-C at the terminal is the front's business).
///
/// Everything is heard on the loop's thread. A worker that closes the link, or sends what cannot be
/// read, is killed; `on_exit` says what came first. Destroying the launcher kills all workers.
std::unique_ptr<WorkerLauncher> make_process_launcher(EventLoop& loop,
                                                      ProcessLauncherOptions options = {});

}  // namespace sluice
