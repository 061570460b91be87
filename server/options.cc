#include "server/options.h"

#include "base/fault_point.h"
#include "server/version.h"
#include "worker/fault.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <iostream>
#include <map>
#include <thread>

namespace sluice {
namespace {

/// "250ms", "2s", "5m", "1h" to nanoseconds.
const auto kDurationUnits = CLI::AsNumberWithUnit(
    std::map<std::string, std::int64_t>{
        {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}},
    CLI::AsNumberWithUnit::UNIT_REQUIRED,
    "DURATION");

/// "512", "8MiB", "1GB" to bytes.
const auto kSizeUnits =
    CLI::AsNumberWithUnit(std::map<std::string, std::uint64_t>{{"B", 1},
                                                               {"KB", 1000},
                                                               {"MB", 1000'000},
                                                               {"GB", 1000'000'000},
                                                               {"KiB", 1ULL << 10},
                                                               {"MiB", 1ULL << 20},
                                                               {"GiB", 1ULL << 30}},
                          CLI::AsNumberWithUnit::CASE_SENSITIVE,
                          "SIZE");

void add_duration(CLI::App& command,
                  const std::string& name,
                  Duration& value,
                  const std::string& help) {
  auto set = [&value](const std::int64_t& nanoseconds) { value = Duration(nanoseconds); };
  command.add_option_function<std::int64_t>(name, set, help)->transform(kDurationUnits);
}

/// Splits "1:PLAN" into the lane and the plan; without a lane it is for all.
std::pair<std::optional<std::uint32_t>, std::string_view> split_lane(std::string_view text) {
  std::uint32_t lane = 0;
  const char* end = text.data() + text.size();
  auto [stop, failed] = std::from_chars(text.data(), end, lane);
  if (failed != std::errc() || stop == end || *stop != ':') return {std::nullopt, text};
  return {lane, text.substr(static_cast<std::size_t>(stop + 1 - text.data()))};
}

/// What is wrong with a plan of faults; empty: nothing. Positions count from the plan's start.
std::string check_plan(std::string_view text) {
  auto plan = FaultPlan::parse(text);
  return plan ? std::string() : "fault plan \"" + std::string(text) + "\", " + plan.error().message;
}

std::string check_fault_point(const std::string& text) {
  auto rule = parse_fault_point(text);
  return rule ? std::string() : rule.error().message;
}

/// Options that a worker shares with the server that starts it.
template <class Options>
void add_engine_options(CLI::App& command, Options& options) {
  command.add_option("--device", options.device, "Device of the workers: cpu")
      ->capture_default_str();
  command
      .add_option(
          "--kernels", options.kernels, "auto, avx512bf16, avx512, avx2, portable or reference")
      ->capture_default_str();
  command.add_option("--dtype", options.dtype, "Storage of weights and KV cache")
      ->check(CLI::IsMember({"auto", "f32", "bf16"}))
      ->capture_default_str();
  command
      .add_option("--threads", options.threads, "Compute threads of a worker; 0: cores / workers")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--max-sequences", options.sequences_max, "Sequences a worker runs at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--step-rows", options.step_rows, "Most rows (tokens) of one step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command
      .add_option(
          "--prefill-chunk", options.prefill_chunk, "Most prompt tokens of one sequence in a step")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command
      .add_option("--kv-memory",
                  options.kv_bytes,
                  "KV cache of a worker, e.g. 2GiB; 0: by need, 1GiB at most")
      ->transform(kSizeUnits);
  command.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
}

void add_serve(CLI::App& command, ServeOptions& options) {
  command
      .add_option(
          "--listen", options.listen, "Address of the data port; port 0: the system chooses")
      ->capture_default_str();
  command
      .add_option("--management-listen",
                  options.management_listen,
                  "Address of health, readiness and admin")
      ->capture_default_str();
  command.add_option("--model",
                     options.models,
                     "NAME=PATH of a model in Hugging Face format, or NAME=hash; the first is "
                     "the default model");
  command.add_option("--workers", options.workers, "Workers (lanes) of each model")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_option("--loops", options.loops, "Network threads; 0: min(4, cores)")
      ->check(CLI::Range(0, 64));
  command
      .add_option(
          "--scheduler-threads", options.scheduler_threads, "Actor threads; 0: max(2, cores)")
      ->check(CLI::Range(0, 256));
  command
      .add_option("--default-max-tokens",
                  options.default_max_tokens,
                  "max_tokens of requests that name none")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--queue-capacity", options.queue_capacity, "Sequences that may wait")
      ->capture_default_str();
  command.add_option("--max-connections", options.connections_max, "Open connections of each port")
      ->capture_default_str();
  command.add_option("--max-body", options.body_bytes_max, "Largest request body, e.g. 8MiB")
      ->transform(kSizeUnits);
  command.add_option(
      "--api-keys", options.keys_file, "File of API keys: a line 'ID SHA256-OF-THE-TOKEN' each");
  command.add_flag("--allow-anonymous",
                   options.allow_anonymous,
                   "Serve a public data or management address without API keys");
  add_duration(command,
               "--drain-delay",
               options.drain_delay,
               "How long to go on accepting after SIGTERM (5s)");
  add_duration(command,
               "--drain-timeout",
               options.drain_timeout,
               "How long running requests may take then (45s)");
  add_duration(command,
               "--request-timeout",
               options.request_timeout,
               "Deadline of requests that name none (120s); clients may ask for 600s, or for this "
               "if it is longer");
  add_duration(command,
               "--load-timeout",
               options.load_timeout,
               "How long a worker may load its model without getting any further (30s)");
  command
      .add_option("--lane-restarts",
                  options.lane_restarts_max,
                  "Worker restarts in a period before quarantine")
      ->capture_default_str();
  add_duration(command, "--lane-restart-period", options.lane_restarts_period, "That period (60s)");
  add_duration(command,
               "--lane-backoff-min",
               options.lane_backoff_min,
               "First delay before a restart (250ms)");
  add_duration(command,
               "--lane-backoff-max",
               options.lane_backoff_max,
               "Longest delay before a restart (30s)");
  command
      .add_option("--worker-fault",
                  options.worker_faults,
                  "Make workers fail on purpose: PLAN, or LANE:PLAN for one lane (worker/fault.h)")
      ->check([](const std::string& text) { return check_plan(split_lane(text).second); })
      ->allow_extra_args(false);
  command
      .add_option("--fault-point",
                  options.fault_points,
                  "Make a place in the server fail: NAME=p:0.01,seed:7 or NAME=nth:5")
      ->check(check_fault_point)
      ->allow_extra_args(false);
  command.add_option("--ready-file", options.ready_file, "Write the ready line to this file, too");
  command.add_option(
      "--trace",
      options.trace_file,
      "Record what happens to requests, lanes and workers into this file, for check_trace");
  add_engine_options(command, options);
}

void add_worker(CLI::App& command, WorkerCommandOptions& options) {
  command.group("");  // internal: not in the help
  command.add_option("--parent", options.parent, "Process id of the server")->required();
  command.add_option("--path", options.path)->required();
  command.add_option("--fault", options.faults)
      ->check([](const std::string& text) { return check_plan(text); })
      ->allow_extra_args(false);
  command.add_option("--fault-seed", options.fault_seed);
  command.add_option("--incarnation", options.incarnation)->check(CLI::Range(1U, 1U << 31));
  add_engine_options(command, options);
}

}  // namespace

CommandLine parse_command_line(int argc, char** argv) {
  CLI::App app{"Sluice: a model server that keeps its promises when things go wrong", "sluice"};
  app.set_version_flag("--version", std::string("sluice ") + kVersion);
  app.require_subcommand(1);
  ServeOptions serve;
  WorkerCommandOptions worker;
  CLI::App& serve_command = *app.add_subcommand("serve", "Run the server");
  CLI::App& worker_command = *app.add_subcommand("worker", "The device process of a lane");
  add_serve(serve_command, serve);
  add_worker(worker_command, worker);
  CommandLine line;
  // CLI11 would say that a command is required, which hides the typing error.
  std::string command = argc > 1 ? argv[1] : "";
  if (!command.empty() && command.front() != '-' && command != "serve" && command != "worker") {
    std::cerr << "sluice: unknown command '" << command << "'; there is: serve\n";
    line.exit = static_cast<int>(ExitCode::usage);
    return line;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    bool asked = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error);
    line.exit = asked ? 0 : static_cast<int>(ExitCode::usage);
    return line;
  }
  if (serve_command) line.serve = std::move(serve);
  if (worker_command) line.worker = std::move(worker);
  return line;
}

std::vector<std::string> worker_arguments(const ServeOptions& options,
                                          const std::string& path,
                                          std::int64_t parent) {
  std::uint32_t threads = options.threads;
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency() / options.workers);
  return {"--parent",        std::to_string(parent),
          "--path",          path,
          "--device",        options.device,
          "--kernels",       options.kernels,
          "--dtype",         options.dtype,
          "--threads",       std::to_string(threads),
          "--max-sequences", std::to_string(options.sequences_max),
          "--step-rows",     std::to_string(options.step_rows),
          "--prefill-chunk", std::to_string(options.prefill_chunk),
          "--kv-memory",     std::to_string(options.kv_bytes)};
}

std::vector<std::string> fault_arguments(const ServeOptions& options, std::uint32_t lane) {
  std::vector<std::string> arguments;
  for (const std::string& text : options.worker_faults) {
    auto [only, plan] = split_lane(text);
    if (only && *only != lane) continue;
    arguments.emplace_back("--fault");
    arguments.emplace_back(plan);
  }
  // Lanes have different chances, and each of them the same in every run.
  if (!arguments.empty()) {
    arguments.emplace_back("--fault-seed");
    arguments.push_back(std::to_string(lane));
  }
  return arguments;
}

}  // namespace sluice
