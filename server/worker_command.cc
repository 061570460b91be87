#include "server/worker_command.h"

#include "base/check.h"
#include "server/version.h"
#include "worker/worker_main.h"

#include <algorithm>

namespace sluice {

int run_worker(const WorkerCommandOptions& options) {
  WorkerOptions worker;
  worker.parent_pid = options.parent;
  worker.version = kVersion;
  worker.model.path = options.path;
  worker.model.device = options.device;
  worker.model.level = options.kernels;
  worker.model.dtype = options.dtype;
  worker.model.threads = std::max(1U, options.threads);
  worker.engine.sequences_max = static_cast<std::int32_t>(options.sequences_max);
  worker.engine.step_rows_max = static_cast<std::int32_t>(options.step_rows);
  worker.engine.prefill_chunk = static_cast<std::int32_t>(options.prefill_chunk);
  worker.engine.blocks = 0;
  if (options.kv_bytes > 0) worker.kv_bytes_max = options.kv_bytes;
  for (const std::string& text : options.faults) {
    auto plan = FaultPlan::parse(text);  // the command line has checked it
    CHECK(plan);
    worker.faults.append(*plan);
  }
  for (const std::string& text : options.known_files) {
    auto digest = parse_file_digest(text);  // so has it these
    CHECK(digest);
    worker.model.known_files.push_back(*digest);
  }
  worker.fault_scope = {.incarnation = options.incarnation, .seed = options.fault_seed};
  return worker_main(worker);
}

}  // namespace sluice
