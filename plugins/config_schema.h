// What the configuration of a plugin may look like: a subset of JSON Schema.
#pragma once

#include "base/result.h"

#include <memory>
#include <string>
#include <string_view>

namespace sluice {

/// A schema, and the checking of values by it. Immutable; copies are cheap; thread-safe.
///
/// Known keywords, each on the types it belongs to: type (object, array, string, integer, number,
/// boolean), properties, required, additionalProperties (true, false or a schema), items,
/// minItems/maxItems, minimum/maximum, minLength/maxLength (in code points), enum, default, title,
/// description. `type` is required, and every other keyword is refused, so that no rule is silently
/// left out. Objects take no additional properties unless the schema says so.
///   Source: JSON Schema 2020-12, whose default for additionalProperties is the other one.
class ConfigSchema {
 public:
  /// Of an object without properties.
  ConfigSchema();
  /// Errors: invalid_argument, with the place in the schema: "properties.hours.minimum: ...".
  static Result<ConfigSchema> parse(std::string_view schema_json);

  /// The value with its defaults filled in, as JSON.
  ///   name   what stands before the path in errors: "plugin pii-redact"
  /// Errors: invalid_argument, with path, what is wanted and what was found.
  [[nodiscard]] Result<std::string> apply(std::string_view config_json,
                                          std::string_view name) const;

  struct Node;

 private:
  explicit ConfigSchema(std::shared_ptr<const Node> root) : root_(std::move(root)) {}
  std::shared_ptr<const Node> root_;
};

}  // namespace sluice
