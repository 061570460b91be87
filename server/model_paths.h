// Which models are to be served, and what they are called.
#pragma once

#include "base/result.h"
#include "server/options.h"

#include <string>
#include <vector>

namespace sluice {

struct NamedPath {
  std::string name;
  std::string path;
};

/// Where the model lies that ships with Sluice, found from `program` upwards. Errors: not_found.
Result<std::string> shipped_model(const std::string& program);

/// What the model at a path is called: as its file or folder, a file without its ending; in Hugging
/// Face's cache, and of a snapshot in it, ORG/NAME.
std::string model_name_of(const std::string& path);

/// The models in the order of their places: those at a PATH, then those of --model; without any the
/// one that ships with Sluice, found from `program` upwards.
/// Errors: invalid_argument (a name twice, or one that is missing), not_found.
Result<std::vector<NamedPath>> model_paths(const ServeOptions& options, const std::string& program);

}  // namespace sluice
