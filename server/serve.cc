#include "server/serve.h"

#include "base/clock.h"
#include "client/terminal_text.h"
#include "server/heap.h"
#include "server/log_sink.h"
#include "server/server.h"
#include "server/start_display.h"
#include "server/time_slices.h"
#include "worker/signals.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace sluice {
namespace {

int fail(ExitCode code, const std::string& message) {
  fmt::print(stderr, "sluice: {}\n", shown_text(message));
  return static_cast<int>(code);
}

/// The signals the main thread waits for; blocked everywhere else.
class Signals {
 public:
  Signals() {
    sigset_t strays = stray_signals();
    sigset_t orders = orders_to_end();
    sigorset(&set_, &strays, &orders);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
  }

  /// Waits for a signal that ends the server: SIGTERM or SIGINT. None: the time passed without one,
  /// or another signal came.
  std::optional<int> wait(Duration timeout) {
    auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    timespec time{seconds.count(), (timeout - seconds).count()};
    int signal = sigtimedwait(&set_, nullptr, &time);
    if (signal == SIGTERM || signal == SIGINT) return signal;
    if (signal == SIGHUP) wants_reload_ = true;
    if (signal == SIGHUP) return std::nullopt;
    if (signal > 0) spdlog::warn("signal {} is ignored", signal);
    return std::nullopt;
  }

  /// Whether SIGHUP has come since this was asked last.
  bool take_reload() { return std::exchange(wants_reload_, false); }

 private:
  sigset_t set_;
  bool wants_reload_ = false;
};

/// While this lives, the end of the program says in words what it means: libraries that start
/// several threads end it when the system refuses one.
class SaysWhyItEnds {
 public:
  SaysWhyItEnds() : before_(std::set_terminate(say)) {}
  ~SaysWhyItEnds() { std::set_terminate(before_); }
  SaysWhyItEnds(const SaysWhyItEnds&) = delete;
  SaysWhyItEnds& operator=(const SaysWhyItEnds&) = delete;

 private:
  [[noreturn]] static void say() {
    for (std::string_view part :
         {std::string_view("sluice: "), kCannotGoOn, std::string_view("\n")})
      (void)!::write(STDERR_FILENO, part.data(), part.size());
    ::_exit(static_cast<int>(ExitCode::internal));
  }

  std::terminate_handler before_;
};

/// When the data port last had a client, as far as looks at its counts can tell.
class LastClient {
 public:
  explicit LastClient(TimePoint now) : at_(now) {}

  void look(const ListenerStats& stats, TimePoint now) {
    bool is_there = stats.connections > 0 || stats.accepted != accepted_;
    accepted_ = stats.accepted;
    if (is_there) at_ = now;
  }
  [[nodiscard]] TimePoint at() const { return at_; }

 private:
  TimePoint at_;
  std::uint64_t accepted_ = 0;
};

constexpr Duration kPoll = std::chrono::milliseconds(20);
constexpr Duration kLastWords = std::chrono::seconds(1);

/// Whoever waits for the file reads it at once, so it appears with its line in it. What is no file,
/// such as a pipe or a device, stays what it is.
void write_ready_file(const std::string& path, const std::string& line) {
  namespace fs = std::filesystem;
  std::error_code failed;
  const bool is_file = !fs::exists(path, failed) || fs::is_regular_file(path, failed);
  const std::string part = is_file ? path + ".part" : path;
  const int flags = is_file ? O_CREAT | O_TRUNC : O_NONBLOCK;  // a pipe may have no reader
  const int file = ::open(part.c_str(), O_WRONLY | O_CLOEXEC | flags, 0644);
  bool written = file >= 0 && ::write(file, line.data(), line.size()) == std::ssize(line);
  failed = {written ? 0 : errno, std::generic_category()};
  if (file >= 0) ::close(file);
  if (written && is_file) fs::rename(part, path, failed);
  if (failed) spdlog::error("--ready-file {}: {}", path, failed.message());
}

///   chats  whether the default model can be told a conversation
void announce(const ServeOptions& options,
              const std::string& line,
              const std::string& address,
              bool chats) {
  constexpr std::string_view kChat =
      R"(chat/completions -H 'Content-Type: application/json' -d '{"messages":[{"role":"user",)"
      R"("content":"What is the capital of France?"}],"max_tokens":64,"stream":true}')";
  constexpr std::string_view kCompletion =
      R"(completions -H 'Content-Type: application/json' -d '{"prompt":"In the beginning",)"
      R"("max_tokens":64,"stream":true}')";
  fmt::print("{}\ntry: curl -N http://{}/v1/{}\n", line, address, chats ? kChat : kCompletion);
  std::fflush(stdout);
  if (!options.ready_file.empty()) write_ready_file(options.ready_file, line + "\n");
}

/// Waits until `done`, a second signal or the time limit. Returns what happened.
enum class Waited { done, signal, time };
template <class Done>
Waited wait_until(Signals& signals, const Clock& clock, Duration limit, Done done) {
  TimePoint end = clock.now() + limit;
  while (!done()) {
    if (signals.wait(kPoll)) return Waited::signal;
    if (clock.now() >= end) return Waited::time;
  }
  return Waited::done;
}

/// Readiness fails at once, and then what runs may end.
///   SIGTERM   first goes on accepting for a while, for whoever sends clients here does not know
///   yet;
///             but not if nobody has been here for so long
///   SIGINT    somebody sits at the terminal and waits
ExitCode drain(
    const ServeOptions& options, Server& server, Signals& signals, int signal, LastClient& client) {
  SystemClock clock;
  spdlog::info("shutting down: {} requests are running", server.sessions());
  server.stop_being_ready();
  auto deserted = [&] {
    client.look(server.clients(), clock.now());
    return clock.now() - client.at() >= options.drain_delay;
  };
  if (signal == SIGTERM && options.drain_delay > Duration::zero()) {
    switch (wait_until(signals, clock, options.drain_delay, deserted)) {
      case Waited::done:
        spdlog::info("nobody has been connected for the length of the drain delay: not waiting");
        break;
      case Waited::signal:
        return ExitCode::interrupted;
      case Waited::time:
        break;
    }
  }
  server.drain();
  switch (wait_until(signals, clock, options.drain_timeout, [&] { return server.idle(); })) {
    case Waited::done:
      return ExitCode::success;
    case Waited::signal:
      return ExitCode::interrupted;
    case Waited::time:
      break;
  }
  spdlog::warn("{} requests did not end in time and are ended with an error", server.sessions());
  server.end_requests();
  // Their last events need a moment to reach the sockets.
  wait_until(signals, clock, kLastWords, [&] { return server.idle(); });
  wait_until(signals, clock, kPoll, [] { return false; });
  return ExitCode::drain_timeout;
}

}  // namespace

int serve(const ServeOptions& options) {
  use_whole_time_slices();
  Signals signals;
  auto sink = std::make_shared<LogSink>(STDERR_FILENO);
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("sluice", sink));
  spdlog::set_level(spdlog::level::from_str(options.log_level));
  std::unique_ptr<Server> server = Server::create(options, sink);
  auto error = [&server] {
    SaysWhyItEnds says;
    return server->start();
  }();
  if (error) {
    server->stop();
    return fail(error->code, error->message);
  }
  SystemClock clock;
  std::optional<StartDisplay> display(std::in_place, std::move(sink), clock);
  for (;;) {
    auto state = server->ready();
    if (auto* error = std::get_if<StartError>(&state)) {
      display.reset();
      server->stop();
      return fail(error->code, error->message);
    }
    if (auto* line = std::get_if<std::string>(&state)) {
      display.reset();
      announce(options, *line, server->address(), server->chats());
      break;
    }
    if (auto lane = server->awaited()) display->show(*lane);
    if (signals.wait(kPoll)) {
      display.reset();
      server->stop();
      return static_cast<int>(ExitCode::success);
    }
  }
  LastClient client(clock.now());
  std::optional<int> signal;
  while (!(signal = signals.wait(std::chrono::seconds(1)))) {
    client.look(server->clients(), clock.now());
    let_go_of_old_memory();
    if (signals.take_reload()) server->reload_keys();
    if (server->failed()) {
      server->stop();
      return fail(ExitCode::internal, "the supervision tree gave up; see the log");
    }
  }
  ExitCode code = drain(options, *server, signals, *signal, client);
  server->stop();
  return static_cast<int>(code);
}

}  // namespace sluice
