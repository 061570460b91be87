// Which model of a hub is meant: "hf:ORG/NAME", with a revision and a quantization where needed.
#pragma once

#include "base/result.h"

#include <string>
#include <string_view>

namespace sluice {

struct HubSpec {
  std::string organization;
  std::string name;
  std::string revision = "main";  ///< a branch, a tag, a commit, or refs/pr/N
  std::string quantization;       ///< "Q4_K_M": picks a GGUF file; empty: none

  /// "ORG/NAME".
  [[nodiscard]] std::string id() const { return organization + "/" + name; }
};

/// Reads "hf:ORG/NAME[:QUANTIZATION][@REVISION]". Everything in it may stand in a path: no part is
/// "..", and only a revision has slashes. Errors: invalid_argument, naming the part.
Result<HubSpec> parse_hub_spec(std::string_view text);

/// 40 hexadecimal digits: the whole name of a commit, or of a small file.
bool is_commit(std::string_view text);

}  // namespace sluice
