// The sluice binary.
#include "server/client_commands.h"
#include "server/model_info.h"
#include "server/options.h"
#include "server/serve.h"
#include "server/worker_command.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace {

/// Whoever starts us may have closed some of these. What we opened next would then take their
/// numbers, and be written to as if it were one of them.
void open_standard_streams() {
  for (int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(descriptor, F_GETFD) < 0) ::open("/dev/null", O_RDWR);  // takes the lowest number
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  auto line = sluice::parse_command_line(argc, argv);
  if (line.exit) return *line.exit;
  if (line.worker) return sluice::run_worker(*line.worker);
  try {
    if (line.chat) return sluice::run_chat(*line.chat);
    if (line.pull) return sluice::run_pull(*line.pull);
    if (line.model_info) return sluice::run_model_info(*line.model_info);
    return sluice::serve(*line.serve);
  } catch (const std::exception& exception) {
    // The system has refused something that nobody can do without: memory, or a thread.
    std::fprintf(stderr, "sluice: cannot go on: %s\n", exception.what());
    return static_cast<int>(sluice::ExitCode::internal);
  }
}
