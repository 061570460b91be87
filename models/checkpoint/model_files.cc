#include "models/checkpoint/model_files.h"

#include "base/check.h"
#include "base/hash.h"
#include "models/checkpoint/chat_template.h"
#include "models/checkpoint/gguf_config.h"
#include "models/checkpoint/gguf_vocabulary.h"
#include "models/checkpoint/model_path.h"
#include "models/checkpoint/safetensors.h"
#include "models/json_fields.h"

#include <utility>
#include <vector>

namespace sluice {
namespace {

constexpr std::size_t kConfigBytesMax = 16 << 20;

/// The type we compute with whose numbers lie just as they do in blocks of one.
std::optional<DType> plain_type(BlockType type) {
  if (type == BlockType::f32) return DType::f32;
  if (type == BlockType::bf16) return DType::bf16;
  if (type == BlockType::f16) return DType::f16;
  return std::nullopt;
}

StoredTensor stored(const GgufTensor& tensor, const std::string& file) {
  StoredTensor stored;
  stored.file = file;
  stored.name = std::string(tensor.name);
  stored.type = std::string(tensor.format->name);
  stored.dtype = plain_type(tensor.format->type);
  stored.coding = tensor.format->type;
  for (std::uint32_t i = tensor.rank; i-- > 0;)
    stored.shape.push_back(static_cast<std::int64_t>(tensor.dims[i]));
  stored.data = tensor.data.data();
  stored.size_bytes = tensor.data.size();
  return stored;
}

}  // namespace

Result<ModelFiles> ModelFiles::open(const std::string& path) {
  Result<ModelPath> found = find_model(path);
  if (!found) return found.error();
  ModelFiles files;
  files.format_ = found->format;
  files.path_ = std::move(found->path);
  if (files.format_ == WeightsFormat::safetensors) {
    Result<std::string> text = read_file(files.path_ + "/config.json", kConfigBytesMax);
    if (!text) return text.error();
    files.config_text_ = std::move(*text);
    return files;
  }
  Result<std::unique_ptr<MappedFile>> file = MappedFile::open(files.path_);
  if (!file) return file.error();
  files.file_ = std::move(*file);
  Result<Gguf> gguf = Gguf::parse(files.file_->bytes(), files.file_->name());
  if (!gguf) return gguf.error();
  files.gguf_ = std::move(*gguf);
  return files;
}

bool ModelFiles::is_gguf() const {
  CHECK((format_ == WeightsFormat::gguf) == gguf_.has_value());  // not after take_weights
  return gguf_.has_value();
}

Result<DecoderConfig> ModelFiles::config() const {
  return is_gguf() ? read_gguf_config(*gguf_) : parse_decoder_config(config_text_);
}

std::uint64_t ModelFiles::config_hash() const {
  return is_gguf() ? 0 : hash_bytes(config_text_);
}

Result<std::optional<std::string>> ModelFiles::chat_template() const {
  return is_gguf() ? read_gguf_chat_template(*gguf_) : load_chat_template(path_);
}

Result<std::shared_ptr<const Tokenizer>> ModelFiles::tokenizer() const {
  if (!is_gguf()) return load_tokenizer(path_);
  Result<GgufVocabulary> vocabulary = read_gguf_vocabulary(*gguf_);
  if (!vocabulary) return vocabulary.error();
  return make_gguf_tokenizer(*vocabulary, gguf_->file());
}

std::uint64_t ModelFiles::tokenizer_hash() const {
  return is_gguf() ? hash_gguf_vocabulary(*gguf_) : hash_tokenizer(path_);
}

Result<Checkpoint> ModelFiles::take_weights() {
  if (!is_gguf()) return open_safetensors(path_);
  std::vector<StoredTensor> tensors;
  for (const GgufTensor& tensor : gguf_->tensors())
    tensors.push_back(stored(tensor, gguf_->file()));
  std::string name = gguf_->file();
  std::string architecture;
  if (const GgufValue* value = gguf_->find("general.architecture");
      value != nullptr && value->type == GgufType::string && !value->is_array)
    architecture = text_of(*value);
  gguf_.reset();
  std::vector<std::unique_ptr<MappedFile>> files;
  files.push_back(std::move(file_));
  return Checkpoint(WeightsFormat::gguf,
                    std::move(name),
                    std::move(files),
                    std::move(tensors),
                    std::move(architecture));
}

}  // namespace sluice
