// Writing the pages that operators read.
#pragma once

#include "api/json_writer.h"

#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// Writes one JSON object, member by member.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  ~ObjectWriter() { out_ += '}'; }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;

  void text(std::string_view name, std::string_view value) {
    key(name);
    append_json_string(out_, value);
  }
  template <std::integral T>
  void number(std::string_view name, T value) {
    key(name);
    append_json_int(out_, value);
  }
  void boolean(std::string_view name, bool value) {
    key(name);
    out_ += value ? "true" : "false";
  }
  /// With two digits behind the point.
  void decimal(std::string_view name, double value) {
    key(name);
    out_ += fmt::format("{:.2f}", value);
  }
  /// The caller writes the value.
  std::string& member(std::string_view name) {
    key(name);
    return out_;
  }

 private:
  void key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json_string(out_, name);
    out_ += ':';
  }

  std::string& out_;
  bool first_ = true;
};

/// Writes a JSON array of objects, one for each of `all`.
template <class Range, class Write>
void write_array(std::string& out, const Range& all, Write&& write_members) {
  out += '[';
  bool first = true;
  for (const auto& one : all) {
    if (!std::exchange(first, false)) out += ',';
    ObjectWriter object(out);
    write_members(object, one);
  }
  out += ']';
}

}  // namespace sluice
