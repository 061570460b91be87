#include "server/options.h"

#include "base/fault_point.h"
#include "base/priority_class.h"
#include "client/hub_spec.h"
#include "gpu/device.h"
#include "kernels/cpu/cpu_features.h"
#include "models/checkpoint/file_digest.h"
#include "net/listener.h"
#include "server/cpu_budget.h"
#include "server/option_values.h"
#include "server/version.h"
#include "worker/faults/fault.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <iostream>
#include <type_traits>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Reads the value with `parse`, which names what may stand there, into `value`.
template <class T, class Parse>
CLI::Option& add_parsed(
    CLI::App& command, const std::string& name, T& value, const std::string& help, Parse parse) {
  auto set = [name, parse, &value](const std::string& text) {
    auto parsed = parse(text);
    if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
    value = static_cast<T>(*parsed);
  };
  return *command.add_option_function<std::string>(name, set, help);
}

template <class T>
void add_count(CLI::App& command,
               const std::string& name,
               T& value,
               std::uint64_t min,
               std::uint64_t max,
               const std::string& help) {
  add_parsed(command,
             name,
             value,
             help,
             [min, max](const std::string& text) { return parse_count(text, min, max); })
      .type_name("COUNT")
      ->default_str(std::to_string(value));
}

template <class T>
void add_size(CLI::App& command,
              const std::string& name,
              T& value,
              std::uint64_t min,
              std::uint64_t max,
              const std::string& help) {
  add_parsed(command, name, value, help, [min, max](const std::string& text) {
    return parse_size(text, min, max);
  }).type_name("SIZE");
}

template <class T>
CLI::Option& add_number(CLI::App& command,
                        const std::string& name,
                        T& value,
                        double min,
                        double max,
                        const std::string& help) {
  CLI::Option& option =
      *add_parsed(command, name, value, help, [min, max](const std::string& text) {
         return parse_number(text, min, max);
       }).type_name("NUMBER");
  if constexpr (std::is_arithmetic_v<T>) option.default_str(fmt::format("{:g}", value));
  return option;
}

void add_duration(CLI::App& command,
                  const std::string& name,
                  Duration& value,
                  Duration min,
                  Duration max,
                  const std::string& help) {
  add_parsed(command,
             name,
             value,
             help,
             [min, max](const std::string& text) { return parse_duration(text, min, max); })
      .type_name("TIME")
      ->default_str(to_string(value));
}

/// A check for CLI11 out of something that may fail: the error's sentence, or nothing.
template <class T>
std::string sentence(const Result<T>& result) {
  return result ? std::string() : result.error().message;
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

void add_dtype(CLI::App& command, std::string& dtype) {
  command
      .add_option("--dtype",
                  dtype,
                  "Storage of weights; auto: as in the file, bf16 if it is quantized. The KV "
                  "cache is bf16 beside bf16, f32 beside f32 and f16")
      ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
      ->capture_default_str();
}

void add_sequences_max(CLI::App& command, std::uint32_t& sequences) {
  add_count(command, "--max-sequences", sequences, 1, 4096, "Sequences a worker runs at once");
}

/// Options that a worker shares with the server that starts it.
template <class Options>
void add_engine_options(CLI::App& command, Options& options) {
  command.add_option("--device", options.device, "Device of the workers: cpu")
      ->check([](const std::string& text) { return sentence(make_device(text)); })
      ->capture_default_str();
  command
      .add_option(
          "--kernels", options.kernels, "auto, avx512bf16, avx512, avx2, portable or reference")
      ->check([](const std::string& text) {
        return sentence(choose_level(text, detect_cpu_features()));
      })
      ->capture_default_str();
  add_dtype(command, options.dtype);
  add_count(
      command,
      "--threads",
      options.threads,
      0,
      1024,
      "Compute threads of a worker; 0: the cores this process may use, shared by all workers");
  add_sequences_max(command, options.sequences_max);
  add_count(command, "--step-rows", options.step_rows, 1, 65536, "Most rows (tokens) of one step");
  add_count(command,
            "--prefill-chunk",
            options.prefill_chunk,
            1,
            65536,
            "Most prompt tokens of one sequence in a step");
  add_size(command,
           "--kv-memory",
           options.kv_bytes,
           0,
           std::uint64_t{1} << 44,
           "KV cache of a worker, e.g. 2GiB; 0: by need, 1GiB at most");
  command.add_option("--log-level", options.log_level, "trace, debug, info, warn, error or off")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
}

std::string check_address(const std::string& text) {
  return sentence(ListenAddress::parse(text));
}

/// Who may come in: addresses, names, pages, keys.
void add_access(CLI::App& command, ServeOptions& options) {
  command
      .add_option("--listen",
                  options.listen,
                  "Address of the data port, again for further ones; port 0: the system chooses; "
                  "[::] takes IPv4, too")
      ->check(check_address)
      ->allow_extra_args(false)
      ->capture_default_str();
  command
      .add_option("--binary-listen",
                  options.binary_listen,
                  "Address of Sluice RPC, the binary protocol, again for further ones; none: it is "
                  "not served")
      ->check([](const std::string& text) { return text == "none" ? "" : check_address(text); })
      ->allow_extra_args(false)
      ->capture_default_str();
  command
      .add_option("--management-listen",
                  options.management_listen,
                  "Address of health, readiness and admin")
      ->check(check_address)
      ->capture_default_str();
  command
      .add_option("--allowed-host",
                  options.allowed_hosts,
                  "A name of this server as it stands in URLs, again for further ones; without "
                  "any, loopback addresses answer to loopback names alone and others to every "
                  "name; *: every name")
      ->allow_extra_args(false);
  command
      .add_option("--allowed-origin",
                  options.allowed_origins,
                  "Web pages that may use the data port: https://app.example, again for further "
                  "ones; *: all")
      ->allow_extra_args(false);
  command.add_option("--api-keys",
                     options.keys_file,
                     "File of API keys and their tenants (TOML); read again at SIGHUP");
  command.add_option(
      "--admin-keys",
      options.admin_keys_file,
      "The same for the management port; /health, /ready, /version and /metrics need none");
  command
      .add_option("--allow-anonymous",
                  options.allow_anonymous,
                  "Serve a public address of this listener without keys: data, management or both "
                  "with a comma between")
      ->check(CLI::IsMember({"data", "management"}))
      ->delimiter(',')
      ->allow_extra_args(false);
}

/// How often and how fast workers are started again.
void add_restarts(CLI::App& command, ServeOptions& options) {
  add_count(command,
            "--lane-restarts",
            options.lane_restarts_max,
            0,
            1'000'000,
            "Worker restarts in a period before quarantine; kills from outside do not count");
  add_duration(command,
               "--lane-restart-period",
               options.lane_restarts_period,
               milliseconds(1),
               hours(24),
               "That period");
  add_duration(command,
               "--lane-backoff-min",
               options.lane_backoff_min,
               milliseconds(1),
               hours(1),
               "First delay before a restart");
  add_duration(command,
               "--lane-backoff-max",
               options.lane_backoff_max,
               milliseconds(1),
               hours(1),
               "Longest delay before a restart");
  add_duration(command,
               "--quarantine-first",
               options.quarantine_first,
               milliseconds(1),
               hours(24),
               "How long a lane that was given up rests before it is tried again");
  add_duration(command,
               "--quarantine-longest",
               options.quarantine_longest,
               milliseconds(1),
               hours(24),
               "Longest rest; it doubles with every trial that fails");
}

void add_serve(CLI::App& command, ServeOptions& options) {
  add_access(command, options);
  command
      .add_option("--model",
                  options.models,
                  "NAME=PATH of a model (a folder in Hugging Face format or a GGUF file), or "
                  "NAME=hash; the first is the default model")
      ->allow_extra_args(false);
  command.add_option("PATH",
                     options.paths,
                     "Models: GGUF files or folders in Hugging Face format, named after the file "
                     "or folder");
  command.add_option(
      "--served-model-name", options.served_model_name, "What the model at PATH is called instead");
  command
      .add_option("--chat-template",
                  options.chat_templates,
                  "How conversations become prompts: [MODEL=]FILE, or chatml, llama2, llama3, "
                  "mistral, gemma, zephyr, deepseek or plain; instead of the model's own")
      ->allow_extra_args(false);
  add_count(command, "--workers", options.workers, 1, 64, "Workers (lanes) of each model");
  add_count(command, "--loops", options.loops, 0, 64, "Network threads; 0: min(4, cores)");
  add_count(command,
            "--scheduler-threads",
            options.scheduler_threads,
            0,
            256,
            "Actors that run at once; 0: half the cores, and those that network threads leave");
  add_count(command,
            "--default-max-tokens",
            options.default_max_tokens,
            1,
            1 << 20,
            "max_tokens of text completions that name none; chats may fill the context");
  add_count(
      command, "--queue-capacity", options.queue_capacity, 0, 1'000'000, "Sequences that may wait");
  for (std::size_t i = 0; i < options.max_wait_s.size(); ++i) {
    std::string name(kPriorityClassNames[i]);
    add_number(command,
               "--max-wait-" + name,
               options.max_wait_s[i],
               0,
               3600,
               "Seconds that requests of class " + name + " may have to wait for a lane; 0: any");
  }
  command
      .add_option_function<std::string>(
          "--degradation",
          [&options](const std::string& text) { options.degradation = text == "on"; },
          "Under pressure refuse class low first, trim answers, then refuse more: on or off")
      ->check(CLI::IsMember({"on", "off"}))
      ->default_str("on");
  command
      .add_option(
          "--cheaper",
          options.cheaper,
          "MODEL=OTHER: under pressure the other model, which is served as well, answers for "
          "the first; again for further models")
      ->type_name("MODEL=OTHER");
  add_duration(command,
               "--itl-objective",
               options.itl_objective,
               milliseconds(1),
               seconds(60),
               "Time between two tokens above which a lane that is used counts as under pressure");
  add_count(command,
            "--rate",
            options.rate,
            0,
            1'000'000'000,
            "Requests a second that are let in, of all tenants together; 0: no limit");
  add_count(command, "--burst", options.burst, 1, 1'000'000'000, "So many of them at once");
  add_number(command,
             "--core-reserve",
             options.core_reserve,
             0,
             1,
             "Part of the burst that is kept for tenants of the core API");
  add_number(command,
             "--low-reserve",
             options.low_reserve,
             0,
             1,
             "Part of the burst that class low leaves to all others");
  command.add_flag("--lend-core-reserve",
                   options.lends_core_reserve,
                   "Class low may run where places are kept for the core API, and gives them back");
  add_count(command,
            "--max-connections",
            options.connections_max,
            1,
            1'000'000,
            "Open connections of each port");
  add_count(command,
            "--max-connections-per-address",
            options.connections_per_address_max,
            0,
            1'000'000,
            "Of those, from one client's address; 0: half");
  add_size(command,
           "--body-memory",
           options.body_memory,
           0,
           std::uint64_t{1} << 40,
           "Memory for the bodies and prompts of all requests, e.g. 96MiB; 0: that, or twice "
           "--max-body");
  add_size(
      command,
      "--answer-memory",
      options.answer_memory,
      std::uint64_t{1} << 20,
      std::uint64_t{1} << 40,
      "Memory of each port for answers that clients do not take; beyond it the slowest are cut");
  add_size(command,
           "--idempotency-memory",
           options.idempotency_memory,
           0,
           std::uint64_t{1} << 40,
           "Memory for answers to requests with an Idempotency-Key, to answer the same again; 0: "
           "they are not kept");
  add_duration(command,
               "--idempotency-ttl",
               options.idempotency_ttl,
               milliseconds(1),
               hours(24 * 7),
               "How long such an answer is kept at the most");
  add_duration(command,
               "--health-stall",
               options.health_stall,
               seconds(1),
               hours(24),
               "/health fails when a loop or the actors make no progress for so long");
  add_size(command,
           "--max-body",
           options.body_bytes_max,
           1 << 10,
           std::uint64_t{1} << 30,
           "Largest request body, e.g. 8MiB");
  add_duration(command,
               "--keep-alive-timeout",
               options.keep_alive_timeout,
               seconds(1),
               hours(24),
               "How long a connection may be idle between two requests");
  add_duration(command,
               "--drain-delay",
               options.drain_delay,
               seconds(0),
               hours(1),
               "How long to go on accepting after SIGTERM");
  add_duration(command,
               "--drain-timeout",
               options.drain_timeout,
               seconds(0),
               hours(24),
               "How long running requests may take then");
  add_duration(command,
               "--request-timeout",
               options.request_timeout,
               milliseconds(1),
               hours(168),
               "Deadline of requests that name none; clients may ask for 600s, or for this if it "
               "is longer");
  add_duration(command,
               "--load-timeout",
               options.load_timeout,
               milliseconds(1),
               hours(24),
               "How long a worker may load its model without getting any further");
  add_restarts(command, options);
  command
      .add_option(
          "--worker-fault",
          options.worker_faults,
          "Make workers fail on purpose: PLAN, or LANE:PLAN for one lane (worker/faults/fault.h)")
      ->check([](const std::string& text) { return check_plan(split_lane(text).second); })
      ->allow_extra_args(false);
  command
      .add_option("--fault-point",
                  options.fault_points,
                  "Make a place in the server fail: NAME=p:0.01,seed:7 or NAME=nth:5")
      ->check([](const std::string& text) { return sentence(parse_fault_point(text)); })
      ->allow_extra_args(false);
  command.add_option("--ready-file", options.ready_file, "Write the ready line to this file, too");
  command.add_option(
      "--trace",
      options.trace_file,
      "Record what happens to requests, lanes and workers into this file, for check_trace");
  add_engine_options(command, options);
}

/// Values that are right each by itself and wrong together; empty: none.
std::string contradiction(const ServeOptions& options) {
  if (options.lane_backoff_min > options.lane_backoff_max)
    return "--lane-backoff-min " + to_string(options.lane_backoff_min) +
           " is more than --lane-backoff-max " + to_string(options.lane_backoff_max);
  if (options.quarantine_first > options.quarantine_longest)
    return "--quarantine-first " + to_string(options.quarantine_first) +
           " is more than --quarantine-longest " + to_string(options.quarantine_longest);
  if (options.step_rows < options.sequences_max)
    return "--step-rows " + std::to_string(options.step_rows) + " is less than --max-sequences " +
           std::to_string(options.sequences_max);
  for (const std::string& text : options.worker_faults) {
    auto lane = split_lane(text).first;
    if (lane && *lane >= lane_count(options))
      return "--worker-fault " + text + ": there is no lane " + std::to_string(*lane) +
             ", only 0 to " + std::to_string(lane_count(options) - 1);
  }
  return "";
}

void add_worker(CLI::App& command, WorkerCommandOptions& options) {
  command.group("");  // internal: not in the help
  command.add_option("--parent", options.parent, "Process id of the server")->required();
  command.add_option("--path", options.path)->required();
  command.add_option("--fault", options.faults)
      ->check([](const std::string& text) { return check_plan(text); })
      ->allow_extra_args(false);
  command.add_option("--fault-seed", options.fault_seed);
  add_count(command, "--incarnation", options.incarnation, 1, 1U << 31, "");
  command.add_option("--known-file", options.known_files)
      ->check([](const std::string& text) {
        auto digest = parse_file_digest(text);
        return digest ? std::string() : digest.error().message;
      })
      ->allow_extra_args(false);
  add_engine_options(command, options);
}

void add_model_info(CLI::App& command, ModelInfoOptions& options) {
  command.add_option(
      "path", options.path, "A folder or a GGUF file; without it the model that ships with Sluice");
  add_dtype(command, options.dtype);
  add_sequences_max(command, options.sequences_max);
}

void add_stall_timeout(CLI::App& command, Duration& timeout) {
  add_duration(command,
               "--stall-timeout",
               timeout,
               seconds(1),
               hours(24),
               "Give up when nothing comes for so long");
}

void add_chat(CLI::App& command, ChatOptions& options) {
  // Scripts put defaults of theirs before what is given to them.
  command.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  command.add_option("--url", options.url, "The server; /v1 behind it may be left out")
      ->check([](const std::string& text) { return sentence(chat_base_url(text)); })
      ->capture_default_str();
  command.add_option("--model", options.settings.model, "Default: the first that the server lists");
  command.add_option("--system", options.system, "How to answer: the system message");
  command.add_option("--api-key", options.api_key, "Sent as a bearer token")
      ->envname("OPENAI_API_KEY");
  command
      .add_option("--max-tokens",
                  options.settings.max_tokens,
                  "Most tokens of an answer; without it the server decides")
      ->check(CLI::Range(std::uint32_t{1}, std::uint32_t{1} << 30));
  add_number(command,
             "--temperature",
             options.settings.temperature,
             0,
             2,
             "0: the likeliest token always");
  add_number(command,
             "--top-p",
             options.settings.top_p,
             0,
             1,
             "Draw from the likeliest tokens that have this probability together");
  add_parsed(command,
             "--seed",
             options.settings.seed,
             "The same seed gives the same answer",
             [](const std::string& text) { return parse_integer(text); })
      .type_name("INT");
  add_stall_timeout(command, options.stall_timeout);
}

void add_pull(CLI::App& command, PullOptions& options) {
  command
      .add_option("model",
                  options.model,
                  "hf:ORG/NAME, hf:ORG/NAME:Q4_K_M for one of its GGUF files, @REVISION behind "
                  "either")
      ->required()
      ->check([](const std::string& text) { return sentence(parse_hub_spec(text)); });
  command
      .add_option("--include",
                  options.include,
                  "Pattern for the names of weights, such as '*Q8_0.gguf'; again for further ones")
      ->allow_extra_args(false);
  command.add_option(
      "--to", options.to, "Put the files into this folder, not into Hugging Face's cache");
  add_count(command,
            "--retries",
            options.retries,
            0,
            1000,
            "How often a transfer that gets no further is tried again");
  add_stall_timeout(command, options.stall_timeout);
}

}  // namespace

CommandLine parse_command_line(int argc, char** argv) {
  CLI::App app{"Sluice: a model server that keeps its promises when things go wrong", "sluice"};
  app.set_version_flag("--version", std::string("sluice ") + kVersion);
  app.require_subcommand(1);
  ServeOptions serve;
  WorkerCommandOptions worker;
  ModelInfoOptions model_info;
  ChatOptions chat;
  PullOptions pull;
  CLI::App& serve_command = *app.add_subcommand("serve", "Run the server");
  CLI::App& model_command = *app.add_subcommand("model", "Look at a model");
  CLI::App& info_command = *model_command.add_subcommand(
      "info", "Say what a model is, what it needs, and whether it can be served");
  model_command.require_subcommand(1);
  CLI::App& chat_command =
      *app.add_subcommand("chat", "Talk to a server that speaks OpenAI's interface");
  CLI::App& pull_command =
      *app.add_subcommand("pull", "Download a model of the Hugging Face hub, and say its path");
  CLI::App& worker_command = *app.add_subcommand("worker", "The device process of a lane");
  add_serve(serve_command, serve);
  add_worker(worker_command, worker);
  add_model_info(info_command, model_info);
  add_chat(chat_command, chat);
  add_pull(pull_command, pull);
  CommandLine line;
  // CLI11 would say that a command is required, which hides the typing error.
  const std::string command = argc > 1 ? argv[1] : "";
  constexpr std::array kCommands = {"serve", "model", "pull", "chat", "worker"};
  if (!command.empty() && command.front() != '-' &&
      std::find(kCommands.begin(), kCommands.end(), command) == kCommands.end()) {
    std::cerr << "sluice: unknown command '" << command
              << "'; there are: serve, model, pull, chat\n";
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
  if (std::string wrong = contradiction(serve); serve_command && !wrong.empty()) {
    std::cerr << "sluice: " << wrong << '\n';
    line.exit = static_cast<int>(ExitCode::usage);
    return line;
  }
  if (serve_command) line.serve = std::move(serve);
  if (worker_command) line.worker = std::move(worker);
  if (pull_command) line.pull = std::move(pull);
  if (chat_command) line.chat = std::move(chat);
  if (info_command) line.model_info = std::move(model_info);
  return line;
}

std::uint32_t lane_count(const ServeOptions& options) {
  auto models = static_cast<std::uint32_t>(
      std::max<std::size_t>(1, options.models.size() + options.paths.size()));
  return options.workers * models;
}

std::vector<std::string> worker_arguments(const ServeOptions& options,
                                          const std::string& path,
                                          std::int64_t parent) {
  std::uint32_t threads = options.threads;
  if (threads == 0) threads = threads_per_lane(usable_cores(), lane_count(options));
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
