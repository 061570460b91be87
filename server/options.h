// What the command line says: the options of every command, with their defaults and limits. START
// HERE.
#pragma once

#include "base/clock.h"
#include "client/chat.h"
#include "client/pull.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Exit codes of the program; a service manager and scripts read them.
enum class ExitCode : int {
  success = 0,
  usage = 2,
  invalid_input = 3,  ///< configuration or an input file is wrong
  load_failed = 6,    ///< a model cannot be loaded
  drain_timeout = 7,  ///< requests had to be cut
  bind_failed = 8,    ///< a port is in use or may not be bound
  failed = 9,         ///< a download or an answer: the other side, the network or the disk
  internal = 70,
  interrupted = 130,  ///< a second signal
};

/// `sluice serve`.
struct ServeOptions {
  std::vector<std::string> listen = {"127.0.0.1:8000"};  ///< addresses; checked
  /// Of Sluice RPC; "none" alone: it is not served.
  std::vector<std::string> binary_listen = {"127.0.0.1:8001"};
  std::string management_listen = "127.0.0.1:8002";
  std::vector<std::string> models;          ///< NAME=PATH; with `paths` none: the model that ships
  std::vector<std::string> paths;           ///< further models, named after what they are called
  std::string served_model_name;            ///< of the only one of `paths`, instead
  std::vector<std::string> chat_templates;  ///< as `parse_chat_template_option` reads them
  std::uint32_t workers = 1;                ///< lanes of each model
  std::uint32_t threads = 0;            ///< compute threads of a worker; 0: usable cores / lanes
  std::uint32_t loops = 0;              ///< threads of the data port; 0: min(4, cores)
  std::uint32_t scheduler_threads = 0;  ///< actors that run at once; 0: as the cores allow
  std::string device = "cpu";
  std::string kernels = "auto";
  std::string dtype = "auto";
  std::uint32_t sequences_max = 64;  ///< sequences a worker runs at once
  std::uint32_t step_rows = 256;
  std::uint32_t prefill_chunk = 256;
  std::uint64_t kv_bytes =
      0;  ///< KV memory of a worker; 0: what its sequences can need, within reason
  std::uint32_t default_max_tokens = 16;
  std::size_t queue_capacity = 1024;
  std::uint64_t rate = 1000;  ///< requests a second, of all tenants; 0: no limit
  std::uint64_t burst = 5000;
  /// Seconds that requests of a class may have to wait for a lane; 0: any.
  std::array<double, 3> max_wait_s{0.5, 30.0, 120.0};
  bool degradation = true;           ///< the ladder runs
  std::vector<std::string> cheaper;  ///< as `parse_cheaper` reads them
  Duration itl_objective = std::chrono::milliseconds(50);
  double core_reserve = 0.30;  ///< of the burst
  double low_reserve = 0.50;
  bool lends_core_reserve = false;  ///< on lanes, to class low
  std::size_t connections_max = 2048;
  std::size_t connections_per_address_max = 0;  ///< 0: half of `connections_max`
  std::size_t body_bytes_max = std::size_t{8} << 20;
  std::size_t body_memory = 0;  ///< of all bodies and prompts; 0: 96 MiB, more for larger bodies
  std::size_t answer_memory = std::size_t{256} << 20;      ///< of answers that clients do not take
  std::size_t idempotency_memory = std::size_t{64} << 20;  ///< for answers that may be replayed
  Duration idempotency_ttl = std::chrono::minutes(10);
  Duration health_stall = std::chrono::seconds(60);
  Duration keep_alive_timeout = std::chrono::seconds(120);
  std::vector<std::string> allowed_hosts;
  std::vector<std::string> allowed_origins;  ///< of the data port
  std::string keys_file;                     ///< see keys_file.h
  std::string admin_keys_file;               ///< the same for the management port
  /// "data", "management": may have a public address without keys.
  std::vector<std::string> allow_anonymous;
  Duration drain_delay = std::chrono::seconds(5);
  Duration drain_timeout = std::chrono::seconds(45);
  Duration request_timeout = std::chrono::seconds(120);
  Duration load_timeout = std::chrono::seconds(30);
  std::uint32_t lane_restarts_max = 5;
  Duration lane_restarts_period = std::chrono::seconds(60);
  Duration lane_backoff_min = std::chrono::milliseconds(250);
  Duration lane_backoff_max = std::chrono::seconds(30);
  Duration quarantine_first = std::chrono::seconds(30);
  Duration quarantine_longest = std::chrono::minutes(5);
  std::string ready_file;
  std::vector<std::string> worker_faults;  ///< PLAN, or LANE:PLAN; checked
  std::vector<std::string> fault_points;   ///< as `parse_fault_point` reads them; checked
  std::string trace_file;                  ///< events for the checker; empty: none are kept
  std::string log_level = "info";
};

/// `sluice worker`: started by the server only, with its link at descriptor 3.
struct WorkerCommandOptions {
  std::int64_t parent = 0;
  std::string path;
  std::string device = "cpu";
  std::string kernels = "auto";
  std::string dtype = "auto";
  std::uint32_t threads = 1;
  std::uint32_t sequences_max = 64;
  std::uint32_t step_rows = 256;
  std::uint32_t prefill_chunk = 256;
  std::uint64_t kv_bytes = 0;
  std::string log_level = "info";
  std::vector<std::string> faults;       ///< plans; checked
  std::uint32_t incarnation = 1;         ///< of this worker on its lane, from 1
  std::uint64_t fault_seed = 0;          ///< of the chances of faults
  std::vector<std::string> known_files;  ///< digests of files of the weights; checked
};

/// `sluice model info`.
struct ModelInfoOptions {
  std::string path;
  std::string dtype = "auto";
  std::uint32_t sequences_max = ServeOptions().sequences_max;
};

/// The command that was given.
struct CommandLine {
  std::optional<ServeOptions> serve;
  std::optional<WorkerCommandOptions> worker;
  std::optional<ModelInfoOptions> model_info;
  std::optional<ChatOptions> chat;
  std::optional<PullOptions> pull;
  std::optional<int> exit;  ///< nothing to run: help, version or an error was printed
};

/// Parses the command line; prints help and errors itself.
CommandLine parse_command_line(int argc, char** argv);

/// Lanes of all models together.
std::uint32_t lane_count(const ServeOptions& options);

/// The arguments (after `worker`) that make a worker of `options` for the model at `path`.
std::vector<std::string> worker_arguments(const ServeOptions& options,
                                          const std::string& path,
                                          std::int64_t parent);

/// The arguments that inject `--worker-fault` into the workers of a lane, numbered from 0.
std::vector<std::string> fault_arguments(const ServeOptions& options, std::uint32_t lane);

}  // namespace sluice
