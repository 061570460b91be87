#include "worker/worker_main.h"

#include "base/clock.h"
#include "kernels/cpu/cpu_features.h"
#include "kernels/ops.h"
#include "worker/channel.h"
#include "worker/heartbeat.h"
#include "worker/start_up.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sluice {
namespace {

[[noreturn]] void end(WorkerEnd how) {
  ::_exit(static_cast<int>(how));
}

[[noreturn]] void end(WorkerChannel& channel, WorkerEnd how, const Error& why) {
  channel.send(wire::Bye{why.code, why.message});
  end(how);
}

/// A file of the weights was cut short while it was mapped: what it held is gone.
void on_bus_error(int signal, siginfo_t* info, void* /*context*/) {
  if (info->si_code == BUS_ADRERR) ::_exit(static_cast<int>(WorkerEnd::weights_changed));
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void watch_for_bus_errors() {
  struct sigaction action {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

std::string level_name(const ModelSource& source) {
  if (source.level == "reference") return source.level;
  auto level = choose_level(source.level, detect_cpu_features());
  return level ? std::string(*level) : source.level;
}

}  // namespace

int worker_main(const WorkerOptions& given) {
  WorkerOptions options = given;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before that took hold; then somebody else is the parent by now.
  if (options.parent_pid != 0 && ::getppid() != options.parent_pid) end(WorkerEnd::orphaned);
  ::prctl(PR_SET_NAME, "sluice.worker");
  watch_for_bus_errors();

  SystemClock clock;
  Progress progress;
  std::optional<LinkFaults> link_faults;
  if (!options.faults.empty()) link_faults.emplace(options.faults, options.fault_scope);
  WorkerChannel channel(options.link_fd, link_faults ? &*link_faults : nullptr);
  auto actions =
      make_process_faults([&channel] { channel.stall(); }, [&channel] { channel.slice(); });
  std::optional<Faults> faults;
  if (!options.faults.empty()) faults.emplace(options.faults, options.fault_scope, *actions, clock);
  channel.send(wire::Hello{.pid = ::getpid(), .version = options.version});
  HeartbeatThread heartbeat(channel, progress, clock);

  channel.send(wire::Phase{wire::Phase::Name::load});
  options.model.on_progress = [&progress](const LoadProgress& load) { progress.loaded(load); };
  if (faults) faults->loading(options.model.on_progress);
  auto model = load_model(options.model);
  if (!model) end(channel, WorkerEnd::start_failed, model.error());
  if (faults) model = faults->wrap(*std::move(model));
  if (options.engine.blocks == 0) {
    options.engine.blocks =
        plan_blocks((*model)->info(), options.engine.sequences_max, options.kv_bytes_max);
  }
  channel.send(wire::Phase{wire::Phase::Name::warm_up});
  auto engine = Engine::create(*std::move(model), options.engine, clock);
  if (!engine) end(channel, WorkerEnd::start_failed, engine.error());
  if (auto warm = warm_up(**engine, options.engine); !warm) {
    if (warm.error().code == ErrorCode::device_lost) end(WorkerEnd::device_lost);
    end(channel, WorkerEnd::start_failed, warm.error());
  }

  channel.send(wire::Phase{wire::Phase::Name::self_test});
  auto golden = self_test(**engine, options.engine);
  if (!golden) {
    if (golden.error().code == ErrorCode::device_lost) end(WorkerEnd::device_lost);
    end(channel, WorkerEnd::self_test_failed, golden.error());
  }

  progress.end_step((*engine)->stats());
  if (faults) faults->serving();
  heartbeat.serving();
  channel.send(ready_of(**engine, options.engine, *golden, level_name(options.model)));
  WorkerLoop loop(**engine, clock, progress, faults ? &*faults : nullptr);
  end(serve(channel, loop));
}

}  // namespace sluice
