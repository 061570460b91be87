#include "models/checkpoint/gguf.h"

#include "base/check.h"
#include "base/utf8.h"
#include "models/checkpoint/gguf_fields.h"
#include "models/stand_in.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

static_assert(std::endian::native == std::endian::little, "the fields are little-endian");

constexpr std::size_t kHeaderBytes = 24;
constexpr std::uint64_t kCountMax = 65'536;  // of keys, and of tensors
// The least that one can take: a length, one byte of name, a type and a value; a length, one byte
// of name, a rank, a dimension, a type and an offset.
constexpr std::uint64_t kKeyBytesMin = 8 + 1 + 4 + 1;
constexpr std::uint64_t kTensorBytesMin = 8 + 1 + 4 + 8 + 4 + 8;
constexpr std::uint64_t kKeyNameMax = 65'535;
constexpr std::uint64_t kArrayMax = std::uint64_t{1}
                                    << 24;  // of elements: far more than any vocabulary
constexpr std::uint64_t kTensorNameMax = 63;
constexpr std::uint32_t kRankMax = 4;
constexpr std::uint64_t kDimensionMax = std::uint64_t{1} << 40;
constexpr std::uint64_t kElementsMax = std::uint64_t{1} << 48;
constexpr std::int64_t kAlignmentMin = 8;
constexpr std::int64_t kAlignmentMax = 1 << 20;
constexpr std::int64_t kAlignmentDefault = 32;

/// Bytes of one element; 0: they differ.
std::size_t element_bytes(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

/// Walks through bytes; nothing is read or skipped that is not there.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::size_t position() const { return at_; }
  [[nodiscard]] std::size_t remaining() const { return bytes_.size() - at_; }
  template <class T>
  [[nodiscard]] bool read(T& value) {
    if (remaining() < sizeof value) return false;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return true;
  }
  /// `size` is at most `remaining()`.
  std::span<const std::byte> take(std::size_t size) {
    CHECK(size <= remaining());
    at_ += size;
    return bytes_.subspan(at_ - size, size);
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool is_ascii(std::string_view text) {
  for (char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7E) return false;
  return true;
}

/// "[576, 192]".
std::string describe_dims(const GgufTensor& tensor) {
  std::string text = "[";
  for (std::uint32_t i = 0; i < tensor.rank; ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(tensor.dims[i]);
  return text + "]";
}

}  // namespace

/// Fills one `Gguf` from front to end.
class GgufParser {
 public:
  GgufParser(std::span<const std::byte> bytes, std::string file) : cursor_(bytes), bytes_(bytes) {
    gguf_.file_ = std::move(file);
  }

  Result<Gguf> parse() {
    for (auto part : {&GgufParser::read_header,
                      &GgufParser::read_keys,
                      &GgufParser::check_general_keys,
                      &GgufParser::read_tensors,
                      &GgufParser::place_tensors})
      if (auto read = (this->*part)(); !read) return read.error();
    return std::move(gguf_);
  }

 private:
  [[nodiscard]] Error damaged(const std::string& what) const {
    return {ErrorCode::data_loss, gguf_.file_ + ": " + what};
  }
  [[nodiscard]] Error not_ours(const std::string& what) const {
    return {ErrorCode::invalid_argument, gguf_.file_ + ": " + what};
  }
  [[nodiscard]] Error ends_inside(const std::string& what) const {
    return damaged("ends inside " + what + ": it has " + std::to_string(bytes_.size()) + " bytes");
  }

  Result<void> read_header();
  Result<void> read_keys();
  Result<void> check_general_keys();
  Result<void> read_tensors();
  Result<void> place_tensors();
  /// `what` names the string; it is asked only when something is wrong.
  template <class Describe>
  Result<std::string_view> read_string(const Describe& what);
  Result<GgufValue> read_value(const std::string& what);
  Result<void> read_elements(GgufValue& value, const std::string& what);
  Result<GgufTensor> read_tensor(std::uint64_t number, std::uint64_t& offset);
  /// Checks dims and type against each other; the tensor's bytes.
  Result<std::uint64_t> size_of(const GgufTensor& tensor, const std::string& place) const;

  Gguf gguf_;
  Cursor cursor_;
  std::span<const std::byte> bytes_;
  std::uint64_t key_count_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::vector<std::uint64_t> offsets_;  // of the tensors, as the file states them
};

Result<void> GgufParser::read_header() {
  std::string_view start = as_text(bytes_.first(std::min<std::size_t>(bytes_.size(), 256)));
  if (std::string what = describe_stand_in(start); !what.empty()) return damaged(what);
  std::string_view magic = start.substr(0, 4);
  if (magic.size() == 4 && magic != "GGUF")
    return damaged("is no GGUF file: it begins with " + quoted(magic) + " instead of 'GGUF'");
  if (bytes_.size() < kHeaderBytes)
    return damaged("has " + std::to_string(bytes_.size()) + " bytes, the header alone takes " +
                   std::to_string(kHeaderBytes));
  cursor_.take(magic.size());
  bool there =
      cursor_.read(gguf_.version_) && cursor_.read(tensor_count_) && cursor_.read(key_count_);
  CHECK(there);
  if ((gguf_.version_ & 0xFFFF) == 0)
    return not_ours("its version reads as " + std::to_string(gguf_.version_) +
                    ": a file of a big-endian machine; only little-endian files are read");
  if (gguf_.version_ == 1)
    return not_ours("version 1 of GGUF is out of use; write the file again as version 3");
  if (gguf_.version_ != 2 && gguf_.version_ != 3)
    return not_ours("version " + std::to_string(gguf_.version_) +
                    " of GGUF is not known; known are 2 and 3");
  if (tensor_count_ > kCountMax)
    return damaged("states " + std::to_string(tensor_count_) + " tensors, the limit is " +
                   std::to_string(kCountMax));
  if (key_count_ > kCountMax)
    return damaged("states " + std::to_string(key_count_) + " keys, the limit is " +
                   std::to_string(kCountMax));
  std::uint64_t least = key_count_ * kKeyBytesMin + tensor_count_ * kTensorBytesMin;
  if (least > cursor_.remaining())
    return damaged("states " + std::to_string(key_count_) + " keys and " +
                   std::to_string(tensor_count_) + " tensors, which take at least " +
                   std::to_string(least) + " bytes, but only " +
                   std::to_string(cursor_.remaining()) + " follow");
  return {};
}

template <class Describe>
Result<std::string_view> GgufParser::read_string(const Describe& what) {
  std::uint64_t length = 0;
  if (!cursor_.read(length)) return ends_inside("the length of " + what());
  if (length > cursor_.remaining())
    return damaged(what() + " has a length of " + std::to_string(length) + " bytes, but only " +
                   std::to_string(cursor_.remaining()) + " are left in the file");
  return as_text(cursor_.take(length));
}

Result<void> GgufParser::read_elements(GgufValue& value, const std::string& what) {
  std::size_t begin = cursor_.position();
  std::size_t size = element_bytes(value.type);
  std::uint64_t count_max = cursor_.remaining() / (size != 0 ? size : sizeof(std::uint64_t));
  if (value.count > count_max)
    return damaged(what + " has " + std::to_string(value.count) + " elements of type " +
                   std::string(to_string(value.type)) + ", but the " +
                   std::to_string(cursor_.remaining()) +
                   " bytes that are left in the file hold at most " + std::to_string(count_max));
  if (value.count > kArrayMax)
    return damaged(what + " has " + std::to_string(value.count) + " elements, the limit is " +
                   std::to_string(kArrayMax));
  if (value.type == GgufType::string) {
    for (std::uint64_t i = 0; i < value.count; ++i) {
      auto text =
          read_string([&] { return value.is_array ? what + "[" + std::to_string(i) + "]" : what; });
      if (!text) return text.error();
    }
  } else {
    cursor_.take(value.count * size);
  }
  value.bytes = bytes_.subspan(begin, cursor_.position() - begin);
  if (value.type != GgufType::boolean) return {};
  for (std::byte flag : value.bytes)
    if (std::to_integer<int>(flag) > 1)
      return damaged(what + " holds a bool that is " + std::to_string(std::to_integer<int>(flag)) +
                     ", must be 0 or 1");
  return {};
}

Result<GgufValue> GgufParser::read_value(const std::string& what) {
  auto known = [](std::uint32_t id) { return id <= static_cast<std::uint32_t>(GgufType::f64); };
  auto unknown = [&](const char* part, std::uint32_t id) {
    return damaged(what + " has the " + part + " type " + std::to_string(id) +
                   ", known are 0 to 12");
  };
  GgufValue value;
  std::uint32_t id = 0;
  if (!cursor_.read(id)) return ends_inside("the type of " + what);
  if (!known(id)) return unknown("value", id);
  value.type = static_cast<GgufType>(id);
  if (value.type == GgufType::array) {
    value.is_array = true;
    if (!cursor_.read(id) || !cursor_.read(value.count)) return ends_inside("the array " + what);
    if (!known(id)) return unknown("element", id);
    value.type = static_cast<GgufType>(id);
    if (value.type == GgufType::array)
      return not_ours(what + " is an array of arrays, which is not supported");
  }
  if (auto read = read_elements(value, what); !read) return read.error();
  return value;
}

Result<void> GgufParser::read_keys() {
  for (std::uint64_t i = 0; i < key_count_; ++i) {
    std::string number = "key " + std::to_string(i + 1) + " of " + std::to_string(key_count_);
    auto name = read_string([&] { return "the name of " + number; });
    if (!name) return name.error();
    if (name->empty() || name->size() > kKeyNameMax || !is_ascii(*name))
      return damaged("the name of " + number + " is " + quoted(*name) + " of " +
                     std::to_string(name->size()) + " bytes, must be 1 to " +
                     std::to_string(kKeyNameMax) + " bytes of printable ASCII");
    std::string place = "key " + quoted(*name);
    auto value = read_value(place);
    if (!value) return value.error();
    if (name->starts_with("general.") && value->type == GgufType::string) {
      for (std::string_view text : texts_of(*value))
        if (!is_valid_utf8(text))
          return damaged(place + " is " + quoted(text) + ", which is not UTF-8");
    }
    if (!gguf_.keys_.emplace(*name, *value).second) return damaged(place + " stands twice");
  }
  return {};
}

Result<void> GgufParser::check_general_keys() {
  GgufFields fields(gguf_);
  std::int64_t alignment =
      fields.integer("general.alignment", kAlignmentMin, kAlignmentMax, kAlignmentDefault);
  if (!fields.failed() && !std::has_single_bit(static_cast<std::uint64_t>(alignment)))
    fields.refuse("general.alignment",
                  "is " + std::to_string(alignment) + ", must be a power of two");
  gguf_.alignment_ = static_cast<std::uint64_t>(alignment);
  fields.integer("general.quantization_version", 2, 2, 2);
  std::string_view type = fields.text("general.type", 64, "model");
  if (!fields.failed() && type != "model")
    fields.refuse("general.type", "is " + quoted(type) + ", only 'model' can be served");
  constexpr std::int64_t kPartsMax = 65'535;
  if (fields.integer("split.count", 0, kPartsMax, 0) > 1)
    fields.refuse("split.count",
                  "is " + describe(*gguf_.find("split.count")) +
                      ": the file is one part of many; merge them into one file");
  if (fields.failed()) return fields.error();
  return {};
}

Result<GgufTensor> GgufParser::read_tensor(std::uint64_t number, std::uint64_t& offset) {
  std::string ordinal =
      "tensor " + std::to_string(number + 1) + " of " + std::to_string(tensor_count_);
  auto name = read_string([&] { return "the name of " + ordinal; });
  if (!name) return name.error();
  if (name->empty() || name->size() > kTensorNameMax || !is_valid_utf8(*name))
    return damaged("the name of " + ordinal + " is " + quoted(*name) + " of " +
                   std::to_string(name->size()) + " bytes, must be 1 to " +
                   std::to_string(kTensorNameMax) + " bytes of UTF-8");
  std::string place = "tensor " + quoted(*name);
  GgufTensor tensor;
  tensor.name = *name;
  if (!cursor_.read(tensor.rank)) return ends_inside("the rank of " + place);
  if (tensor.rank < 1 || tensor.rank > kRankMax)
    return damaged(place + " has the rank " + std::to_string(tensor.rank) + ", must be in [1, 4]");
  for (std::uint32_t i = 0; i < tensor.rank; ++i)
    if (!cursor_.read(tensor.dims[i])) return ends_inside("the dimensions of " + place);
  std::uint32_t type = 0;
  if (!cursor_.read(type) || !cursor_.read(offset))
    return ends_inside("the type and offset of " + place);
  tensor.format = find_block_format(type);
  if (tensor.format == nullptr)
    return not_ours(place + " has the type " + std::to_string(type) + " (" +
                    describe_block_type(type) + "), which is not supported; supported are " +
                    known_block_types());
  return tensor;
}

Result<std::uint64_t> GgufParser::size_of(const GgufTensor& tensor,
                                          const std::string& place) const {
  std::string shape = place + " has the shape " + describe_dims(tensor);
  std::uint64_t elements = 1;
  for (std::uint32_t i = 0; i < tensor.rank; ++i) {
    if (tensor.dims[i] < 1 || tensor.dims[i] > kDimensionMax)
      return damaged(shape + ", each dimension must be in [1, 2^40]");
    if (__builtin_mul_overflow(elements, tensor.dims[i], &elements) || elements > kElementsMax)
      return damaged(shape + ", which is more than 2^48 elements");
  }
  if (tensor.dims[0] % tensor.format->elements != 0)
    return damaged(shape + ", but rows of " + std::string(tensor.format->name) +
                   " are multiples of " + std::to_string(tensor.format->elements));
  // At most 2^48 elements of at most 4 bytes each: no overflow.
  return elements / tensor.format->elements * tensor.format->bytes;
}

Result<void> GgufParser::read_tensors() {
  gguf_.tensors_.reserve(tensor_count_);
  offsets_.reserve(tensor_count_);
  for (std::uint64_t i = 0; i < tensor_count_; ++i) {
    std::uint64_t offset = 0;
    auto tensor = read_tensor(i, offset);
    if (!tensor) return tensor.error();
    if (!gguf_.tensor_index_.emplace(tensor->name, gguf_.tensors_.size()).second)
      return damaged("tensor " + quoted(tensor->name) + " stands twice");
    gguf_.tensors_.push_back(*tensor);
    offsets_.push_back(offset);
  }
  return {};
}

Result<void> GgufParser::place_tensors() {
  if (gguf_.tensors_.empty() && cursor_.remaining() == 0) return {};  // a vocabulary alone
  std::uint64_t alignment = gguf_.alignment_;
  auto padding_after = [alignment](std::uint64_t size) {
    return (alignment - size % alignment) % alignment;
  };
  std::uint64_t padding = padding_after(cursor_.position());
  if (padding > cursor_.remaining())
    return ends_inside("the padding before its data, which begin at byte " +
                       std::to_string(cursor_.position() + padding));
  cursor_.take(padding);
  std::span<const std::byte> data = bytes_.subspan(cursor_.position());
  std::uint64_t expected = 0;
  for (std::size_t i = 0; i < gguf_.tensors_.size(); ++i) {
    GgufTensor& tensor = gguf_.tensors_[i];
    std::string place = "tensor " + quoted(tensor.name);
    auto size = size_of(tensor, place);
    if (!size) return size.error();
    std::uint64_t offset = offsets_[i];
    if (offset % alignment != 0)
      return damaged(place + " has the offset " + std::to_string(offset) +
                     ", must be a multiple of the alignment, which is " +
                     std::to_string(alignment));
    if (offset != expected)
      return damaged(place + " has the offset " + std::to_string(offset) + ", must be " +
                     std::to_string(expected) + ", where the one before it ends: " +
                     (offset < expected ? "they overlap" : "there is a hole"));
    if (offset > data.size() || *size > data.size() - offset)
      return damaged(place + " has " + std::to_string(*size) + " bytes from offset " +
                     std::to_string(offset) + " on, but the file has only " +
                     std::to_string(data.size()) + " bytes of data");
    tensor.data = data.subspan(offset, *size);
    // Both are at most the file's size; the padding may reach beyond its end, which the next
    // tensor notices.
    expected = offset + *size + padding_after(*size);
  }
  std::uint64_t end =
      gguf_.tensors_.empty() ? 0 : offsets_.back() + gguf_.tensors_.back().data.size();
  if (data.size() - end >= alignment)
    return damaged("has " + std::to_string(data.size() - end) +
                   " bytes behind its last tensor, must be less than the alignment, which is " +
                   std::to_string(alignment));
  return {};
}

Result<Gguf> Gguf::parse(std::span<const std::byte> bytes, const std::string& file) {
  return GgufParser(bytes, file).parse();
}

const GgufValue* Gguf::find(std::string_view key) const {
  auto found = keys_.find(key);
  return found == keys_.end() ? nullptr : &found->second;
}

const GgufTensor* Gguf::find_tensor(std::string_view name) const {
  auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace sluice
