// crowd: very many requests in one server process at once, from clients in that process.
#include "base/hash.h"
#include "bench/overload/arrivals.h"
#include "bench/overload/crowd_clients.h"
#include "bench/overload/crowd_report.h"
#include "bench/overload/crowd_server.h"
#include "metrics/process_figures.h"
#include "server/heap.h"
#include "server/options.h"
#include "server/worker_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace sluice;
using namespace sluice::overload;

constexpr int kUsage = 2;
constexpr int kBroken = 1;  ///< some request did not end exactly once

struct Arguments {
  std::size_t requests = 150'000;
  double over_s = 0;
  std::size_t threads = 2;
  std::uint32_t prompt_chars = 200;
  std::uint32_t tokens = 8;
  double stream = 0.5;
  std::uint64_t seed = 1;
  double stall_s = 60;
  std::string json;
};

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--requests", arguments.requests, "That are to be inside at once, or to arrive")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--over",
                 arguments.over_s,
                 "Seconds in which so many arrive, by a Poisson process; 0: as fast as they can be "
                 "asked, until so many are inside at once")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  app.add_option("--threads", arguments.threads, "That ask")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--prompt-chars", arguments.prompt_chars, "Of each prompt")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  app.add_option("--max-tokens", arguments.tokens, "Of each answer")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--stream", arguments.stream, "The part of requests that stream")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--seed", arguments.seed, "Of prompts and arrivals")->capture_default_str();
  app.add_option("--stall", arguments.stall_s, "Seconds without an end after which it gives up")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  app.add_option("--json", arguments.json, "Write all figures into this file");
}

/// The bodies of the requests: as many different ones as there are numbers.
class Bodies {
 public:
  explicit Bodies(const Arguments& arguments) : stream_(arguments.stream), seed_(arguments.seed) {
    constexpr std::size_t kNumberChars = 16;
    while (filler_.size() + kNumberChars < arguments.prompt_chars)
      filler_ += "and so the river ran on to the sea, ";
    filler_.resize(std::max<std::size_t>(arguments.prompt_chars, kNumberChars) - kNumberChars);
    end_ = fmt::format(R"(","seed":1,"ignore_eos":true,"max_tokens":{})", arguments.tokens);
  }

  [[nodiscard]] std::string make(std::uint64_t number) const {
    std::uint64_t chance = mix64(seed_ ^ mix64(number));
    bool streams = static_cast<double>(chance >> 11) * 0x1.0p-53 < stream_;
    return fmt::format(R"({{"prompt":"{:016x}{}{}{})",
                       chance,
                       filler_,
                       end_,
                       streams ? R"(,"stream":true})" : "}");
  }

 private:
  double stream_;
  std::uint64_t seed_;
  std::string filler_;
  std::string end_;
};

double seconds_since(TimePoint start) {
  return std::chrono::duration<double>(SystemClock().now() - start).count();
}

/// That this process has used, in hundredths.
double cpu_seconds() {
  auto figures = read_process_figures();
  return figures ? figures->cpu_seconds : 0;
}

/// Asks one after the other, each at its time, or without a pause until enough are inside.
class Asker {
 public:
  Asker(CrowdServer& server, CrowdClients& clients, const Bodies& bodies)
      : server_(server), clients_(clients), bodies_(bodies) {}

  /// At the moments of `arrivals`, from `start` on.
  void arrive(TimePoint start, Arrivals arrivals) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    TimePoint due;
    do {
      due = start + arrivals.next();
      if (SystemClock().now() < due) never.wait_until(lock, due, [] { return false; });
    } while (ask(due));
  }

  void fill(std::size_t inside) {
    while (clients_.inside() < inside && ask(SystemClock().now())) {
    }
  }

 private:
  bool ask(TimePoint due) {
    auto exchange = clients_.begin(due);
    if (!exchange) return false;
    server_.ask(bodies_.make(next_.fetch_add(1)), std::move(exchange));
    return true;
  }

  CrowdServer& server_;
  CrowdClients& clients_;
  const Bodies& bodies_;
  std::atomic<std::uint64_t> next_{0};
};

/// Waits until `done`, or until nothing is inside any more, or nothing has ended for too long.
template <class Done>
void await(const CrowdServer& server, CrowdClients& clients, double stall_s, Done done) {
  constexpr Duration kLook = std::chrono::milliseconds(20);
  std::size_t ended = clients.ended();
  TimePoint since = SystemClock().now();
  while (!done() && clients.inside() > 0 && server.failure().empty() &&
         seconds_since(since) < stall_s) {
    clients.wait(kLook);
    if (ended != clients.ended()) since = SystemClock().now();
    ended = clients.ended();
  }
}

bool await_ready(const CrowdServer& server) {
  constexpr double kPatienceS = 60;
  CrowdClients nobody(0);
  TimePoint start = SystemClock().now();
  while (!server.ready()) {
    if (!server.failure().empty() || seconds_since(start) > kPatienceS) return false;
    nobody.wait(std::chrono::milliseconds(20));
  }
  return true;
}

/// What is made when it is first needed is there before anything is measured.
void warm_up(CrowdServer& server, const Arguments& arguments) {
  constexpr std::size_t kRequests = 256;
  CrowdClients clients(kRequests);
  Bodies bodies(arguments);
  Asker(server, clients, bodies).fill(kRequests);
  await(server, clients, arguments.stall_s, [] { return false; });
}

CrowdResult crowd(CrowdServer& server, const Arguments& arguments) {
  // Who ends while others are still asked is replaced by another one.
  const bool fills = arguments.over_s == 0;
  CrowdClients clients(fills ? 2 * arguments.requests : arguments.requests);
  Bodies bodies(arguments);
  Asker asker(server, clients, bodies);
  CrowdResult result;
  result.before = CrowdMemory::now();
  const double cpu_s = cpu_seconds();
  const std::uint64_t decided = server.decided();
  TimePoint start = SystemClock().now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < arguments.threads; ++i) {
      threads.emplace_back([&, i] {
        if (fills) return asker.fill(arguments.requests);
        LoadCurve curve;
        curve.rate = static_cast<double>(arguments.requests) / arguments.over_s /
                     static_cast<double>(arguments.threads);
        asker.arrive(start, Arrivals(curve, mix64(arguments.seed) + i));
      });
    }
  }
  result.arrival_s = seconds_since(start);
  // What is inside is measured when it is where it waits, and not on its way there.
  await(server, clients, arguments.stall_s, [&] {
    return server.decided() - decided >= clients.begun() && server.holds(clients.inside());
  });
  result.decided_s = seconds_since(start);
  result.inside_count = clients.inside();
  result.inside = CrowdMemory::now();
  result.worker_memory = server.worker_memory();
  result.peak_resident = result.inside.resident;
  await(server, clients, arguments.stall_s, [&result] {
    if (auto memory = read_resident_memory())
      result.peak_resident = std::max(result.peak_resident, memory->all());
    return false;
  });
  result.total_s = seconds_since(start);
  result.cpu_s = cpu_seconds() - cpu_s;
  result.after = CrowdMemory::now();
  // As the server does in the seconds after a crowd is gone.
  TimePoint ended = SystemClock().now();
  give_memory_back();
  result.giving_back_ms = 1000 * seconds_since(ended);
  result.given_back = CrowdMemory::now();
  result.figures = clients.tell();
  result.most_inside = clients.most_inside();
  result.faults = clients.faults();
  result.restarts = server.restarts();
  return result;
}

int run(const Arguments& arguments, const ServeOptions& options) {
  CrowdServer server(options);
  if (auto started = server.start(); !started) {
    fmt::print(stderr, "crowd: {}\n", started.error().message);
    return kUsage;
  }
  if (!await_ready(server)) {
    fmt::print(stderr, "crowd: the lanes are not ready: {}\n", server.failure());
    return kBroken;
  }
  warm_up(server, arguments);
  CrowdResult result = crowd(server, arguments);
  fmt::print("{}", crowd_table(result));
  std::fflush(stdout);
  if (!arguments.json.empty()) {
    std::ofstream file(arguments.json);
    file << crowd_json(result) << std::flush;
    if (!file) {
      fmt::print(stderr, "crowd: cannot write {}\n", arguments.json);
      return kBroken;
    }
  }
  return result.is_sound() ? 0 : kBroken;
}

/// The options of the server, which stand behind "--".
std::optional<ServeOptions> read_serve_options(char* program, std::vector<std::string> words) {
  std::string serve = "serve";
  std::vector<char*> argv{program, serve.data()};
  for (std::string& word : words)
    argv.push_back(word.data());
  auto line = parse_command_line(static_cast<int>(argv.size()), argv.data());
  return line.serve;
}

}  // namespace

int main(int argc, char** argv) {
  // Its own workers: a process of the server starts them from the binary that runs.
  if (argc > 1 && std::string_view(argv[1]) == "worker") {
    auto line = parse_command_line(argc, argv);
    return line.worker ? run_worker(*line.worker) : line.exit.value_or(kUsage);
  }
  CLI::App app(
      "Very many requests in one server process at once, from clients in that process: no "
      "sockets. What stands behind -- are options of `sluice serve`.");
  Arguments arguments;
  std::vector<std::string> serve;
  add_options(app, arguments);
  app.add_option("serve", serve, "Options of the server");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  auto options = read_serve_options(argv[0], serve);
  if (!options) return kUsage;
  ::signal(SIGPIPE, SIG_IGN);
  spdlog::set_level(spdlog::level::from_str(options->log_level));
  return run(arguments, *options);
}
