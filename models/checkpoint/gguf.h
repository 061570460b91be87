// A GGUF file taken apart: keys and tensors as views of its bytes, every field checked. Pure: looks
// at bytes that somebody else holds.
#pragma once

#include "base/result.h"
#include "models/checkpoint/blocks.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The types of values, with their numbers in files.
enum class GgufType : std::uint8_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};
std::string_view to_string(GgufType type);

/// A value of a key, where it lies. Strings are a length (u64) and as many bytes.
struct GgufValue {
  GgufType type = GgufType::u8;  ///< of the value, or of the elements of an array
  bool is_array = false;
  std::uint64_t count = 1;           ///< of elements; 1 if it is none
  std::span<const std::byte> bytes;  ///< of all elements; aligned to nothing
};

/// The text of a string, the texts of an array of strings. The value must be of that type.
std::string_view text_of(const GgufValue& value);
std::vector<std::string_view> texts_of(const GgufValue& value);
/// An element of a value as a number: nothing if it is of another kind, or no std::int64_t holds
/// it.
std::optional<std::int64_t> integer_of(const GgufValue& value, std::uint64_t index = 0);
std::optional<double> number_of(const GgufValue& value, std::uint64_t index = 0);
/// A text of a file for a message: in quotes, cut short, UTF-8 whatever it was, and
/// on one line.
std::string quoted(std::string_view text);
/// A value for a message: "7", "'llama'", "an array of 3 u32".
std::string describe(const GgufValue& value);

/// A tensor. `dims[0]` is the one whose numbers lie side by side: a row.
struct GgufTensor {
  std::string_view name;
  std::uint32_t rank = 0;
  std::array<std::uint64_t, 4> dims{1, 1, 1, 1};
  const BlockFormat* format = nullptr;
  std::span<const std::byte> data;
};

/// What a file says. All views are into the bytes it was parsed from, which must live as long.
class Gguf {
 public:
  /// Versions 2 and 3. Checks everything that can be known without a model's architecture: counts,
  /// lengths, types, names, UTF-8, doubles, the alignment, and that the tensors' bytes lie one
  /// after another to the end of the file. `file` is its name for messages.
  /// Memory: some hundred bytes a key and a tensor, whatever their values hold.
  /// Errors: data_loss (damaged), invalid_argument (well formed, but nothing we read: another
  /// version or byte order, a type we do not decode, one part of many). The message names the file,
  /// the key or tensor, the value and what would be right.
  static Result<Gguf> parse(std::span<const std::byte> bytes, const std::string& file);

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] std::uint32_t version() const { return version_; }
  [[nodiscard]] std::uint64_t alignment() const { return alignment_; }
  [[nodiscard]] const std::map<std::string_view, GgufValue>& keys() const { return keys_; }
  /// In the order of the file, which is the order of their bytes.
  [[nodiscard]] const std::vector<GgufTensor>& tensors() const { return tensors_; }
  /// Null if there is none of that name.
  [[nodiscard]] const GgufValue* find(std::string_view key) const;
  [[nodiscard]] const GgufTensor* find_tensor(std::string_view name) const;

 private:
  friend class GgufParser;
  Gguf() = default;

  std::string file_;
  std::uint32_t version_ = 0;
  std::uint64_t alignment_ = 0;
  std::map<std::string_view, GgufValue> keys_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace sluice
