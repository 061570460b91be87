// Writes GGUF files byte by byte, right ones and wrong ones, for the tests of what reads them.
#pragma once

#include "models/checkpoint/gguf.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::testing {

/// The bytes of numbers, one after another.
template <class... Numbers>
std::string raw(Numbers... numbers) {
  std::string bytes;
  auto append = [&bytes](auto number) {
    char text[sizeof number];
    std::memcpy(text, &number, sizeof number);
    bytes.append(text, sizeof text);
  };
  (append(numbers), ...);
  return bytes;
}

/// A length and a text.
inline std::string raw_text(std::string_view text) {
  return raw(std::uint64_t{text.size()}) + std::string(text);
}

/// A file in the making. Whatever is public may be set to something wrong before `bytes`.
class GgufBytes {
 public:
  struct Tensor {
    std::string name;
    std::vector<std::uint64_t> dims;  // [0]: of a row
    std::uint32_t type = 0;
    std::string data;
    std::uint64_t offset = 0;
  };
  std::uint32_t version = 3;
  std::uint64_t alignment = 32;
  std::vector<std::string> keys;  // as they stand in the file
  std::vector<Tensor> tensors;
  std::string behind;  // the last tensor

  GgufBytes& key(std::string_view name, GgufType type, const std::string& value) {
    keys.push_back(raw_text(name) + raw(static_cast<std::uint32_t>(type)) + value);
    return *this;
  }
  GgufBytes& integer(std::string_view name, std::uint32_t value) {
    return key(name, GgufType::u32, raw(value));
  }
  GgufBytes& number(std::string_view name, float value) {
    return key(name, GgufType::f32, raw(value));
  }
  GgufBytes& boolean(std::string_view name, bool value) {
    return key(name, GgufType::boolean, std::string(1, value ? '\x01' : '\0'));
  }
  GgufBytes& text(std::string_view name, std::string_view value) {
    return key(name, GgufType::string, raw_text(value));
  }
  GgufBytes& array(std::string_view name,
                   GgufType type,
                   std::uint64_t count,
                   const std::string& elements) {
    return key(name, GgufType::array, raw(static_cast<std::uint32_t>(type), count) + elements);
  }
  GgufBytes& texts(std::string_view name, const std::vector<std::string>& values) {
    std::string elements;
    for (const std::string& value : values)
      elements += raw_text(value);
    return array(name, GgufType::string, values.size(), elements);
  }
  GgufBytes& integers(std::string_view name, const std::vector<std::int32_t>& values) {
    std::string elements;
    for (std::int32_t value : values)
      elements += raw(value);
    return array(name, GgufType::i32, values.size(), elements);
  }
  GgufBytes& floats(std::string_view name, const std::vector<float>& values) {
    std::string elements;
    for (float value : values)
      elements += raw(value);
    return array(name, GgufType::f32, values.size(), elements);
  }

  /// Behind the ones that are there already, padded.
  GgufBytes& tensor(const std::string& name,
                    const std::vector<std::uint64_t>& dims,
                    BlockType type,
                    const std::string& data) {
    std::uint64_t end =
        tensors.empty() ? 0 : tensors.back().offset + padded(tensors.back().data.size());
    tensors.push_back({name, dims, static_cast<std::uint32_t>(type), data, end});
    return *this;
  }
  /// Of zeros.
  GgufBytes& zeros(const std::string& name,
                   const std::vector<std::uint64_t>& dims,
                   BlockType type = BlockType::f32) {
    std::uint64_t count = 1;
    for (std::uint64_t dim : dims)
      count *= dim;
    const BlockFormat& format = format_of(type);
    return tensor(name, dims, type, std::string(count / format.elements * format.bytes, '\0'));
  }

  /// Takes a key away.
  GgufBytes& drop(std::string_view name) {
    std::erase_if(keys, [&](const std::string& key) { return key.starts_with(raw_text(name)); });
    return *this;
  }

  [[nodiscard]] std::string header() const {
    return "GGUF" + raw(version, std::uint64_t{tensors.size()}, std::uint64_t{keys.size()});
  }
  [[nodiscard]] std::string bytes() const {
    std::string bytes = header();
    for (const std::string& key : keys)
      bytes += key;
    for (const Tensor& tensor : tensors) {
      bytes += raw_text(tensor.name) + raw(static_cast<std::uint32_t>(tensor.dims.size()));
      for (std::uint64_t dim : tensor.dims)
        bytes += raw(dim);
      bytes += raw(tensor.type, tensor.offset);
    }
    if (tensors.empty()) return bytes + behind;
    bytes.resize(padded(bytes.size()));
    std::size_t begin = bytes.size();
    for (const Tensor& tensor : tensors) {
      bytes.resize(begin + padded(bytes.size() - begin));
      bytes += tensor.data;
    }
    return bytes + behind;
  }

 private:
  [[nodiscard]] std::uint64_t padded(std::uint64_t size) const {
    return (size + alignment - 1) / alignment * alignment;
  }
};

/// Looks at the bytes of a text.
inline std::span<const std::byte> as_bytes(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

}  // namespace sluice::testing
