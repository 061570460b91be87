// The parts of a tokenizer.json: a normalizer, pre-tokenizer or decoder is one component, or a
// sequence of them.
#pragma once

#include "base/result.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

struct Component {
  std::string type;
  const boost::json::object* object;  ///< of the tokenizer's JSON, with everything else
};

/// What `entry` consists of, in order: itself, or what its "Sequence" lists under `members`, which
/// may be sequences in turn.
///   place  the file, and the path inside it, for messages
/// Errors: invalid_argument: no object, no type, no members, nested too deeply.
Result<std::vector<Component>> components_of(const boost::json::value& entry,
                                             std::string_view members,
                                             const std::string& place);

}  // namespace sluice
