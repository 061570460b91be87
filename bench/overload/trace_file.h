// Arrivals that were written down: a file with a request a line.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "bench/overload/client_kind.h"

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::overload {

/// One request of a trace.
struct TraceArrival {
  Duration at{};         ///< from the start of the run
  std::size_t kind = 0;  ///< its place in the mix
  std::uint32_t prompt_chars = 0;
  std::uint32_t max_tokens = 0;
};

/// Reads lines "seconds,tenant,class,prompt_chars,max_tokens" in the order of their times; empty
/// ones and those that begin with # are skipped. The rest of what a request is comes from the kind
/// of that tenant and class. Read as the run goes: the file may be longer than memory.
class TraceFile {
 public:
  /// Opens a file and reads all of it once.
  /// Errors: not_found; invalid_argument with the line.
  static Result<TraceFile> open(const std::string& path, const std::vector<ClientKind>& kinds);

  /// The next one; nothing at the end.
  std::optional<TraceArrival> next();

  /// Reads one line. Errors: invalid_argument.
  static Result<TraceArrival> parse(std::string_view line, const std::vector<ClientKind>& kinds);

 private:
  TraceFile(std::ifstream file, const std::vector<ClientKind>& kinds)
      : file_(std::move(file)), kinds_(kinds) {}
  bool next_line();

  std::ifstream file_;
  std::vector<ClientKind> kinds_;
  std::string line_;
  std::size_t number_ = 0;
};

}  // namespace sluice::overload
