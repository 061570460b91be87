#include "worker/serve.h"

#include <vector>

namespace sluice {
namespace {

/// When sequences wait and nothing can run, the engine is asked again after this long.
constexpr int kStuckWaitMs = 1;

}  // namespace

WorkerEnd serve(WorkerChannel& channel, WorkerLoop& loop) {
  std::vector<wire::ToWorker> commands;
  std::vector<wire::ToFront> out;
  for (;;) {
    auto open = channel.receive(loop.idle() ? -1 : loop.stuck() ? kStuckWaitMs : 0, commands);
    if (!open) {
      channel.send(wire::Bye{open.error().code, open.error().message});
      return WorkerEnd::link_broken;
    }
    if (!*open) return WorkerEnd::stopped;
    auto end = loop.turn(commands, out);
    if (!out.empty() && !channel.send(out)) return WorkerEnd::stopped;
    if (end) return *end;
  }
}

}  // namespace sluice
