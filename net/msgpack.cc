// MessagePack by msgpack-cxx: a visitor that holds the limits and fills the tape; a packer.
#include "net/msgpack.h"

#include "base/check.h"
#include "base/utf8.h"

#include <msgpack.hpp>

#include <algorithm>

namespace sluice {

/// What msgpack::parse calls. A method that returns false stops the parse.
class TapeVisitor : public msgpack::null_visitor {
 public:
  TapeVisitor(MsgpackReader& reader, std::size_t payload_bytes)
      : limits_(reader.limits_),
        tape_(reader.tape_),
        keys_(reader.keys_),
        elements_left_(std::min(limits_.elements_max, payload_bytes)) {}

  [[nodiscard]] const char* why() const { return why_; }
  void insufficient_bytes(std::size_t, std::size_t) { why_ = "the payload ends within a value"; }

  bool visit_nil() { return push(MsgpackKind::nil, 0, 0); }
  bool visit_boolean(bool value) { return push(MsgpackKind::boolean, value ? 1 : 0, 0); }
  bool visit_positive_integer(std::uint64_t value) { return push(MsgpackKind::uint, value, 0); }
  bool visit_negative_integer(std::int64_t value) {
    // The signed forms may carry what is not negative.
    return push(
        value < 0 ? MsgpackKind::sint : MsgpackKind::uint, static_cast<std::uint64_t>(value), 0);
  }
  bool visit_float32(float value) { return visit_float64(value); }
  bool visit_float64(double value) {
    if (in_key_) return stop("a map key that is not text");
    tape_.emplace_back().kind = MsgpackKind::real;
    tape_.back().real = value;
    return true;
  }
  bool visit_str(const char* data, std::uint32_t size) {
    const std::string_view text(data, size);
    if (!is_valid_utf8(text)) return stop("text that is not UTF-8");
    if (in_key_) {
      keys_.push_back(text);
      in_key_ = false;
    }
    return push_data(MsgpackKind::text, data, size);
  }
  bool visit_bin(const char* data, std::uint32_t size) {
    return !in_key_ ? push_data(MsgpackKind::bytes, data, size)
                    : stop("a map key that is not text");
  }
  bool visit_ext(const char* data, std::uint32_t size) {
    if (in_key_) return stop("a map key that is not text");
    // The type, then the data: only timestamps of 4, 8 or 12 bytes are known.
    const bool timestamp = static_cast<signed char>(data[0]) == -1 &&
                           (size == 1 + 4 || size == 1 + 8 || size == 1 + 12);
    if (!timestamp) return stop("an extension type that is not a timestamp");
    return push_data(MsgpackKind::timestamp, data + 1, size - 1);
  }

  bool start_array(std::uint32_t elements) {
    return open(MsgpackKind::array, elements, elements, 0);
  }
  bool end_array() {
    close();
    return true;
  }
  bool start_map(std::uint32_t pairs) {
    return open(MsgpackKind::map, pairs, std::uint64_t{2} * pairs, pairs);
  }
  bool start_map_key() {
    in_key_ = true;
    return true;
  }
  bool end_map() {
    const std::size_t pairs = tape_[open_.back()].size;
    const auto first = keys_.end() - static_cast<std::ptrdiff_t>(pairs);
    bool doubled = false;
    if (pairs <= 8) {
      for (auto key = first; key != keys_.end() && !doubled; ++key) {
        doubled = std::find(first, key, *key) != key;
      }
    } else {
      std::sort(first, keys_.end());
      doubled = std::adjacent_find(first, keys_.end()) != keys_.end();
    }
    if (doubled) return stop("a map key that occurs twice");
    keys_.erase(first, keys_.end());
    close();
    return true;
  }

 private:
  bool stop(const char* why) {
    why_ = why;
    return false;
  }

  bool push(MsgpackKind kind, std::uint64_t value, std::uint32_t size) {
    if (in_key_) return stop("a map key that is not text");
    MsgpackItem& item = tape_.emplace_back();
    item.kind = kind;
    item.size = size;
    item.uint = value;
    return true;
  }

  bool push_data(MsgpackKind kind, const char* data, std::uint32_t size) {
    MsgpackItem& item = tape_.emplace_back();
    item.kind = kind;
    item.size = size;
    item.data = data;
    return true;
  }

  bool open(MsgpackKind kind, std::uint32_t size, std::uint64_t elements, std::size_t keys) {
    if (in_key_) return stop("a map key that is not text");
    if (open_.size() == limits_.depth_max) return stop("nesting that is too deep");
    if (elements > elements_left_) return stop("more elements than the limit or the payload");
    elements_left_ -= static_cast<std::size_t>(elements);
    // What is declared fits the payload, so it may be reserved; grow by half at the least, or many
    // small containers would copy the tape each time.
    reserve(tape_, tape_.size() + 1 + static_cast<std::size_t>(elements));
    reserve(keys_, keys_.size() + keys);
    open_.push_back(tape_.size());
    return push(kind, 0, size);
  }

  template <class T>
  static void reserve(std::vector<T>& values, std::size_t size) {
    if (size <= values.capacity()) return;
    values.reserve(std::max(size, values.capacity() + values.capacity() / 2));
  }

  void close() {
    tape_[open_.back()].end = tape_.size();
    open_.pop_back();
  }

  const MsgpackLimits& limits_;
  std::vector<MsgpackItem>& tape_;
  std::vector<std::string_view>& keys_;
  std::vector<std::size_t> open_;  ///< the indices of the open containers
  std::size_t elements_left_;
  bool in_key_ = false;
  const char* why_ = "a byte that begins no value";
};

Result<MsgpackCursor> MsgpackReader::parse(std::string_view payload) {
  tape_.clear();
  keys_.clear();
  if (payload.empty()) return Error{ErrorCode::data_loss, "msgpack: an empty payload"};
  TapeVisitor visitor(*this, payload.size());
  std::size_t offset = 0;
  const bool whole = msgpack::parse(payload.data(), payload.size(), offset, visitor);
  if (!whole) {
    return Error{ErrorCode::data_loss, std::string("msgpack: ") + visitor.why()};
  }
  if (offset != payload.size()) {
    return Error{ErrorCode::data_loss,
                 "msgpack: " + std::to_string(payload.size() - offset) + " trailing bytes"};
  }
  return MsgpackCursor(tape_);
}

MsgpackCursor MsgpackReader::front(std::string_view payload) {
  tape_.clear();
  keys_.clear();
  TapeVisitor visitor(*this, payload.size());
  std::size_t offset = 0;
  if (!payload.empty()) (void)msgpack::parse(payload.data(), payload.size(), offset, visitor);
  return MsgpackCursor(tape_);
}

MsgpackKind MsgpackCursor::peek() const {
  return failed_ || at_end() ? MsgpackKind::nil : items_[next_].kind;
}

const MsgpackItem* MsgpackCursor::take(std::string_view field,
                                       MsgpackKind kind,
                                       std::string_view expected) {
  if (failed_) return nullptr;
  if (at_end() || items_[next_].kind != kind) {
    fail(field, std::string("must be ").append(expected));
    return nullptr;
  }
  return &items_[next_++];
}

std::size_t MsgpackCursor::array(std::string_view field, std::size_t elements_min) {
  const MsgpackItem* item = take(field, MsgpackKind::array, "an array");
  if (item == nullptr) return 0;
  if (item->size < elements_min) {
    fail(field,
         "has " + std::to_string(item->size) + " elements, at least " +
             std::to_string(elements_min) + " are needed");
    return 0;
  }
  return item->size;
}

std::size_t MsgpackCursor::map(std::string_view field) {
  const MsgpackItem* item = take(field, MsgpackKind::map, "a map");
  return item != nullptr ? item->size : 0;
}

std::uint64_t MsgpackCursor::u64(std::string_view field, std::uint64_t max) {
  const MsgpackItem* item = take(field, MsgpackKind::uint, "an integer of 0 or more");
  if (item == nullptr) return 0;
  if (item->uint > max) {
    fail(field, "is " + std::to_string(item->uint) + ", the limit is " + std::to_string(max));
    return 0;
  }
  return item->uint;
}

std::int64_t MsgpackCursor::i64(std::string_view field) {
  if (peek() == MsgpackKind::sint) return items_[next_++].sint;
  return static_cast<std::int64_t>(u64(field, INT64_MAX));
}

double MsgpackCursor::f64(std::string_view field) {
  switch (peek()) {
    case MsgpackKind::uint:
      return static_cast<double>(items_[next_++].uint);
    case MsgpackKind::sint:
      return static_cast<double>(items_[next_++].sint);
    default: {
      const MsgpackItem* item = take(field, MsgpackKind::real, "a number");
      return item != nullptr ? item->real : 0;
    }
  }
}

bool MsgpackCursor::boolean(std::string_view field) {
  const MsgpackItem* item = take(field, MsgpackKind::boolean, "true or false");
  return item != nullptr && item->uint != 0;
}

std::string_view MsgpackCursor::string(std::string_view field) {
  const MsgpackItem* item = take(field, MsgpackKind::text, "text");
  return item != nullptr ? std::string_view(item->data, item->size) : std::string_view();
}

std::string_view MsgpackCursor::bytes(std::string_view field) {
  const MsgpackItem* item = take(field, MsgpackKind::bytes, "bytes");
  return item != nullptr ? std::string_view(item->data, item->size) : std::string_view();
}

bool MsgpackCursor::nil() {
  if (failed_ || at_end() || items_[next_].kind != MsgpackKind::nil) return false;
  ++next_;
  return true;
}

void MsgpackCursor::u32s(std::string_view field,
                         std::vector<std::uint32_t>& values,
                         std::uint32_t max) {
  const std::size_t count = array(field);
  values.reserve(values.size() + count);
  for (std::size_t i = 0; i < count; ++i) {
    const MsgpackItem& item = items_[next_ + i];
    if (item.kind != MsgpackKind::uint || item.uint > max) {
      return fail(field,
                  "has an element " + std::to_string(i) + " that is no integer from 0 to " +
                      std::to_string(max));
    }
    values.push_back(static_cast<std::uint32_t>(item.uint));
  }
  next_ += count;
}

void MsgpackCursor::f32s(std::string_view field, std::vector<float>& values) {
  const std::size_t count = array(field);
  values.reserve(values.size() + count);
  for (std::size_t i = 0; i < count && ok(); ++i)
    values.push_back(f32(field));
}

void MsgpackCursor::skip(std::size_t count) {
  for (; count > 0 && !failed_; --count) {
    if (at_end()) return fail("the message", "has fewer elements than expected");
    const MsgpackItem& item = items_[next_];
    const bool container = item.kind == MsgpackKind::array || item.kind == MsgpackKind::map;
    next_ = container ? item.end : next_ + 1;
  }
}

void MsgpackCursor::fail(std::string_view field, std::string_view message) {
  if (failed_) return;
  failed_ = true;
  message_.append("msgpack: ").append(field).append(" ").append(message);
}

Result<void> MsgpackCursor::result() const {
  if (failed_) return Error{ErrorCode::data_loss, message_};
  return {};
}

namespace {

/// The stream that msgpack::packer writes to.
struct StringStream {
  std::string& out;
  void write(const char* data, std::size_t size) { out.append(data, size); }
};

using Packer = msgpack::packer<StringStream>;

std::uint32_t size32(std::size_t size) {
  CHECK(size <= UINT32_MAX);
  return static_cast<std::uint32_t>(size);
}

}  // namespace

MsgpackWriter& MsgpackWriter::array(std::size_t elements) {
  StringStream stream{out_};
  Packer(stream).pack_array(size32(elements));
  return *this;
}

MsgpackWriter& MsgpackWriter::map(std::size_t pairs) {
  StringStream stream{out_};
  Packer(stream).pack_map(size32(pairs));
  return *this;
}

MsgpackWriter& MsgpackWriter::u64(std::uint64_t value) {
  StringStream stream{out_};
  Packer(stream).pack_uint64(value);
  return *this;
}

MsgpackWriter& MsgpackWriter::i64(std::int64_t value) {
  StringStream stream{out_};
  Packer(stream).pack_int64(value);
  return *this;
}

MsgpackWriter& MsgpackWriter::f32(float value) {
  StringStream stream{out_};
  Packer(stream).pack_float(value);
  return *this;
}

MsgpackWriter& MsgpackWriter::f64(double value) {
  StringStream stream{out_};
  Packer(stream).pack_double(value);
  return *this;
}

MsgpackWriter& MsgpackWriter::boolean(bool value) {
  StringStream stream{out_};
  Packer packer(stream);
  value ? packer.pack_true() : packer.pack_false();
  return *this;
}

MsgpackWriter& MsgpackWriter::string(std::string_view text) {
  StringStream stream{out_};
  Packer packer(stream);
  packer.pack_str(size32(text.size()));
  packer.pack_str_body(text.data(), size32(text.size()));
  return *this;
}

MsgpackWriter& MsgpackWriter::bytes(std::string_view data) {
  StringStream stream{out_};
  Packer packer(stream);
  packer.pack_bin(size32(data.size()));
  packer.pack_bin_body(data.data(), size32(data.size()));
  return *this;
}

MsgpackWriter& MsgpackWriter::nil() {
  StringStream stream{out_};
  Packer(stream).pack_nil();
  return *this;
}

MsgpackWriter& MsgpackWriter::u32s(std::span<const std::uint32_t> values) {
  StringStream stream{out_};
  Packer packer(stream);
  packer.pack_array(size32(values.size()));
  for (const std::uint32_t value : values)
    packer.pack_uint32(value);
  return *this;
}

MsgpackWriter& MsgpackWriter::f32s(std::span<const float> values) {
  StringStream stream{out_};
  Packer packer(stream);
  packer.pack_array(size32(values.size()));
  for (const float value : values)
    packer.pack_float(value);
  return *this;
}

}  // namespace sluice
