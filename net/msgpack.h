// MessagePack, read under limits without copies, and written into a reused buffer.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// What a payload may hold.
struct MsgpackLimits {
  std::size_t depth_max = 32;
  std::size_t elements_max = 1'000'000;  ///< declared in all, a map's pair counts twice
};

enum class MsgpackKind : std::uint8_t {
  nil,
  boolean,
  uint,   ///< an integer >= 0
  sint,   ///< an integer < 0
  real,   ///< float32 or float64
  text,   ///< str, valid UTF-8
  bytes,  ///< bin
  timestamp,
  array,
  map,
};

/// One value of a parsed payload, in the order of the bytes; a container is followed by its
/// elements.
struct MsgpackItem {
  MsgpackKind kind = MsgpackKind::nil;
  std::uint32_t size = 0;  ///< bytes of text; elements of an array; pairs of a map
  union {
    std::uint64_t uint = 0;
    std::int64_t sint;
    double real;
    const char* data;
    std::size_t end;  ///< container: the index past its last element
  };
};

/// Reads the values of a payload one after another. The first mistake sticks: its error names the
/// field, and every call after it changes nothing and returns zero or nothing, so that a reader
/// checks once, at its end. Counts are zero then, so loops end. Text points into the payload.
class MsgpackCursor {
 public:
  MsgpackCursor() = default;  ///< over nothing
  explicit MsgpackCursor(std::span<const MsgpackItem> items) : items_(items) {}

  /// The kind of the next value; nil at the end.
  [[nodiscard]] MsgpackKind peek() const;
  /// Enters an array of at least `elements_min` elements and returns how many it has. Elements of
  /// a later minor version are left behind by `skip`.
  std::size_t array(std::string_view field, std::size_t elements_min = 0);
  /// Enters a map and returns its pairs: text key, value, text key, ...
  std::size_t map(std::string_view field);
  std::uint64_t u64(std::string_view field, std::uint64_t max = UINT64_MAX);
  std::uint32_t u32(std::string_view field) {
    return static_cast<std::uint32_t>(u64(field, UINT32_MAX));
  }
  std::int64_t i64(std::string_view field);
  double f64(std::string_view field);  ///< integers are numbers too
  float f32(std::string_view field) { return static_cast<float>(f64(field)); }
  bool boolean(std::string_view field);
  std::string_view string(std::string_view field);
  std::string_view bytes(std::string_view field);
  bool nil();  ///< takes a nil if one is next
  /// A whole array of integers in [0, max]; appended to `values`.
  void u32s(std::string_view field,
            std::vector<std::uint32_t>& values,
            std::uint32_t max = UINT32_MAX);
  /// A whole array of numbers; appended to `values`.
  void f32s(std::string_view field, std::vector<float>& values);
  void skip(std::size_t count = 1);  ///< `count` values with all they contain

  /// Marks the value as wrong: "field <message>".
  void fail(std::string_view field, std::string_view message);
  [[nodiscard]] bool ok() const { return !failed_; }
  [[nodiscard]] bool at_end() const { return next_ == items_.size(); }
  /// Success, or the first mistake. Errors: data_loss.
  [[nodiscard]] Result<void> result() const;

 private:
  const MsgpackItem* take(std::string_view field, MsgpackKind kind, std::string_view expected);

  std::span<const MsgpackItem> items_;
  std::size_t next_ = 0;
  bool failed_ = false;
  std::string message_;
};

/// Parses payloads into a tape of items that is reused from one to the next. All limits are checked
/// before anything is reserved: depth, declared elements (never more than the payload has bytes),
/// lengths, UTF-8, keys (text, no duplicates), extension types (only timestamps), nothing left
/// over. One owner; not thread-safe.
class MsgpackReader {
 public:
  explicit MsgpackReader(MsgpackLimits limits = {}) : limits_(limits) {}

  /// A cursor over the one value that `payload` holds. It and the cursor are valid until the next
  /// `parse`; the payload must outlive them.
  /// Errors: data_loss, with what is wrong.
  Result<MsgpackCursor> parse(std::string_view payload);
  /// A cursor over the values at the front of a payload whose rest may be missing: as far as they
  /// can be read. Containers that are not complete can be entered, but not skipped.
  MsgpackCursor front(std::string_view payload);

  [[nodiscard]] std::size_t capacity_bytes() const {
    return tape_.capacity() * sizeof(MsgpackItem) + keys_.capacity() * sizeof(std::string_view);
  }

 private:
  friend class TapeVisitor;

  MsgpackLimits limits_;
  std::vector<MsgpackItem> tape_;
  std::vector<std::string_view> keys_;  ///< of the maps that are open
};

/// Appends MessagePack to a buffer, integers in their shortest form. A container is its head, then
/// its elements (a map's pairs: key, value).
class MsgpackWriter {
 public:
  explicit MsgpackWriter(std::string& out) : out_(out) {}

  MsgpackWriter& array(std::size_t elements);
  MsgpackWriter& map(std::size_t pairs);
  MsgpackWriter& u64(std::uint64_t value);
  MsgpackWriter& i64(std::int64_t value);
  MsgpackWriter& f32(float value);
  MsgpackWriter& f64(double value);
  MsgpackWriter& boolean(bool value);
  MsgpackWriter& string(std::string_view text);  ///< valid UTF-8 is the caller's promise
  MsgpackWriter& bytes(std::string_view data);
  MsgpackWriter& nil();
  MsgpackWriter& u32s(std::span<const std::uint32_t> values);  ///< a whole array
  MsgpackWriter& f32s(std::span<const float> values);          ///< a whole array

 private:
  std::string& out_;
};

}  // namespace sluice
