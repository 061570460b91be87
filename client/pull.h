// `sluice pull`: a model of the Hugging Face hub into the cache that all its tools share.
#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace sluice {

struct PullOptions {
  std::string model;                 ///< as `parse_hub_spec` reads it
  std::vector<std::string> include;  ///< patterns for names; empty: what serving needs
  std::string to;                    ///< a folder for the files themselves; empty: the cache
  std::uint32_t retries = 5;         ///< of one file without a new byte
  Duration stall_timeout = std::chrono::seconds(60);
};

/// Downloads what is missing, with progress on standard error, and gives the path to serve: a
/// folder, or a GGUF file. A branch or tag names the new commit only when all is there. Errors:
/// one sentence with what to do; cancelled: interrupted, and the next pull goes on from there.
Result<std::string> pull(const PullOptions& options);

}  // namespace sluice
