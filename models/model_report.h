// What a model on disk is, what it would take to serve it, and why it would be refused. Reads no
// weights.
#pragma once

#include "base/result.h"
#include "models/checkpoint/config.h"
#include "models/decoder/weights.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// The tensors of one type.
struct TensorCount {
  std::string type;  ///< as the files spell it
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
};

struct ModelReport {
  std::string path;                     ///< of the folder or file that was found
  std::string format;                   ///< "GGUF version 3", "safetensors"
  std::uint64_t file_bytes = 0;         ///< of the weights; 0: they are not there
  std::string architecture;             ///< as the files spell it; may be empty
  std::optional<DecoderConfig> config;  ///< absent: refused
  std::uint64_t parameters = 0;         ///< in the files
  std::vector<TensorCount> tensors;     ///< most bytes first
  std::string tokenizer;                ///< of what kind it is; may be empty
  std::int32_t tokens = 0;              ///< that it knows; 0: not known
  std::optional<std::string> chat_template;
  std::optional<DecoderWeightsNeeds> needs;  ///< absent: refused
  std::size_t kv_block_bytes = 0;            ///< as of ModelInfo; 0: not known
  /// Why it would be refused, each reason once; none: it would be loaded, unless a number in it is
  /// not finite or a byte cannot be read.
  std::vector<std::string> refusals;
};

/// `dtype` as of ModelSource. Errors: of files that cannot be opened or taken apart at all.
Result<ModelReport> report_model(const std::string& path, const std::string& dtype);

}  // namespace sluice
