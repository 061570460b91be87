// How a model is opened by what it is called and where it lies.
#pragma once

#include "base/result.h"
#include "models/load_progress.h"
#include "models/model.h"
#include "models/tokenizer/tokenizer.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

namespace jinja {
class ChatTemplate;
}

/// What to load.
struct ModelSource {
  std::string path;            ///< as `find_model` takes it, or "hash"
  std::string device = "cpu";  ///< as `make_device` takes it
  std::string level = "auto";  ///< as `make_ops` takes it
  /// Storage of weights: "f32", "bf16", "f16"; "auto": that of the checkpoint, bf16 if it is
  /// quantized.
  std::string dtype = "auto";
  std::uint32_t threads = 1;
  LoadObserver on_progress = {};
  /// Digests of files as they were before: of those that have not changed none is computed again.
  std::vector<FileDigest> known_files = {};
};

/// Loads weights and checks every tensor against the configuration. For the worker.
/// Errors: not_found, invalid_argument, data_loss; the message names the file, the tensor and the
/// numbers.
Result<std::unique_ptr<Model>> load_model(const ModelSource& source);

/// What the front needs to know without weights: context and vocabulary (from the configuration),
/// the chat template, and the tokenizer, which may have added tokens beyond that vocabulary.
struct ModelCard {
  std::string architecture;
  std::int32_t vocabulary = 0;
  std::int32_t context = 0;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::uint64_t tokenizer_hash = 0;  ///< as `ModelInfo::tokenizer`
  /// How a conversation becomes a prompt; null: the model cannot be told one.
  std::shared_ptr<const jinja::ChatTemplate> chat_template = {};
  std::string template_fault = {};  ///< why the model's own template cannot be used, if it has one
  std::string bos_text = {};        ///< of the tokens that templates may name
  std::string eos_text = {};
};
/// Errors: as `load_model`.
Result<ModelCard> load_model_card(const std::string& path);

}  // namespace sluice
