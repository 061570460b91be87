#include "worker/spawn.h"

#include "net/fd_watcher.h"
#include "worker/link_codec.h"
#include "worker/signals.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <future>
#include <mutex>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

extern char** environ;

namespace sluice {
namespace {

constexpr std::size_t kReadBytes = std::size_t{64} << 10;
/// Reads of one worker before the loop looks at the others again.
constexpr int kReadsPerRound = 16;
/// Sent bytes are cut off the front of the outbox when they are at least this many.
constexpr std::size_t kOutboxTrimBytes = std::size_t{256} << 10;
constexpr int kReapTimeoutMs = 2000;
/// A process that ends closes its link a moment before its pidfd tells; only one that goes on
/// living without a link is killed.
constexpr Duration kEndTime = std::chrono::milliseconds(100);

std::string describe(int error) {
  return std::generic_category().message(error);
}

/// A descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }
  void reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

int pidfd_open(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

/// A pidfd names this one process for ever: no signal can reach a later owner of its number.
void pidfd_kill(int pidfd) {
  ::syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
}

/// Takes the exit status of a process that has ended. False: it has not yet.
bool reap(int pidfd, WorkerExit& exit) {
  siginfo_t info{};
  if (::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG) <
      0) {
    exit.why = "its exit status was lost: " + describe(errno);
    return true;
  }
  if (info.si_pid == 0) return false;
  if (info.si_code == CLD_EXITED) {
    exit.status = info.si_status;
    exit.why = "exited with code " + std::to_string(exit.status);
  } else {
    exit.signal = info.si_status;
    exit.why = "killed by signal " + std::to_string(exit.signal);
  }
  return true;
}

/// Signals that people and programs send to end a process. The others are what a process does to
/// itself, by its own fault.
bool is_order(int signal) {
  return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGHUP ||
         signal == SIGQUIT;
}

/// How many processes the kernel has ended for want of memory since it runs; 0 where it does not
/// tell.
std::uint64_t count_oom_kills(const std::string& vmstat) {
  std::ifstream lines(vmstat);
  std::string name;
  std::uint64_t count = 0;
  while (lines >> name >> count)
    if (name == "oom_kill") return count;
  return 0;
}

/// One running process. The loop's thread reads, watches and reaps; any thread writes and kills.
class Process : public std::enable_shared_from_this<Process> {
 public:
  Process(EventLoop& loop,
          const ProcessLauncherOptions& options,
          std::shared_ptr<WorkerListener> listener)
      : loop_(loop), options_(options), listener_(std::move(listener)) {}

  // --- on the loop's thread ----------------------------------------------------------------------

  /// Starts the process and watches it. `gone` is called once it has been reaped.
  Result<void> start(const WorkerSpec& spec, std::function<void()> gone) {
    if (auto spawned = spawn(spec); !spawned) return spawned;
    gone_ = std::move(gone);
    auto watched = watch();
    if (!watched) {
      pidfd_kill(pidfd_.get());
      close();
      WorkerExit ignored;
      wait_for_end(ignored);
    }
    return watched;
  }

  /// Ends the process without a word to the listener, and waits for it: for the end of the
  /// launcher.
  void end_now() {
    silence();
    kill();
    close();
    WorkerExit ignored;
    wait_for_end(ignored);
  }

  // --- on any thread -----------------------------------------------------------------------------

  void send(const wire::ToWorker& message) {
    std::lock_guard guard(mutex_);
    if (!link_) return;
    writer_.append(message, outbox_);
    if (outbox_.size() - sent_ > options_.backlog_bytes_max) {
      give_up_locked("does not read: " + std::to_string(outbox_.size() - sent_) +
                     " bytes wait for it");
      return;
    }
    if (!waits_for_room_ && flush_locked()) {
      waits_for_room_ = true;
      loop_.post([self = shared_from_this()] { self->want_room(); });
    }
  }

  void kill() {
    std::lock_guard guard(mutex_);
    if (pidfd_ && !reaped_) kill_locked();
  }

  [[nodiscard]] bool is_stopped() const {
    std::lock_guard guard(mutex_);
    if (!pidfd_ || reaped_) return false;
    siginfo_t info{};
    int asked = ::waitid(static_cast<idtype_t>(P_PIDFD),
                         static_cast<id_t>(pidfd_.get()),
                         &info,
                         WSTOPPED | WNOHANG | WNOWAIT);
    return asked == 0 && info.si_pid != 0;
  }

  /// From now on the listener hears nothing more; a call that has begun may still be running.
  void silence() { silenced_ = true; }
  [[nodiscard]] std::int64_t pid() const { return pid_; }

  [[nodiscard]] std::size_t backlog_bytes() const {
    std::lock_guard guard(mutex_);
    if (!link_) return 0;
    int in_kernel = 0;
    ::ioctl(link_.get(), SIOCOUTQ, &in_kernel);
    return outbox_.size() - sent_ + static_cast<std::size_t>(in_kernel);
  }

 private:
  Result<void> spawn(const WorkerSpec& spec) {
    int pair[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
      return Error{ErrorCode::unavailable, "no socket pair for a worker: " + describe(errno)};
    link_ = Fd(pair[0]);
    Fd other_end(pair[1]);
    ::fcntl(link_.get(), F_SETFL, O_NONBLOCK);

    std::vector<std::string> words = {spec.name.empty() ? spec.program : spec.name, "worker"};
    words.insert(words.end(), spec.arguments.begin(), spec.arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words)
      argv.push_back(word.data());
    argv.push_back(nullptr);

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, other_end.get(), kWorkerLinkFd);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, kWorkerLinkFd + 1);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // Blocked from the first instruction on: a worker that ignored them only once it runs could be
    // ended before.
    sigset_t blocked = signals_not_for_workers();
    posix_spawnattr_setsigmask(&attributes, &blocked);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    oom_kills_ = count_oom_kills(options_.vmstat);
    pid_t pid = 0;
    int failed =
        ::posix_spawn(&pid, spec.program.c_str(), &actions, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
      bool missing = failed == ENOENT || failed == ENOTDIR || failed == EACCES || failed == ENOEXEC;
      return Error{missing ? ErrorCode::not_found : ErrorCode::unavailable,
                   "cannot start " + spec.program + ": " + describe(failed)};
    }
    pid_ = pid;
    pidfd_ = Fd(pidfd_open(pid));
    if (!pidfd_) {
      int error = errno;
      ::kill(pid, SIGKILL);  // still ours: nobody has waited for it
      ::waitpid(pid, nullptr, 0);
      return Error{ErrorCode::unavailable, "no pidfd for a worker: " + describe(error)};
    }
    prefer_for_oom(pid);
    return {};
  }

  void prefer_for_oom(pid_t pid) const {
    Fd file(
        ::open(("/proc/" + std::to_string(pid) + "/oom_score_adj").c_str(), O_WRONLY | O_CLOEXEC));
    std::string text = std::to_string(options_.oom_score_adj);
    if (file && ::write(file.get(), text.data(), text.size()) < 0) return;  // best effort
  }

  Result<void> watch() {
    auto link = FdWatcher::create(loop_, link_.get(), [this](unsigned events) { on_link(events); });
    if (!link) return link.error();
    auto end = FdWatcher::create(loop_, pidfd_.get(), [this](unsigned) { on_end(); });
    if (!end) return end.error();
    link_watcher_ = std::move(*link);
    end_watcher_ = std::move(*end);
    link_watcher_->want(FdWatcher::kReadable);
    end_watcher_->want(FdWatcher::kReadable);
    return {};
  }

  void on_link(unsigned events) {
    auto self = shared_from_this();  // a listener may let go of the link
    if ((events & FdWatcher::kWritable) != 0) make_room();
    if ((events & FdWatcher::kReadable) != 0) {
      for (int i = 0; i < kReadsPerRound; ++i)
        if (!read_some()) break;
    }
  }

  /// Reads once and hands the frames on. False: there is nothing more now, or ever.
  bool read_some() {
    if (!link_watcher_) return false;
    char* room = frames_.prepare(kReadBytes);
    ssize_t got = ::recv(link_.get(), room, kReadBytes, MSG_DONTWAIT);
    if (got < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) return false;
      closed("its link broke: " + describe(errno));
      return false;
    }
    if (got == 0) {
      closed(frames_.empty() ? "closed its link" : "closed its link within a frame");
      return false;
    }
    frames_.commit(static_cast<std::size_t>(got));
    for (;;) {
      auto frame = frames_.next();
      if (!frame) return give_up("sent a broken frame: " + frame.error().message), false;
      if (!*frame) break;
      auto message = wire::decode_to_front(**frame);
      if (!message) return give_up("sent a broken frame: " + message.error().message), false;
      if (!silenced_) listener_->on_message(*std::move(message));
    }
    return static_cast<std::size_t>(got) == kReadBytes;
  }

  /// The pidfd is readable: the process has ended. What it said before is heard first.
  void on_end() {
    auto self = shared_from_this();
    WorkerExit exit;
    if (!reap(pidfd_.get(), exit)) return;
    {
      std::lock_guard guard(mutex_);
      reaped_ = true;
      exit.killed_by_us = killed_ && exit.signal == SIGKILL;
    }
    exit.outside = is_order(exit.signal) && !exit.killed_by_us &&
                   count_oom_kills(options_.vmstat) == oom_kills_;
    while (read_some()) {
    }
    {
      // Only a kill of ours has a cause of ours.
      std::lock_guard guard(mutex_);
      if (exit.signal == SIGKILL && !cause_.empty()) exit.why = cause_;
    }
    close();
    if (!silenced_.exchange(true)) listener_->on_exit(std::move(exit));
    if (gone_) std::exchange(gone_, nullptr)();
  }

  /// Nothing more will come over the link.
  void closed(std::string why) {
    link_watcher_.reset();
    end_timer_ = loop_.make_timer([this, why] { give_up(why); });
    end_timer_->arm(kEndTime, false);
  }

  /// The worker cannot be trusted any more.
  void give_up(std::string why) {
    std::lock_guard guard(mutex_);
    give_up_locked(std::move(why));
    link_watcher_.reset();
  }

  void give_up_locked(std::string why) {
    if (cause_.empty()) cause_ = std::move(why);
    if (!reaped_) kill_locked();
  }

  void kill_locked() {
    pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ended, 1, 0) > 0) return;  // by somebody else; `on_end` comes late
    killed_ = true;
    pidfd_kill(pidfd_.get());
  }

  void want_room() {
    if (!link_watcher_) return;
    link_watcher_->want(FdWatcher::kReadable | FdWatcher::kWritable);
  }

  void make_room() {
    std::lock_guard guard(mutex_);
    if (!link_ || flush_locked()) return;
    waits_for_room_ = false;
    if (link_watcher_) link_watcher_->want(FdWatcher::kReadable);
  }

  /// Writes what the kernel takes. True: some is left.
  bool flush_locked() {
    while (sent_ < outbox_.size()) {
      ssize_t put = ::send(
          link_.get(), outbox_.data() + sent_, outbox_.size() - sent_, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (put < 0) {
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
          if (sent_ >= kOutboxTrimBytes) {
            outbox_.erase(0, sent_);
            sent_ = 0;
          }
          return true;
        }
        break;  // broken: the reading side and the pidfd tell why
      }
      sent_ += static_cast<std::size_t>(put);
    }
    outbox_.clear();
    if (outbox_.capacity() > kOutboxTrimBytes) outbox_.shrink_to_fit();
    sent_ = 0;
    return false;
  }

  void close() {
    end_timer_.reset();
    link_watcher_.reset();
    end_watcher_.reset();
    std::lock_guard guard(mutex_);
    link_.reset();
    outbox_.clear();
    sent_ = 0;
  }

  void wait_for_end(WorkerExit& exit) {
    pollfd ended{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    ::poll(&ended, 1, kReapTimeoutMs);  // one in an endless system call is left behind
    reap(pidfd_.get(), exit);
    std::lock_guard guard(mutex_);
    reaped_ = true;
  }

  EventLoop& loop_;
  const ProcessLauncherOptions options_;
  std::shared_ptr<WorkerListener> listener_;
  std::atomic<bool> silenced_ = false;
  std::int64_t pid_ = 0;
  std::uint64_t oom_kills_ = 0;  // of the system, before this process was started

  // Of the loop's thread.
  LinkReader frames_;
  std::unique_ptr<FdWatcher> link_watcher_;
  std::unique_ptr<FdWatcher> end_watcher_;
  std::unique_ptr<EventLoop::Timer> end_timer_;
  std::function<void()> gone_;

  mutable std::mutex mutex_;  // guards what follows
  Fd link_;                   // closed on the loop's thread only
  Fd pidfd_;                  // open from the start to the end of this object
  bool reaped_ = false;
  bool killed_ = false;  // by our SIGKILL
  bool waits_for_room_ = false;
  LinkWriter writer_;
  std::string outbox_;
  std::size_t sent_ = 0;
  std::string cause_;  // why it was killed by us
};

/// The front's handle on a process; the process outlives it until it has been reaped.
class ProcessLink final : public WorkerLink {
 public:
  explicit ProcessLink(std::shared_ptr<Process> process) : process_(std::move(process)) {}
  ~ProcessLink() override {
    process_->silence();
    process_->kill();
  }
  void send(wire::ToWorker message) override { process_->send(message); }
  void kill() override { process_->kill(); }
  [[nodiscard]] bool is_stopped() const override { return process_->is_stopped(); }
  [[nodiscard]] std::int64_t pid() const override { return process_->pid(); }
  [[nodiscard]] std::size_t backlog_bytes() const override { return process_->backlog_bytes(); }

 private:
  std::shared_ptr<Process> process_;
};

/// Runs `work` on the loop's thread and waits for it. False: the loop has stopped.
bool run_on(EventLoop& loop, std::function<void()> work) {
  if (loop.on_loop_thread()) {
    work();
    return true;
  }
  auto done = std::make_shared<std::promise<void>>();
  auto finished = done->get_future();
  loop.post([done = std::move(done), work = std::move(work)] {
    work();
    done->set_value();
  });
  try {
    finished.get();
  } catch (const std::future_error&) {  // the work was dropped, and the promise with it
    return false;
  }
  return true;
}

class ProcessLauncher final : public WorkerLauncher {
 public:
  ProcessLauncher(EventLoop& loop, ProcessLauncherOptions options)
      : loop_(loop), options_(options), running_(std::make_shared<Running>()) {}

  ~ProcessLauncher() override {
    run_on(loop_, [running = running_] {
      for (const auto& process : std::exchange(*running, {}))
        process->end_now();
    });
  }

  Result<std::unique_ptr<WorkerLink>> launch(const WorkerSpec& spec,
                                             std::shared_ptr<WorkerListener> listener) override {
    auto process = std::make_shared<Process>(loop_, options_, std::move(listener));
    Result<void> started;
    bool ran = run_on(loop_, [&, running = running_] {
      started = process->start(
          spec, [running, key = std::weak_ptr(process)] { running->erase(key.lock()); });
      if (started) running->insert(process);
    });
    if (!ran) return Error{ErrorCode::unavailable, "the loop of the workers has stopped"};
    if (!started) return started.error();
    return std::unique_ptr<WorkerLink>(std::make_unique<ProcessLink>(std::move(process)));
  }

 private:
  using Running =
      std::set<std::shared_ptr<Process>>;  // of the loop's thread; never iterated in order

  EventLoop& loop_;
  ProcessLauncherOptions options_;
  std::shared_ptr<Running> running_;
};

}  // namespace

std::unique_ptr<WorkerLauncher> make_process_launcher(EventLoop& loop,
                                                      ProcessLauncherOptions options) {
  return std::make_unique<ProcessLauncher>(loop, options);
}

}  // namespace sluice
