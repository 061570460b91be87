#include "tests/worker/child_modes.h"

#include "base/check.h"
#include "net/event_loop.h"
#include "worker/channel.h"
#include "worker/spawn.h"
#include "worker/worker_main.h"

#include <dirent.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace sluice::testing {
namespace {

[[noreturn]] void sleep_for_ever() {
  for (;;)
    ::pause();
}

void write_raw(const std::string& bytes) {
  CHECK(::send(kWorkerLinkFd, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
        static_cast<ssize_t>(bytes.size()));
}

/// Answers each Start with its prompt, until the link ends or Stop.
[[noreturn]] void echo() {
  WorkerChannel channel(kWorkerLinkFd);
  channel.send(wire::Hello{.pid = ::getpid(), .version = "echo"});
  for (;;) {
    std::vector<wire::ToWorker> messages;
    auto open = channel.receive(-1, messages);
    if (!open) ::_exit(99);
    for (auto& message : messages) {
      if (std::holds_alternative<wire::Stop>(message)) ::_exit(0);
      if (auto* start = std::get_if<wire::Start>(&message)) {
        wire::Tokens tokens;
        SequenceOutput& output = tokens.outputs.emplace_back();
        output.id = start->id;
        output.epoch = start->epoch;
        output.tokens = start->plan.prompt;
        channel.send(tokens);
      }
    }
    if (!*open) ::_exit(0);
  }
}

std::string open_descriptors() {
  std::vector<int> open;
  DIR* folder = ::opendir("/proc/self/fd");
  while (dirent* entry = ::readdir(folder)) {
    int fd = std::atoi(entry->d_name);
    if (entry->d_name[0] != '.' && fd != ::dirfd(folder)) open.push_back(fd);
  }
  ::closedir(folder);
  std::sort(open.begin(), open.end());
  std::string text;
  for (int fd : open)
    text += std::to_string(fd) + " ";
  return text;
}

/// Tells how it was started.
[[noreturn]] void report() {
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  struct sigaction pipe {};
  ::sigaction(SIGPIPE, nullptr, &pipe);
  int oom_score_adj = 0;
  std::string descriptors = open_descriptors();
  WorkerChannel channel(kWorkerLinkFd);
  std::vector<wire::ToWorker> ask;  // the front writes the score when the process already runs
  (void)channel.receive(-1, ask);
  std::ifstream("/proc/self/oom_score_adj") >> oom_score_adj;
  channel.send(wire::Bye{ErrorCode::none,
                         "fds " + descriptors + "chld " +
                             std::to_string(sigismember(&blocked, SIGCHLD)) + " pipe " +
                             (pipe.sa_handler == SIG_DFL ? "default" : "ignored") + " group " +
                             (::getpgrp() == ::getpid() ? "own" : "shared") + " oom " +
                             std::to_string(oom_score_adj)});
  ::_exit(0);
}

[[noreturn]] void real_worker(std::int64_t parent_pid,
                              const std::string& model,
                              const std::string& faults) {
  WorkerOptions options;
  options.parent_pid = parent_pid;
  options.model.path = model;
  options.engine = {.sequences_max = 8, .step_rows_max = 64, .prefill_chunk = 64, .blocks = 256};
  options.version = "test";
  auto plan = FaultPlan::parse(faults);
  CHECK(plan);
  options.faults = *plan;
  worker_main(options);
  ::_exit(98);
}

class PidReporter final : public WorkerListener {
 public:
  explicit PidReporter(WorkerChannel& channel) : channel_(channel) {}
  void on_message(wire::ToFront message) override {
    if (auto* ready = std::get_if<wire::Ready>(&message)) channel_.send(*ready);
    if (auto* hello = std::get_if<wire::Hello>(&message)) channel_.send(*hello);
  }
  void on_exit(WorkerExit) override {}

 private:
  WorkerChannel& channel_;
};

/// A front of its own: starts a real worker and passes on what it says first.
[[noreturn]] void front() {
  WorkerChannel channel(kWorkerLinkFd);
  auto loop = EventLoop::start("front");
  auto launcher = make_process_launcher(**loop);
  auto link = launcher->launch({"/proc/self/exe", {"real", std::to_string(::getpid())}},
                               std::make_shared<PidReporter>(channel));
  CHECK(link);
  sleep_for_ever();
}

}  // namespace

void run_child(const std::vector<std::string>& arguments) {
  const std::string& mode = arguments.at(0);
  if (mode == "echo") echo();
  if (mode == "report") report();
  if (mode == "exit") ::_exit(std::stoi(arguments.at(1)));
  if (mode == "raise") {
    ::raise(std::stoi(arguments.at(1)));
    ::_exit(96);
  }
  if (mode == "raw") {  // sends bytes given in hexadecimal, then stays
    std::string bytes;
    for (std::size_t i = 0; i + 1 < arguments.at(1).size(); i += 2)
      bytes.push_back(static_cast<char>(std::stoi(arguments[1].substr(i, 2), nullptr, 16)));
    write_raw(bytes);
    sleep_for_ever();
  }
  if (mode == "last_words") {
    WorkerChannel channel(kWorkerLinkFd);
    for (int i = 0; i < 1000; ++i)
      channel.send(wire::Heartbeat{.steps = static_cast<std::uint64_t>(i)});
    channel.send(wire::Bye{ErrorCode::not_found, "no such folder"});
    ::_exit(6);
  }
  if (mode == "close") {
    ::close(kWorkerLinkFd);
    sleep_for_ever();
  }
  if (mode == "deaf") sleep_for_ever();
  if (mode == "front") front();
  if (mode == "real")
    real_worker(std::stoll(arguments.at(1)),
                arguments.size() > 2 ? arguments[2] : "hash",
                arguments.size() > 3 ? arguments[3] : "");
  ::_exit(97);
}

}  // namespace sluice::testing
