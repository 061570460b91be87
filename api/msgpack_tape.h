// Values of MessagePack as a tape, so that one validator serves both wires; and a tape as
// MessagePack.
#pragma once

#include "api/json_tape.h"
#include "net/msgpack.h"

#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {

/// Reads the map that `cursor` stands before. `more` are members that the map may lack, each with
/// its value; those that it has hold.
/// Returns the tape, or what cannot be had in a request: bytes, timestamps, a number that is none,
/// nesting over 32 levels.
std::variant<JsonTape, std::string> read_tape(
    MsgpackCursor cursor, const std::vector<std::pair<std::string_view, MsgpackCursor>>& more = {});

/// Writes a value and all it contains. Integers stay integers.
void write_tape(MsgpackWriter& writer, JsonTape::Value value);

}  // namespace sluice
