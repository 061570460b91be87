// load_generator: offers requests to a server at times that the server has no influence on.
#include "bench/overload/generator.h"
#include "bench/overload/report.h"

#include <CLI/CLI.hpp>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

using namespace sluice;
using namespace sluice::overload;

constexpr int kUsage = 2;

Duration from_seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

/// What the command line says, before it is understood.
struct Arguments {
  std::string address = "127.0.0.1:8000";
  std::string shape = "poisson";
  std::vector<std::string> clients;
  std::string mix;
  std::string trace;
  std::string json;
  double duration = 10;
  double drain = 10;
  bool each_second = false;
};

void add_options(CLI::App& app, Arguments& arguments, GeneratorOptions& options) {
  LoadCurve& curve = options.curve;
  app.add_option("address", arguments.address, "The server, as 127.0.0.1:8000 or [::1]:8000");
  app.add_option("--path", options.path, "What is asked for")->capture_default_str();
  app.add_option("--model", options.model, "Default: the server's first");
  app.add_option("--client", arguments.clients, "A kind of clients: FIELD=VALUE,... Again for more")
      ->allow_extra_args(false);
  app.add_option("--mix", arguments.mix, "A file of kinds in TOML");
  app.add_option("--arrivals", arguments.shape, "poisson, step, sine, square or burst")
      ->capture_default_str();
  app.add_option("--trace",
                 arguments.trace,
                 "Replay a file in place of them: seconds,tenant,class,prompt_chars,max_tokens");
  app.add_option("--rate", curve.rate, "Requests a second; the lower rate of curves")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  app.add_option("--factor", curve.factor, "The higher rate of curves, by the lower one")
      ->check(CLI::Range(1.0, 1000.0))
      ->capture_default_str();
  app.add_option("--at", curve.at_s, "When a step begins, in seconds")->capture_default_str();
  app.add_option("--until", curve.until_s, "When it ends; default: never");
  app.add_option("--period", curve.period_s, "Seconds of a wave, or from burst to burst")
      ->check(CLI::Range(0.001, 1e6))
      ->capture_default_str();
  app.add_option("--burst", curve.burst, "Requests of a burst")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of all chance")->capture_default_str();
  app.add_option("--duration", arguments.duration, "Seconds of arrivals")
      ->check(CLI::Range(0.1, 86'400.0))
      ->capture_default_str();
  app.add_option("--skip", options.skip_s, "Seconds at the beginning that sums leave out")
      ->capture_default_str();
  app.add_option("--drain", arguments.drain, "Seconds that requests may take to end after them")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  app.add_option("--connections", options.connections_max, "Open connections")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--requests", options.requests_max, "That have not ended; more are dropped")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str();
  app.add_option("--json", arguments.json, "Write all figures into this file");
  app.add_flag("--each-second", arguments.each_second, "Print a line for each second");
}

Result<void> read_clients(const Arguments& arguments, GeneratorOptions& options) {
  if (!arguments.mix.empty()) {
    auto kinds = read_mix(arguments.mix);
    if (!kinds) return kinds.error();
    options.kinds = *kinds;
  }
  for (const std::string& text : arguments.clients) {
    auto kind = parse_client_kind(text);
    if (!kind) return Error{kind.error().code, "--client: " + kind.error().message};
    options.kinds.push_back(*kind);
  }
  if (options.kinds.empty()) options.kinds.emplace_back();
  return {};
}

Result<void> read_address(const std::string& address, GeneratorOptions& options) {
  std::size_t colon = address.rfind(':');
  unsigned port = 0;
  if (colon != std::string::npos) port = static_cast<unsigned>(std::atoi(&address[colon + 1]));
  if (port == 0 || port > 65535)
    return Error{ErrorCode::invalid_argument, "expected ADDRESS:PORT, got " + address};
  options.port = static_cast<std::uint16_t>(port);
  options.host = address.substr(0, colon);
  if (options.host.starts_with('[') && options.host.ends_with(']'))
    options.host = options.host.substr(1, options.host.size() - 2);
  if (options.host == "localhost") options.host = "127.0.0.1";
  return {};
}

/// As many descriptors as the system gives; fewer connections, if that is not enough.
void bound_connections(GeneratorOptions& options) {
  constexpr rlim_t kOwn = 32;  // input and output, the loop
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  getrlimit(RLIMIT_NOFILE, &files);
  rlim_t most = files.rlim_cur > kOwn ? files.rlim_cur - kOwn : 1;
  options.connections_max = std::min<std::size_t>(options.connections_max, most);
}

Result<void> understand(const Arguments& arguments, GeneratorOptions& options) {
  if (auto done = read_address(arguments.address, options); !done) return done;
  if (auto done = read_clients(arguments, options); !done) return done;
  auto shape = parse_shape(arguments.shape);
  if (!shape) return Error{shape.error().code, "--arrivals: " + shape.error().message};
  options.curve.shape = *shape;
  options.duration = from_seconds(arguments.duration);
  options.drain = from_seconds(arguments.drain);
  if (static_cast<std::size_t>(arguments.duration + 1) * options.kinds.size() >
      Statistics::kCellsMax)
    return Error{ErrorCode::invalid_argument,
                 "--duration: the statistics of so many seconds and clients do not fit"};
  if (!arguments.trace.empty()) {
    auto trace = TraceFile::open(arguments.trace, options.kinds);
    if (!trace) return trace.error();
    options.trace = std::move(*trace);
  }
  bound_connections(options);
  return {};
}

int run(const Arguments& arguments, GeneratorOptions options) {
  Generator generator(std::move(options));
  Duration before = used_cpu_time();
  if (auto done = generator.run(); !done) {
    std::fprintf(stderr, "load_generator: %s\n", done.error().message.c_str());
    return kUsage;
  }
  Duration cpu = used_cpu_time() - before;
  std::cout << report_table(generator, cpu, arguments.each_second) << std::flush;
  if (arguments.json.empty()) return 0;
  std::ofstream file(arguments.json);
  file << report_json(generator, cpu) << std::flush;
  if (!file) std::fprintf(stderr, "load_generator: cannot write %s\n", arguments.json.c_str());
  return file ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Offers requests to a server, at times that the server has no influence on.");
  Arguments arguments;
  GeneratorOptions options;
  add_options(app, arguments, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  }
  if (auto done = understand(arguments, options); !done) {
    std::fprintf(stderr, "load_generator: %s\n", done.error().message.c_str());
    return kUsage;
  }
  ::signal(SIGPIPE, SIG_IGN);
  return run(arguments, std::move(options));
}
