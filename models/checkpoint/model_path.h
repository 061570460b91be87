// Which kind of model stands behind a path, and where it lies.
#pragma once

#include "base/result.h"
#include "models/checkpoint/checkpoint.h"

#include <string>

namespace sluice {

/// A model that was found. Nothing in it has been looked at.
struct ModelPath {
  WeightsFormat format = WeightsFormat::safetensors;
  std::string path;  ///< safetensors: the folder; gguf: the file
};

/// What a path may name:
///   a file                     is GGUF, whatever it is called
///   a folder                   with *.safetensors, or else with one *.gguf
///   a folder models--ORG--NAME of Hugging Face's cache: the snapshot that refs/main names
/// Other folders count as such in Hugging Face's format, whose readers say what is missing.
/// Errors: not_found (nothing is there, or no snapshot), invalid_argument (several *.gguf, which are listed).
Result<ModelPath> find_model(const std::string& path);

}  // namespace sluice
