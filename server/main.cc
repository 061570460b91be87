// The sluice binary.
#include "server/options.h"
#include "server/serve.h"
#include "server/worker_command.h"

int main(int argc, char** argv) {
  auto line = sluice::parse_command_line(argc, argv);
  if (line.exit) return *line.exit;
  if (line.worker) return sluice::run_worker(*line.worker);
  return sluice::serve(*line.serve);
}
