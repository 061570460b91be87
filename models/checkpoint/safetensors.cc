#include "models/checkpoint/safetensors.h"

#include "base/hash.h"
#include "models/json_fields.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
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
};
constexpr TypeInfo kTypes[] = {{"F32", 4, DType::f32},
                               {"BF16", 2, DType::bf16},
                               {"F16", 2, DType::f16},
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

std::string name_of(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

FileIdentity identity_of(const struct stat& status) {
  auto nanoseconds = [](const timespec& time) {
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return {status.st_dev,
          status.st_ino,
          static_cast<std::uint64_t>(status.st_size),
          nanoseconds(status.st_mtim),
          nanoseconds(status.st_ctim)};
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

std::string to_string(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

SafetensorsFile::~SafetensorsFile() {
  if (bytes_ != nullptr) munmap(const_cast<std::byte*>(bytes_), size_bytes_);
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::unique_ptr<SafetensorsFile>> SafetensorsFile::open(const std::string& path) {
  auto system_error = [&](const char* what) {
    ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::data_loss;
    return Error{code, path + ": " + what + ": " + std::strerror(errno)};
  };
  std::unique_ptr<SafetensorsFile> file(new SafetensorsFile());
  file->path_ = path;
  file->descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file->descriptor_ < 0) return system_error("open");
  struct stat status {};
  if (fstat(file->descriptor_, &status) != 0) return system_error("fstat");
  if (!S_ISREG(status.st_mode))
    return Error{ErrorCode::data_loss, path + ": is not a regular file"};
  auto size = static_cast<std::size_t>(status.st_size);
  if (size < kLengthBytes)
    return Error{ErrorCode::data_loss,
                 name_of(path) + ": has " + std::to_string(size) +
                     " bytes, the length of the header alone takes 8"};
  // Shared, so that all workers of a host use the same pages.
  void* address = mmap(nullptr, size, PROT_READ, MAP_SHARED, file->descriptor_, 0);
  if (address == MAP_FAILED) return system_error("mmap");
  file->digest_.file = identity_of(status);
  file->links_ = status.st_nlink;
  file->bytes_ = static_cast<const std::byte*>(address);
  file->size_bytes_ = size;
  Result<void> header = file->read_header(name_of(path));
  if (!header) return header.error();
  return file;
}

Result<void> SafetensorsFile::read_header(const std::string& file) {
  std::string_view bytes(reinterpret_cast<const char*>(bytes_), size_bytes_);
  if (std::string what = describe_stand_in(bytes); !what.empty())
    return Error{ErrorCode::data_loss, file + ": " + what};
  std::uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;)
    length = length << 8 | std::to_integer<std::uint64_t>(bytes_[i]);
  if (length > kHeaderBytesMax)
    return Error{ErrorCode::data_loss,
                 file + ": header of " + std::to_string(length) + " bytes, the limit is " +
                     std::to_string(kHeaderBytesMax)};
  if (length > size_bytes_ - kLengthBytes)
    return Error{ErrorCode::data_loss,
                 file + ": header of " + std::to_string(length) + " bytes, but the file has " +
                     std::to_string(size_bytes_) + " in all"};
  header_bytes_ = kLengthBytes + static_cast<std::size_t>(length);
  Result<json::object> header = parse_json_object(
      bytes.substr(kLengthBytes, static_cast<std::size_t>(length)), file + ": header");
  if (!header) return header.error();
  std::size_t data_bytes = size_bytes_ - header_bytes_;
  for (const auto& entry : *header) {
    std::string name(entry.key().data(), entry.key().size());
    if (name == "__metadata__") {
      if (!entry.value().is_object() && !entry.value().is_null())
        return Error{ErrorCode::data_loss, file + ": header: __metadata__ is not an object"};
      continue;
    }
    Result<StoredTensor> tensor =
        read_tensor(file, name, entry.value(), bytes_ + header_bytes_, data_bytes);
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
  const std::byte* data = bytes_ + header_bytes_;
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

bool SafetensorsFile::is_intact() const {
  // A new file that takes the name of this one changes `changed_ns`, too, and no byte of it: but it
  // takes a link away. Who writes and puts the time of modification back cannot put this one back.
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) return false;
  FileIdentity now = identity_of(status);
  bool renamed = status.st_nlink != links_;
  return now.size_bytes == digest_.file.size_bytes && now.modified_ns == digest_.file.modified_ns &&
         (renamed || now.changed_ns == digest_.file.changed_ns);
}

Result<void> SafetensorsFile::page_in(const std::function<void(std::uint64_t)>& on_progress,
                                      std::span<const FileDigest> known) {
  constexpr std::size_t kPieceBytes = 16 << 20;  // a multiple of any page
  constexpr std::size_t kPageBytes = 4096;       // the smallest
  auto same = std::find_if(known.begin(), known.end(), [this](const FileDigest& before) {
    return before.file == digest_.file;
  });
  Hasher hasher;
  for (std::size_t at = 0; at < size_bytes_; at += kPieceBytes) {
    std::size_t size = std::min(kPieceBytes, size_bytes_ - at);
    // The disk reads the next piece while this one is hashed.
    if (std::size_t next = at + size; next < size_bytes_)
      ::madvise(const_cast<std::byte*>(bytes_) + next,
                std::min(kPieceBytes, size_bytes_ - next),
                MADV_WILLNEED);
    bool there = ::madvise(const_cast<std::byte*>(bytes_) + at, size, MADV_POPULATE_READ) == 0;
    if (!there && errno == EINVAL) {  // a kernel before 5.14, which does not tell of errors
      there = true;
      for (std::size_t page = at; page < at + size; page += kPageBytes)
        (void)*static_cast<const volatile std::byte*>(bytes_ + page);
    }
    if (!there)
      return Error{ErrorCode::data_loss,
                   path_ + ": bytes " + std::to_string(at) + " to " + std::to_string(at + size) +
                       " of " + std::to_string(size_bytes_) +
                       " cannot be read: " + std::strerror(errno)};
    if (same == known.end()) hasher.add(bytes_ + at, size);
    if (on_progress) on_progress(size);
  }
  if (!is_intact()) return Error{ErrorCode::data_loss, path_ + ": was changed while it was read"};
  digest_.digest = same == known.end() ? hasher.value() : same->digest;
  return {};
}

Result<Checkpoint> Checkpoint::open(const std::string& folder) {
  constexpr std::size_t kIndexBytesMax = 64 << 20;
  const std::string single = "model.safetensors";
  const std::string index_name = "model.safetensors.index.json";
  Checkpoint checkpoint;
  checkpoint.main_file_ = single;
  Result<std::unique_ptr<SafetensorsFile>> file = SafetensorsFile::open(folder + "/" + single);
  if (file) {
    for (const StoredTensor& tensor : (*file)->tensors())
      checkpoint.tensors_.emplace(tensor.name, &tensor);
    checkpoint.files_.push_back(std::move(*file));
    return checkpoint;
  }
  if (file.error().code != ErrorCode::not_found) return file.error();
  Result<json::object> index = read_json_object(folder + "/" + index_name, kIndexBytesMax);
  if (!index && index.error().code == ErrorCode::not_found)
    return Error{ErrorCode::not_found, folder + ": has neither " + single + " nor " + index_name};
  if (!index) return index.error();
  checkpoint.main_file_ = index_name;
  JsonFields fields(*index, index_name);
  const json::object* weight_map = fields.object("weight_map");
  if (weight_map == nullptr) {
    fields.refuse("weight_map", "is missing");
    return fields.error();
  }
  std::map<std::string, std::map<std::string, const StoredTensor*>> by_file;
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
        known->second.emplace(tensor.name, &tensor);
      checkpoint.files_.push_back(std::move(*shard));
    }
    auto tensor = known->second.find(name);
    if (tensor == known->second.end())
      return Error{ErrorCode::data_loss, place + " is in " + part + ", which has no such tensor"};
    checkpoint.tensors_.emplace(name, tensor->second);
  }
  return checkpoint;
}

const StoredTensor* Checkpoint::find(const std::string& name) const {
  auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : found->second;
}

Result<void> Checkpoint::page_in(const std::function<void(std::uint64_t)>& on_progress,
                                 std::span<const FileDigest> known) {
  for (const auto& file : files_)
    if (auto there = file->page_in(on_progress, known); !there) return there;
  return {};
}

std::uint64_t Checkpoint::hash() const {
  std::uint64_t hash = 0;
  for (const auto& file : files_)
    hash = mix64(hash ^ file->digest().digest);
  return hash;
}

std::vector<FileDigest> Checkpoint::digests() const {
  std::vector<FileDigest> digests;
  for (const auto& file : files_)
    digests.push_back(file->digest());
  return digests;
}

bool Checkpoint::is_intact() const {
  return std::all_of(
      files_.begin(), files_.end(), [](const auto& file) { return file->is_intact(); });
}

}  // namespace sluice
