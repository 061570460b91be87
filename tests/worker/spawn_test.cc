#include "worker/spawn.h"

#include "models/hash/hash_chain.h"
#include "worker/serve.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <fstream>
#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace sluice {
namespace {

/// How long a test waits for what must come; reached only when it fails.
constexpr auto kPatience = std::chrono::seconds(60);

/// Keeps what a worker said until the test asks for it.
class Listener final : public WorkerListener {
 public:
  void on_message(wire::ToFront message) override {
    std::lock_guard guard(mutex_);
    messages_.push_back(std::move(message));
    changed_.notify_all();
  }
  void on_exit(WorkerExit exit) override {
    std::lock_guard guard(mutex_);
    ++exits_;
    exit_ = std::move(exit);
    changed_.notify_all();
  }

  /// The next message that is a `Body`; others before it are dropped.
  template <class Body>
  std::optional<Body> next() {
    std::unique_lock lock(mutex_);
    for (;;) {
      while (!messages_.empty()) {
        wire::ToFront message = std::move(messages_.front());
        messages_.pop_front();
        if (auto* body = std::get_if<Body>(&message)) return std::move(*body);
      }
      if (exit_ || changed_.wait_for(lock, kPatience) == std::cv_status::timeout) return {};
    }
  }
  WorkerExit wait_for_exit() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [this] { return exit_.has_value(); }))
      return {.why = "it still runs"};
    return *exit_;
  }
  std::size_t message_count() {
    std::lock_guard guard(mutex_);
    return messages_.size();
  }
  int exits() {
    std::lock_guard guard(mutex_);
    return exits_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<wire::ToFront> messages_;
  std::optional<WorkerExit> exit_;
  int exits_ = 0;
};

/// Names a process beyond its end. Must be made while it lives.
class ProcessWatch {
 public:
  explicit ProcessWatch(std::int64_t pid)
      : fd_(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0))) {}
  ~ProcessWatch() { ::close(fd_); }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  [[nodiscard]] bool ends() const {
    pollfd end{.fd = fd_, .events = POLLIN, .revents = 0};
    auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(kPatience).count();
    return ::poll(&end, 1, static_cast<int>(ms)) == 1;
  }

 private:
  int fd_;
};

class Spawn : public ::testing::Test {
 protected:
  std::unique_ptr<WorkerLink> launch(std::vector<std::string> arguments) {
    auto link = launcher->launch({"/proc/self/exe", std::move(arguments)}, listener);
    if (!link) {
      ADD_FAILURE() << link.error().message;
      return nullptr;
    }
    return *std::move(link);
  }

  static wire::Start start_of(std::vector<TokenId> prompt, std::uint64_t id = 1) {
    wire::Start start;
    start.id.value = id;
    start.plan.prompt = std::move(prompt);
    return start;
  }

  std::unique_ptr<EventLoop> loop = *EventLoop::start("workers");
  std::unique_ptr<WorkerLauncher> launcher = make_process_launcher(*loop);
  std::shared_ptr<Listener> listener = std::make_shared<Listener>();
};

TEST_F(Spawn, CarriesMessagesBothWays) {
  auto link = launch({"echo"});
  auto hello = listener->next<wire::Hello>();
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->pid, link->pid());

  for (TokenId i = 0; i < 100; ++i)
    link->send(start_of({i, i + 1}));

  for (TokenId i = 0; i < 100; ++i) {
    auto tokens = listener->next<wire::Tokens>();
    ASSERT_TRUE(tokens);
    EXPECT_EQ(tokens->outputs.at(0).tokens, (std::vector<TokenId>{i, i + 1}));
  }
}

TEST_F(Spawn, CarriesAMessageLargerThanTheSocketsBuffer) {
  auto link = launch({"echo"});
  std::vector<TokenId> prompt(2'000'000);
  for (std::size_t i = 0; i < prompt.size(); ++i)
    prompt[i] = static_cast<TokenId>(i);

  link->send(start_of(prompt));

  auto tokens = listener->next<wire::Tokens>();
  ASSERT_TRUE(tokens);
  EXPECT_EQ(tokens->outputs.at(0).tokens, prompt);
  EXPECT_EQ(link->backlog_bytes(), 0u);
}

TEST_F(Spawn, TellsTheExitCode) {
  auto link = launch({"exit", "42"});

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.status, 42);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_EQ(exit.why, "exited with code 42");
  EXPECT_FALSE(exit.outside);
  EXPECT_FALSE(exit.killed_by_us);
}

TEST_F(Spawn, HearsTheLastWordsBeforeTheExit) {
  auto link = launch({"last_words"});

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.status, 6);
  EXPECT_EQ(listener->message_count(), 1001u);
}

TEST_F(Spawn, LeavesNoZombie) {
  auto link = launch({"exit", "0"});
  listener->wait_for_exit();

  int status = 0;
  EXPECT_EQ(::waitpid(static_cast<pid_t>(link->pid()), &status, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(Spawn, SeesAKillFromOutside) {
  auto link = launch({"echo"});
  ASSERT_TRUE(listener->next<wire::Hello>());

  ::kill(static_cast<pid_t>(link->pid()), SIGKILL);

  WorkerExit exit = listener->wait_for_exit();
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.why, "killed by signal 9");
  EXPECT_TRUE(exit.outside);
  EXPECT_FALSE(exit.killed_by_us);
}

TEST_F(Spawn, BlamesNobodyInsideForAKillFromOutsideThatItNoticesLate) {
  auto link = launch({"echo"});
  ASSERT_TRUE(listener->next<wire::Hello>());
  ProcessWatch watch(link->pid());
  std::promise<void> awake;
  loop->post([sleep = awake.get_future().share()] { sleep.wait(); });

  ::kill(static_cast<pid_t>(link->pid()), SIGKILL);
  EXPECT_TRUE(watch.ends());
  link->kill();  // too late
  awake.set_value();

  WorkerExit exit = listener->wait_for_exit();
  EXPECT_TRUE(exit.outside);
  EXPECT_FALSE(exit.killed_by_us);
}

TEST_F(Spawn, KillsEvenAStoppedWorker) {
  auto link = launch({"echo"});
  ASSERT_TRUE(listener->next<wire::Hello>());
  ::kill(static_cast<pid_t>(link->pid()), SIGSTOP);

  link->kill();

  WorkerExit exit = listener->wait_for_exit();
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_TRUE(exit.killed_by_us);
  EXPECT_FALSE(exit.outside);
}

TEST_F(Spawn, KnowsWhetherAWorkerIsStopped) {
  auto link = launch({"echo"});
  ASSERT_TRUE(listener->next<wire::Hello>());
  EXPECT_FALSE(link->is_stopped());
  auto pid = static_cast<pid_t>(link->pid());
  siginfo_t info{};

  ::kill(pid, SIGSTOP);
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED | WNOWAIT), 0);
  EXPECT_TRUE(link->is_stopped());
  EXPECT_TRUE(link->is_stopped()) << "however often one looks";

  ::kill(pid, SIGCONT);
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WCONTINUED | WNOWAIT), 0);
  EXPECT_FALSE(link->is_stopped());

  link->kill();
  listener->wait_for_exit();
  EXPECT_FALSE(link->is_stopped());
}

TEST_F(Spawn, TakesASignalOfItsOwnFaultForItsOwn) {
  auto link = launch({"raise", std::to_string(SIGABRT)});

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.signal, SIGABRT);
  EXPECT_FALSE(exit.outside);
  EXPECT_FALSE(exit.killed_by_us);
}

TEST_F(Spawn, DoesNotBlameOthersForWhatTheKernelEndedForMemory) {
  std::string vmstat = ::testing::TempDir() + "vmstat." + std::to_string(::getpid());
  std::ofstream(vmstat) << "pgfault 5\noom_kill 7\n";
  launcher = make_process_launcher(*loop, {.vmstat = vmstat});
  auto link = launch({"echo"});
  ASSERT_TRUE(listener->next<wire::Hello>());

  std::ofstream(vmstat) << "pgfault 5\noom_kill 8\n";
  ::kill(static_cast<pid_t>(link->pid()), SIGKILL);

  WorkerExit exit = listener->wait_for_exit();
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_FALSE(exit.outside);
  EXPECT_FALSE(exit.killed_by_us);
  std::remove(vmstat.c_str());
}

TEST_F(Spawn, KillsAWorkerThatClosesItsLink) {
  auto link = launch({"close"});

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.why, "closed its link");
}

TEST_F(Spawn, KillsAWorkerWhoseFrameCannotBeRead) {
  auto link = launch({"raw", "00000002c1c1"});

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.why.find("sent a broken frame: "), 0u) << exit.why;
}

TEST_F(Spawn, KillsAWorkerWhoseFrameIsTooLongBeforeItArrives) {
  auto link = launch({"raw", "7fffffff"});

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_NE(exit.why.find("2147483647"), std::string::npos) << exit.why;
}

TEST_F(Spawn, CountsWhatTheWorkerHasNotRead) {
  auto link = launch({"deaf"});
  EXPECT_EQ(link->backlog_bytes(), 0u);

  for (int i = 0; i < 10; ++i)
    link->send(start_of(std::vector<TokenId>(100'000, 7)));

  EXPECT_GE(link->backlog_bytes(), 4'000'000u);
}

TEST_F(Spawn, KillsAWorkerThatDoesNotRead) {
  launcher = make_process_launcher(*loop, {.backlog_bytes_max = 1'000'000});
  auto link = launch({"deaf"});

  for (int i = 0; i < 10; ++i)
    link->send(start_of(std::vector<TokenId>(100'000, 7)));

  WorkerExit exit = listener->wait_for_exit();
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.why.find("does not read: "), 0u) << exit.why;
}

TEST_F(Spawn, SaysThatAProgramIsMissing) {
  auto link = launcher->launch({"/nonexistent/sluice", {}}, listener);

  ASSERT_FALSE(link);
  EXPECT_EQ(link.error().code, ErrorCode::not_found);
  EXPECT_NE(link.error().message.find("/nonexistent/sluice"), std::string::npos);
  EXPECT_EQ(listener->exits(), 0);
}

TEST_F(Spawn, GivesTheWorkerItsLinkAndNothingElse) {
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGCHLD);
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  auto link = launch({"report"});
  ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
  ::signal(SIGPIPE, SIG_DFL);

  link->send(wire::Stop{});

  auto report = listener->next<wire::Bye>();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->message, "fds 0 1 2 3 chld 0 pipe default group own oom 500");
}

TEST_F(Spawn, KillsTheWorkerWhenTheLinkIsDestroyed) {
  auto link = launch({"echo"});
  ASSERT_TRUE(listener->next<wire::Hello>());
  ProcessWatch watch(link->pid());

  link.reset();

  EXPECT_TRUE(watch.ends());
  launcher.reset();
  EXPECT_EQ(listener->exits(), 0) << "nobody listens any more";
}

TEST_F(Spawn, KillsAllWorkersWhenTheLauncherIsDestroyed) {
  auto first = launch({"echo"});
  auto second = launch({"deaf"});
  ProcessWatch watch(second->pid());

  launcher.reset();

  EXPECT_TRUE(watch.ends());
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "no child is left";
}

TEST_F(Spawn, StartsManyAtOnceFromManyThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> ended = 0;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 8; ++n) {
        auto ears = std::make_shared<Listener>();
        auto link = launcher->launch({"/proc/self/exe", {"exit", "7"}}, ears);
        ASSERT_TRUE(link) << link.error().message;
        if (ears->wait_for_exit().status == 7) ++ended;
        EXPECT_EQ(ears->exits(), 1);
      }
    });
  }
  for (auto& thread : threads)
    thread.join();

  EXPECT_EQ(ended, 32);
}

// --- the real worker -----------------------------------------------------------------------------

TEST_F(Spawn, RunsARealWorkerFromHelloToBye) {
  auto link = launch({"real", std::to_string(::getpid())});
  auto hello = listener->next<wire::Hello>();
  ASSERT_TRUE(hello);
  EXPECT_EQ(hello->protocol, wire::kProtocolVersion);
  EXPECT_EQ(hello->pid, link->pid());
  EXPECT_EQ(listener->next<wire::Phase>()->name, wire::Phase::Name::load);
  EXPECT_EQ(listener->next<wire::Phase>()->name, wire::Phase::Name::warm_up);
  EXPECT_EQ(listener->next<wire::Phase>()->name, wire::Phase::Name::self_test);
  auto ready = listener->next<wire::Ready>();
  ASSERT_TRUE(ready);
  EXPECT_EQ(ready->slots, 8u);
  EXPECT_EQ(ready->blocks, 256u);
  EXPECT_EQ(ready->block_tokens, 16u);
  EXPECT_EQ(ready->architecture, "hash");
  EXPECT_EQ(ready->vocabulary, kHashVocabulary);
  EXPECT_NE(ready->golden, 0u);

  wire::Start start = start_of({104, 105});
  start.plan.max_tokens = 50;
  link->send(start);
  std::vector<TokenId> got;
  while (got.size() < 50) {
    auto tokens = listener->next<wire::Tokens>();
    ASSERT_TRUE(tokens);
    for (const auto& output : tokens->outputs)
      got.insert(got.end(), output.tokens.begin(), output.tokens.end());
  }
  HashChain chain(start.plan.prompt);
  for (TokenId token : got)
    EXPECT_EQ(token, chain.advance());
  ASSERT_TRUE(listener->next<wire::Heartbeat>());

  link->send(wire::Stop{});
  EXPECT_EQ(listener->wait_for_exit().status, static_cast<int>(WorkerEnd::stopped));
}

TEST_F(Spawn, HearsWhyARealWorkerCannotLoad) {
  auto link = launch({"real", std::to_string(::getpid()), "/nonexistent/model"});

  auto bye = listener->next<wire::Bye>();

  ASSERT_TRUE(bye);
  EXPECT_NE(bye->code, ErrorCode::none);
  EXPECT_NE(bye->message.find("/nonexistent/model"), std::string::npos) << bye->message;
  EXPECT_EQ(listener->wait_for_exit().status, static_cast<int>(WorkerEnd::start_failed));
}

TEST_F(Spawn, ARealWorkerRefusesAParentThatIsNotItsOwn) {
  auto link = launch({"real", "1"});

  EXPECT_EQ(listener->wait_for_exit().status, static_cast<int>(WorkerEnd::orphaned));
}

TEST_F(Spawn, ARealWorkerLeavesItsEndToTheFront) {
  auto link = launch({"real", std::to_string(::getpid())});
  ASSERT_TRUE(listener->next<wire::Hello>());

  for (int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGRTMIN})
    ::kill(static_cast<pid_t>(link->pid()), signal);

  ASSERT_TRUE(listener->next<wire::Ready>());
  link->send(wire::Stop{});
  WorkerExit exit = listener->wait_for_exit();
  EXPECT_EQ(exit.signal, 0);
  EXPECT_EQ(exit.status, static_cast<int>(WorkerEnd::stopped));
}

// A front that is killed takes its workers with it, by their death signal or the end of their link.
TEST_F(Spawn, ARealWorkerDiesWithItsFront) {
  auto front = launch({"front"});
  auto hello = listener->next<wire::Hello>();
  ASSERT_TRUE(hello);
  ASSERT_NE(hello->pid, front->pid());
  ASSERT_TRUE(listener->next<wire::Ready>());
  ProcessWatch worker(hello->pid);
  ASSERT_TRUE(worker.valid());

  front->kill();

  EXPECT_TRUE(worker.ends());
}

// --- faults in real processes --------------------------------------------------------------------

class SpawnWithFaults : public Spawn {
 protected:
  /// A worker that serves and fails as planned, with a long sequence running.
  std::unique_ptr<WorkerLink> serve(const std::string& faults) {
    auto link = launch({"real", std::to_string(::getpid()), "hash", faults});
    EXPECT_TRUE(listener->next<wire::Ready>()) << faults;
    wire::Start start = start_of({104, 105});
    start.plan.max_tokens = 3000;
    link->send(start);
    return link;
  }

  /// All tokens that came before the end.
  std::vector<TokenId> tokens_until_the_end() {
    std::vector<TokenId> got;
    while (auto tokens = listener->next<wire::Tokens>())
      for (const auto& output : tokens->outputs)
        got.insert(got.end(), output.tokens.begin(), output.tokens.end());
    return got;
  }

  static void expect_right(const std::vector<TokenId>& tokens) {
    HashChain chain(std::vector<TokenId>{104, 105});
    for (TokenId token : tokens)
      ASSERT_EQ(token, chain.advance());
  }
};

TEST_F(SpawnWithFaults, EndsWithTheCodeAtTheStep) {
  auto link = serve("exit(70)@step=100");

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.status, 70);
  EXPECT_FALSE(exit.outside);
  EXPECT_EQ(tokens_until_the_end().size(), 99U);
}

TEST_F(SpawnWithFaults, BlamesASignalOfItsOwnOnTheWorker) {
  auto link = serve("raise(6)@step=3");

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.signal, SIGABRT);
  EXPECT_FALSE(exit.outside);
}

TEST_F(SpawnWithFaults, LeavesTheStepOfAHangAgeingUnderALivingHeartbeat) {
  auto link = serve("hang@step=50");

  std::int64_t age = 0;
  while (age < 100) {
    auto beat = listener->next<wire::Heartbeat>();
    ASSERT_TRUE(beat);
    age = beat->step_age_ms;
    if (age > 0) {
      EXPECT_EQ(beat->step_rows, 1U);
    }
  }
  link->kill();

  EXPECT_TRUE(listener->wait_for_exit().killed_by_us);
}

TEST_F(SpawnWithFaults, TellsInItsBeatsWhatItLeaks) {
  auto link = launch({"real",
                      std::to_string(::getpid()),
                      "hash",
                      "leak(30)@step=20..21; leak_threads(5)@step=21; hang@step=22"});
  std::optional<wire::Heartbeat> beat;
  do {
    beat = listener->next<wire::Heartbeat>();
    ASSERT_TRUE(beat);
  } while (beat->descriptors == 0);
  std::uint32_t descriptors = beat->descriptors;
  std::uint32_t threads = beat->threads;
  EXPECT_GE(descriptors, 4U) << "three standard ones and the link";
  EXPECT_GE(threads, 2U) << "one computes, one beats";

  wire::Start start = start_of({104, 105});
  start.plan.max_tokens = 3000;
  link->send(start);
  // The step after the leaks never ends; when it is a second old they have been counted.
  while (beat->step_age_ms < 1000) {
    beat = listener->next<wire::Heartbeat>();
    ASSERT_TRUE(beat);
  }

  EXPECT_EQ(beat->descriptors, descriptors + 60);
  EXPECT_EQ(beat->threads, threads + 5);
  link->kill();
  EXPECT_TRUE(listener->wait_for_exit().killed_by_us);
}

TEST_F(SpawnWithFaults, RefusesAFlippedBit) {
  auto link = serve("flip@frame=40");

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.why.find("sent a broken frame: a frame of "), 0U) << exit.why;
  EXPECT_NE(exit.why.find("wrong checksum, after frame 39"), std::string::npos) << exit.why;
  EXPECT_TRUE(exit.killed_by_us);
  expect_right(tokens_until_the_end());
}

TEST_F(SpawnWithFaults, RefusesATruncatedAndALateFrame) {
  auto link = serve("truncate@frame=40");
  EXPECT_EQ(listener->wait_for_exit().why.find("sent a broken frame: "), 0U);

  listener = std::make_shared<Listener>();
  link = serve("reorder@frame=40");
  EXPECT_EQ(listener->wait_for_exit().why, "sent a broken frame: frame 41 after 39");
  expect_right(tokens_until_the_end());
}

TEST_F(SpawnWithFaults, RefusesAbsurdFramesAtOnce) {
  auto link = serve("huge@frame=40");
  std::string why = listener->wait_for_exit().why;
  EXPECT_EQ(why.find("sent a broken frame: a frame of 21307"), 0U) << why;

  listener = std::make_shared<Listener>();
  link = serve("deep@frame=40");
  EXPECT_EQ(listener->wait_for_exit().why,
            "sent a broken frame: msgpack: nesting that is too deep");
  expect_right(tokens_until_the_end());
}

TEST_F(SpawnWithFaults, ReadsWhatComesByteByByte) {
  auto link = serve("slice_link@step=5; exit(0)@step=200");

  EXPECT_EQ(listener->wait_for_exit().why, "exited with code 0");
  std::vector<TokenId> tokens = tokens_until_the_end();
  EXPECT_EQ(tokens.size(), 199U);
  expect_right(tokens);
}

TEST_F(SpawnWithFaults, IgnoresADoubledFrame) {
  auto link = serve("double@frame=10..60; exit(0)@step=200");

  EXPECT_EQ(listener->wait_for_exit().why, "exited with code 0");
  std::vector<TokenId> tokens = tokens_until_the_end();
  EXPECT_EQ(tokens.size(), 199U);
  expect_right(tokens);
}

TEST_F(SpawnWithFaults, SaysNothingBetweenAStickyErrorAndItsEnd) {
  auto link = serve("device_lost(3)@step=20");

  WorkerExit exit = listener->wait_for_exit();

  EXPECT_EQ(exit.status, static_cast<int>(WorkerEnd::device_lost));
  std::vector<TokenId> tokens = tokens_until_the_end();
  EXPECT_EQ(tokens.size(), 19U);
  expect_right(tokens);
}

TEST_F(SpawnWithFaults, FallsSilentOnAStalledLink) {
  auto link = serve("stall_link@step=20");

  std::vector<TokenId> got;
  while (got.size() < 19) {
    auto tokens = listener->next<wire::Tokens>();
    ASSERT_TRUE(tokens);
    got.insert(got.end(), tokens->outputs[0].tokens.begin(), tokens->outputs[0].tokens.end());
  }
  link->kill();

  EXPECT_TRUE(listener->wait_for_exit().killed_by_us);
  EXPECT_FALSE(listener->next<wire::Tokens>());
}

TEST_F(SpawnWithFaults, StopsAndGoesOnLikeAProcessThatSomebodyStopped) {
  auto link = serve("stop@step=30; exit(9)@step=60");
  siginfo_t info{};
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(link->pid()), &info, WSTOPPED), 0);

  ::kill(static_cast<pid_t>(link->pid()), SIGCONT);

  EXPECT_EQ(listener->wait_for_exit().status, 9);
  EXPECT_EQ(tokens_until_the_end().size(), 59U);
}

TEST_F(SpawnWithFaults, CrashesWhileItLoads) {
  auto link = launch({"real", std::to_string(::getpid()), "hash", "exit(6)@load"});

  EXPECT_EQ(listener->wait_for_exit().status, 6);
  EXPECT_FALSE(listener->next<wire::Ready>());
}

}  // namespace
}  // namespace sluice
