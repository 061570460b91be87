// Looking into JSON of others, of which only some members matter.
#pragma once

#include "api/json_tape.h"

#include <optional>
#include <string_view>

namespace sluice {

/// The member of an object by its name; none where the value is no object or has no such member.
inline std::optional<JsonTape::Value> find_member(JsonTape::Value value, std::string_view name) {
  if (!value.is(JsonKind::object)) return std::nullopt;
  for (const JsonTape::Value member : value)
    if (member.key() == name) return member;
  return std::nullopt;
}

/// The text of a member; empty where there is no such member or it is no string.
inline std::string_view text_member(JsonTape::Value value, std::string_view name) {
  const auto member = find_member(value, name);
  return member && member->is(JsonKind::string) ? member->string() : std::string_view();
}

}  // namespace sluice
