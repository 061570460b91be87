#include "api/msgpack_tape.h"

#include "base/utf8.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace sluice {
namespace {

class TapeReader {
 public:
  std::variant<JsonTape, std::string> read(
      MsgpackCursor cursor, const std::vector<std::pair<std::string_view, MsgpackCursor>>& more) {
    tape_.reserve(32, 512);
    if (!read_members(cursor, &more)) return fault_.empty() ? tape_.fault() : std::move(fault_);
    return tape_.take();
  }

 private:
  using More = std::vector<std::pair<std::string_view, MsgpackCursor>>;

  bool refuse(std::string_view key, std::string_view what) {
    fault_ = std::string(what);
    if (!key.empty()) fault_ += " in " + excerpt(key);
    return false;
  }

  bool read_members(MsgpackCursor& cursor, const More* more) {
    if (!tape_.begin(JsonKind::object)) return false;
    std::vector<bool> given(more != nullptr ? more->size() : 0);
    for (std::size_t pairs = cursor.map("params"); pairs > 0; --pairs) {
      const std::string_view key = cursor.string("key");
      for (std::size_t i = 0; i < given.size(); ++i)
        if ((*more)[i].first == key) given[i] = true;
      tape_.key(key);
      if (!read_value(cursor, key)) return false;
    }
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i]) continue;
      MsgpackCursor value = (*more)[i].second;
      tape_.key((*more)[i].first);
      if (!read_value(value, (*more)[i].first)) return false;
    }
    return tape_.end();
  }

  bool read_value(MsgpackCursor& cursor, std::string_view key) {
    switch (cursor.peek()) {
      case MsgpackKind::nil:
        cursor.nil();
        return tape_.null();
      case MsgpackKind::boolean:
        return tape_.boolean(cursor.boolean(key));
      case MsgpackKind::uint: {
        // As JSON has it: what no int64 holds is a number.
        const std::uint64_t value = cursor.u64(key);
        return value <= std::uint64_t{std::numeric_limits<std::int64_t>::max()}
                   ? tape_.integer(static_cast<std::int64_t>(value))
                   : tape_.number(static_cast<double>(value));
      }
      case MsgpackKind::sint:
        return tape_.integer(cursor.i64(key));
      case MsgpackKind::real: {
        const double value = cursor.f64(key);
        return std::isnan(value) ? refuse(key, "a number that is none (NaN)") : tape_.number(value);
      }
      case MsgpackKind::text:
        return tape_.string(cursor.string(key));
      case MsgpackKind::bytes:
        return refuse(key, "bytes, where only text is taken,");
      case MsgpackKind::timestamp:
        return refuse(key, "a timestamp");
      case MsgpackKind::array: {
        if (!tape_.begin(JsonKind::array)) return false;
        for (std::size_t count = cursor.array(key); count > 0; --count)
          if (!read_value(cursor, key)) return false;
        return tape_.end();
      }
      case MsgpackKind::map:
        return read_members(cursor, nullptr);
    }
    return false;
  }

  JsonTape::Builder tape_;
  std::string fault_;
};

}  // namespace

std::variant<JsonTape, std::string> read_tape(
    MsgpackCursor cursor, const std::vector<std::pair<std::string_view, MsgpackCursor>>& more) {
  return TapeReader().read(cursor, more);
}

void write_tape(MsgpackWriter& writer, JsonTape::Value value) {
  switch (value.kind()) {
    case JsonKind::null:
      writer.nil();
      return;
    case JsonKind::boolean:
      writer.boolean(value.boolean());
      return;
    case JsonKind::integer:
      writer.i64(value.integer());
      return;
    case JsonKind::number:
      writer.f64(value.number());
      return;
    case JsonKind::string:
      writer.string(value.string());
      return;
    case JsonKind::array:
      writer.array(value.size());
      for (JsonTape::Value entry : value)
        write_tape(writer, entry);
      return;
    case JsonKind::object:
      writer.map(value.size());
      for (JsonTape::Value member : value) {
        writer.string(member.key());
        write_tape(writer, member);
      }
      return;
  }
}

}  // namespace sluice
