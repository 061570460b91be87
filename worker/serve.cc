#include "worker/serve.h"

#include <algorithm>
#include <vector>

namespace sluice {
namespace {

constexpr Duration kWaitMax = std::chrono::hours(1);

/// For `WorkerChannel::receive`: -1 is for ever.
int in_ms(Duration wait) {
  if (wait == Duration::max()) return -1;
  return static_cast<int>(
      std::chrono::ceil<std::chrono::milliseconds>(std::min(wait, kWaitMax)).count());
}

}  // namespace

WorkerEnd serve(WorkerChannel& channel, WorkerLoop& loop) {
  std::vector<wire::ToWorker> commands;
  std::vector<wire::ToFront> out;
  for (;;) {
    auto open = channel.receive(in_ms(loop.may_wait()), commands);
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
