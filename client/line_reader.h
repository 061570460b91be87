// Lines from a terminal, until somebody interrupts.
#pragma once

#include "base/result.h"
#include "client/interrupts.h"

#include <cstddef>
#include <optional>
#include <string>

namespace sluice {

/// Reads a descriptor of which nobody else reads. Not thread-safe.
class LineReader {
 public:
  LineReader(int descriptor, const Interrupts& interrupts)
      : descriptor_(descriptor), interrupts_(interrupts) {}

  /// The next line without its end; none at the end of the input. Errors: cancelled (a signal
  /// waits to be taken), resource_exhausted (a line of more than 1 MiB).
  Result<std::optional<std::string>> line();
  /// All that is left. Errors: cancelled, resource_exhausted (more than `bytes_max`).
  Result<std::string> rest(std::size_t bytes_max);

 private:
  /// Waits for more; false at the end of the input.
  Result<bool> read_more();

  int descriptor_;
  const Interrupts& interrupts_;
  std::string read_;  // and not returned yet
};

}  // namespace sluice
