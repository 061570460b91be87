#include "server/client_commands.h"

#include "server/options.h"

#include <fmt/format.h>

namespace sluice {
namespace {

/// Says why it did not work out; the exit code says of which kind that is.
int failed(const Error& error) {
  if (error.code == ErrorCode::cancelled) return static_cast<int>(ExitCode::interrupted);
  fmt::print(stderr, "sluice: {}\n", error.message);
  return static_cast<int>(error.code == ErrorCode::invalid_argument ? ExitCode::usage
                                                                    : ExitCode::failed);
}

}  // namespace

int run_chat(const ChatOptions& options) {
  Result<void> done = chat(options);
  return done ? static_cast<int>(ExitCode::success) : failed(done.error());
}

int run_pull(const PullOptions& options) {
  Result<std::string> path = pull(options);
  if (!path) {
    if (path.error().code == ErrorCode::cancelled)
      fmt::print(stderr, "sluice: interrupted; the same command goes on from here\n");
    return failed(path.error());
  }
  fmt::print("{}\n", *path);
  return static_cast<int>(ExitCode::success);
}

}  // namespace sluice
