#include "codec.h"

#include <msgpack.hpp>

#include <utility>
#include <vector>

namespace sluice::client::detail {
namespace {

constexpr std::size_t kDepthMax = 32;
constexpr std::size_t kValuesMax = 1'000'000;
constexpr std::size_t kPrefixBytes = 4;

struct StringStream {
  std::string& out;
  void write(const char* data, std::size_t size) { out.append(data, size); }
};

using Packer = msgpack::packer<StringStream>;

void pack_value(Packer& packer, const Value& value) {
  if (value.is_nil()) {
    packer.pack_nil();
  } else if (value.is_boolean()) {
    value.boolean() ? packer.pack_true() : packer.pack_false();
  } else if (value.is_integer()) {
    packer.pack_int64(value.integer());
  } else if (value.is_number()) {
    packer.pack_double(value.number());
  } else if (value.is_text()) {
    packer.pack_str(static_cast<std::uint32_t>(value.text().size()));
    packer.pack_str_body(value.text().data(), static_cast<std::uint32_t>(value.text().size()));
  } else if (value.is_bytes()) {
    packer.pack_bin(static_cast<std::uint32_t>(value.bytes().size()));
    packer.pack_bin_body(value.bytes().data(), static_cast<std::uint32_t>(value.bytes().size()));
  } else if (value.is_array()) {
    packer.pack_array(static_cast<std::uint32_t>(value.array().size()));
    for (const Value& entry : value.array())
      pack_value(packer, entry);
  } else {
    packer.pack_map(static_cast<std::uint32_t>(value.map().size()));
    for (const auto& [key, member] : value.map()) {
      pack_value(packer, key);
      pack_value(packer, member);
    }
  }
}

/// Builds a value from the parser's events. A method that returns false stops it.
class Builder : public msgpack::null_visitor {
 public:
  [[nodiscard]] Value take() { return std::move(root_); }

  bool visit_nil() { return add(nullptr); }
  bool visit_boolean(bool value) { return add(value); }
  bool visit_positive_integer(std::uint64_t value) {
    // What no int64 holds is a number, as in JSON.
    return value <= INT64_MAX ? add(static_cast<std::int64_t>(value))
                              : add(static_cast<double>(value));
  }
  bool visit_negative_integer(std::int64_t value) { return add(value); }
  bool visit_float32(float value) { return add(value); }
  bool visit_float64(double value) { return add(value); }
  bool visit_str(const char* data, std::uint32_t size) {
    if (!in_key_) return add(std::string(data, size));
    keys_.emplace_back(data, size);
    in_key_ = false;
    return true;
  }
  bool visit_bin(const char* data, std::uint32_t size) {
    return add(Value::Bytes{std::string(data, size)});
  }
  bool visit_ext(const char*, std::uint32_t) {
    return add(nullptr);
  }  // a time; nothing here has any
  bool start_array(std::uint32_t) { return open(Value::Array()); }
  bool end_array() { return close(); }
  bool start_map(std::uint32_t) { return open(Value::Map()); }
  bool start_map_key() {
    in_key_ = true;
    return true;
  }
  bool end_map() { return close(); }
  void parse_error(std::size_t, std::size_t) {}
  void insufficient_bytes(std::size_t, std::size_t) {}

 private:
  struct Open {
    Value::Array array;
    Value::Map map;
    bool is_map = false;
  };

  bool add(Value value) {
    if (in_key_ || ++values_ > kValuesMax) return false;
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (Open& container = open_.back(); container.is_map) {
      container.map.emplace_back(std::move(keys_.back()), std::move(value));
      keys_.pop_back();
    } else {
      container.array.push_back(std::move(value));
    }
    return true;
  }
  bool open(const Value& kind) {
    if (in_key_ || open_.size() == kDepthMax) return false;
    open_.push_back({{}, {}, kind.is_map()});
    return true;
  }
  bool close() {
    Open container = std::move(open_.back());
    open_.pop_back();
    return container.is_map ? add(std::move(container.map)) : add(std::move(container.array));
  }

  Value root_;
  std::vector<Open> open_;
  std::vector<std::string> keys_;
  std::size_t values_ = 0;
  bool in_key_ = false;
};

}  // namespace

std::string encode(const Value::Array& message) {
  std::string out(kPrefixBytes, '\0');
  StringStream stream{out};
  Packer packer(stream);
  pack_value(packer, message);
  const std::size_t size = out.size() - kPrefixBytes;
  for (std::size_t i = 0; i < kPrefixBytes; ++i)
    out[i] = static_cast<char>(size >> (24 - 8 * i) & 0xFF);
  return out;
}

std::optional<Value> decode(std::string_view payload) {
  Builder builder;
  std::size_t offset = 0;
  if (payload.empty() || !msgpack::parse(payload.data(), payload.size(), offset, builder) ||
      offset != payload.size())
    return std::nullopt;
  return builder.take();
}

std::optional<std::string_view> Splitter::next() {
  if (broken_) return std::nullopt;
  if (used_ > 0) {
    buffer_.erase(0, std::exchange(used_, 0));
    if (buffer_.empty()) std::string().swap(buffer_);
  }
  if (buffer_.size() < kPrefixBytes) return std::nullopt;
  std::size_t size = 0;
  for (std::size_t i = 0; i < kPrefixBytes; ++i)
    size = size << 8 | static_cast<unsigned char>(buffer_[i]);
  broken_ = size == 0 || size > bytes_max_;
  if (broken_ || buffer_.size() - kPrefixBytes < size) return std::nullopt;
  used_ = kPrefixBytes + size;
  return std::string_view(buffer_).substr(kPrefixBytes, size);
}

}  // namespace sluice::client::detail
