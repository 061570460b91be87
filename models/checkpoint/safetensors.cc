#include "models/checkpoint/safetensors.h"

#include "models/json_fields.h"
#include "models/stand_in.h"

#include <algorithm>
#include <map>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

constexpr std::size_t kLengthBytes = 8;
// The limit of the format's own reader.
constexpr std::uint64_t kHeaderBytesMax = 100'000'000;
constexpr std::int64_t kDimensionMax = std::int64_t{1} << 48;
constexpr std::size_t kRankMax = 16;

struct TypeInfo {
  std::string_view name;
  std::size_t bytes;
  std::optional<DType> dtype;
  std::optional<BlockType> coding = {};
};
constexpr TypeInfo kTypes[] = {{"F32", 4, DType::f32, BlockType::f32},
                               {"BF16", 2, DType::bf16, BlockType::bf16},
                               {"F16", 2, DType::f16, BlockType::f16},
                               {"I32", 4, DType::i32},
                               {"I64", 8, DType::i64},
                               {"U8", 1, DType::u8},
                               {"F64", 8, std::nullopt},
                               {"I16", 2, std::nullopt},
                               {"I8", 1, std::nullopt},
                               {"U16", 2, std::nullopt},
                               {"U32", 4, std::nullopt},
                               {"U64", 8, std::nullopt},
                               {"BOOL", 1, std::nullopt},
                               {"F8_E4M3", 1, std::nullopt},
                               {"F8_E5M2", 1, std::nullopt}};

const TypeInfo* find_type(std::string_view name) {
  auto found = std::find_if(std::begin(kTypes), std::end(kTypes), [&](const TypeInfo& type) {
    return type.name == name;
  });
  return found == std::end(kTypes) ? nullptr : found;
}

Error damaged(const std::string& file, const std::string& tensor, const std::string& why) {
  return Error{ErrorCode::data_loss, file + ": tensor '" + tensor + "': " + why};
}

/// Reads one entry of the header. `data` is where offset 0 lies, `data_bytes` what the file has
/// from there on.
Result<StoredTensor> read_tensor(const std::string& file,
                                 const std::string& name,
                                 const json::value& entry,
                                 const std::byte* data,
                                 std::uint64_t data_bytes) {
  auto refuse = [&](const std::string& why) { return damaged(file, name, why); };
  if (!entry.is_object()) return refuse("is " + describe(entry) + ", not an object");
  const json::object& fields = entry.get_object();
  for (const auto& field : fields) {
    if (field.key() != "dtype" && field.key() != "shape" && field.key() != "data_offsets")
      return refuse("has an unknown field '" + std::string(field.key().data(), field.key().size()) +
                    "'");
  }
  StoredTensor tensor;
  tensor.file = file;
  tensor.name = name;
  const json::value* type = fields.if_contains("dtype");
  if (type == nullptr || !type->is_string()) return refuse("has no dtype");
  tensor.type = std::string(type->get_string().data(), type->get_string().size());
  const TypeInfo* known = find_type(tensor.type);
  if (known == nullptr) return refuse("dtype '" + tensor.type + "' is not known");
  tensor.dtype = known->dtype;
  tensor.coding = known->coding;

  const json::value* shape = fields.if_contains("shape");
  if (shape == nullptr || !shape->is_array() || shape->get_array().size() > kRankMax)
    return refuse("has no valid shape");
  std::uint64_t needed = known->bytes;
  for (const json::value& dimension : shape->get_array()) {
    if (!dimension.is_int64() || dimension.get_int64() < 0 || dimension.get_int64() > kDimensionMax)
      return refuse("shape " + describe(*shape) + " has a dimension that is not in [0, 2^48]");
    tensor.shape.push_back(dimension.get_int64());
    if (__builtin_mul_overflow(needed, static_cast<std::uint64_t>(dimension.get_int64()), &needed))
      return refuse("shape " + describe(*shape) + " of " + tensor.type +
                    " needs more bytes than 64 bits can count");
  }

  const json::value* offsets = fields.if_contains("data_offsets");
  auto is_offset = [](const json::value& value) {
    return value.is_int64() && value.get_int64() >= 0;
  };
  if (offsets == nullptr || !offsets->is_array() || offsets->get_array().size() != 2 ||
      !is_offset(offsets->get_array()[0]) || !is_offset(offsets->get_array()[1]))
    return refuse("has no valid data_offsets");
  auto begin = static_cast<std::uint64_t>(offsets->get_array()[0].get_int64());
  auto end = static_cast<std::uint64_t>(offsets->get_array()[1].get_int64());
  std::string span = "[" + std::to_string(begin) + ", " + std::to_string(end) + "]";
  if (begin > end) return refuse("its data_offsets " + span + " end before they begin");
  if (end > data_bytes)
    return refuse("its data_offsets " + span + " lie beyond the " + std::to_string(data_bytes) +
                  " bytes of data in the file");
  if (end - begin != needed)
    return refuse("shape " + to_string(tensor.shape) + " of " + tensor.type + " needs " +
                  std::to_string(needed) + " bytes, its data_offsets " + span + " hold " +
                  std::to_string(end - begin));
  tensor.data = data + begin;
  tensor.size_bytes = static_cast<std::size_t>(needed);
  return tensor;
}

}  // namespace

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::open(const std::string& path) {
  Result<std::unique_ptr<MappedFile>> mapping = MappedFile::open(path);
  if (!mapping) return mapping.error();
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->mapping_ = std::move(*mapping);
  if (auto header = file->read_header(); !header) return header.error();
  return file;
}

Result<void> SafetensorsFile::read_header() {
  const std::string file = mapping_->name();
  const std::byte* data = mapping_->bytes().data();
  std::string_view bytes(reinterpret_cast<const char*>(data), mapping_->bytes().size());
  if (bytes.size() < kLengthBytes)
    return Error{ErrorCode::data_loss,
                 file + ": has " + std::to_string(bytes.size()) +
                     " bytes, the length of the header alone takes 8"};
  if (std::string what = describe_stand_in(bytes); !what.empty())
    return Error{ErrorCode::data_loss, file + ": " + what};
  std::uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;)
    length = length << 8 | std::to_integer<std::uint64_t>(data[i]);
  if (length > kHeaderBytesMax)
    return Error{ErrorCode::data_loss,
                 file + ": header of " + std::to_string(length) + " bytes, the limit is " +
                     std::to_string(kHeaderBytesMax)};
  if (length > bytes.size() - kLengthBytes)
    return Error{ErrorCode::data_loss,
                 file + ": header of " + std::to_string(length) + " bytes, but the file has " +
                     std::to_string(bytes.size()) + " in all"};
  header_bytes_ = kLengthBytes + static_cast<std::size_t>(length);
  Result<json::object> header = parse_json_object(
      bytes.substr(kLengthBytes, static_cast<std::size_t>(length)), file + ": header");
  if (!header) return header.error();
  std::size_t data_bytes = bytes.size() - header_bytes_;
  for (const auto& entry : *header) {
    std::string name(entry.key().data(), entry.key().size());
    if (name == "__metadata__") {
      if (!entry.value().is_object() && !entry.value().is_null())
        return Error{ErrorCode::data_loss, file + ": header: __metadata__ is not an object"};
      continue;
    }
    Result<StoredTensor> tensor =
        read_tensor(file, name, entry.value(), data + header_bytes_, data_bytes);
    if (!tensor) return tensor.error();
    tensors_.push_back(std::move(*tensor));
  }
  std::sort(tensors_.begin(), tensors_.end(), [](const auto& a, const auto& b) {
    return a.data != b.data ? a.data < b.data : a.size_bytes < b.size_bytes;
  });
  return check_layout(file, data_bytes);
}

Result<void> SafetensorsFile::check_layout(const std::string& file, std::size_t data_bytes) const {
  std::size_t end = 0;
  const std::byte* data = mapping_->bytes().data() + header_bytes_;
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const StoredTensor& tensor = tensors_[i];
    auto begin = static_cast<std::size_t>(tensor.data - data);
    if (begin != end) {
      std::string before =
          i == 0 ? "the data" : "the one before it ('" + tensors_[i - 1].name + "')";
      return damaged(file,
                     tensor.name,
                     "begins at byte " + std::to_string(begin) + ", " + before +
                         (i == 0 ? " begins at " : " ends at ") + std::to_string(end) +
                         (begin < end ? ": they overlap" : ": there is a hole"));
    }
    end = begin + tensor.size_bytes;
  }
  if (end != data_bytes)
    return Error{ErrorCode::data_loss,
                 file + ": its tensors end at byte " + std::to_string(end) + " of " +
                     std::to_string(data_bytes) + " bytes of data"};
  return {};
}

Result<Checkpoint> open_safetensors(const std::string& folder) {
  constexpr std::size_t kIndexBytesMax = 64 << 20;
  const std::string single = "model.safetensors";
  const std::string index_name = "model.safetensors.index.json";
  std::vector<std::unique_ptr<MappedFile>> files;
  std::vector<StoredTensor> tensors;
  Result<std::unique_ptr<SafetensorsFile>> file = SafetensorsFile::open(folder + "/" + single);
  if (file) {
    tensors = (*file)->tensors();
    files.push_back((*file)->release());
    return Checkpoint(WeightsFormat::safetensors, single, std::move(files), std::move(tensors));
  }
  if (file.error().code != ErrorCode::not_found) return file.error();
  Result<json::object> index = read_json_object(folder + "/" + index_name, kIndexBytesMax);
  if (!index && index.error().code == ErrorCode::not_found)
    return Error{ErrorCode::not_found, folder + ": has neither " + single + " nor " + index_name};
  if (!index) return index.error();
  JsonFields fields(*index, index_name);
  const json::object* weight_map = fields.object("weight_map");
  if (weight_map == nullptr) {
    fields.refuse("weight_map", "is missing");
    return fields.error();
  }
  std::map<std::string, std::map<std::string, StoredTensor>> by_file;
  for (const auto& entry : *weight_map) {
    std::string name(entry.key().data(), entry.key().size());
    std::string place = index_name + ": weight_map: tensor '" + name + "'";
    if (!entry.value().is_string())
      return Error{ErrorCode::data_loss,
                   place + " is in " + describe(entry.value()) + ", not a file name"};
    std::string part(entry.value().get_string().data(), entry.value().get_string().size());
    if (part.empty() || part.find('/') != std::string::npos)
      return Error{ErrorCode::data_loss,
                   place + " is in '" + part + "', which is no name of a file in the folder"};
    auto [known, fresh] = by_file.try_emplace(part);
    if (fresh) {
      Result<std::unique_ptr<SafetensorsFile>> shard = SafetensorsFile::open(folder + "/" + part);
      if (!shard) return shard.error();
      for (const StoredTensor& tensor : (*shard)->tensors())
        known->second.emplace(tensor.name, tensor);
      files.push_back((*shard)->release());
    }
    auto tensor = known->second.find(name);
    if (tensor == known->second.end())
      return Error{ErrorCode::data_loss, place + " is in " + part + ", which has no such tensor"};
    tensors.push_back(tensor->second);
  }
  return Checkpoint(WeightsFormat::safetensors, index_name, std::move(files), std::move(tensors));
}

}  // namespace sluice
