#include "plugins/config_schema.h"

#include "base/utf8.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace sluice {

namespace json = boost::json;

namespace {

constexpr int kDepthMax = 32;

enum class Type : std::uint8_t { object, array, string, integer, number, boolean };

constexpr std::array<std::string_view, 6> kTypeNames{
    "object", "array", "string", "integer", "number", "boolean"};
constexpr std::array<std::string_view, 6> kTypePhrases{
    "an object", "an array", "a string", "an integer", "a number", "true or false"};

/// A limit of one side or both.
struct Range {
  std::optional<json::value> min;
  std::optional<json::value> max;
};

std::string_view view(const json::string& text) {
  return {text.data(), text.size()};
}

/// Exact for every 64-bit integer on the platforms this runs on.
long double number_of(const json::value& value) {
  if (value.is_int64()) return static_cast<long double>(value.get_int64());
  if (value.is_uint64()) return static_cast<long double>(value.get_uint64());
  return value.is_double() ? static_cast<long double>(value.get_double()) : 0;
}

/// A value in an error: its beginning.
std::string shown(const json::value& value) {
  return excerpt(json::serialize(value), 60);
}

/// 3.0 is an integer, too.
bool is_integral(const json::value& value) {
  if (value.is_int64() || value.is_uint64()) return true;
  constexpr double kExact = 9007199254740992.0;  // 2^53
  return value.is_double() && std::abs(value.get_double()) <= kExact &&
         value.get_double() == std::trunc(value.get_double());
}

bool has_type(const json::value& value, Type type) {
  switch (type) {
    case Type::object:
      return value.is_object();
    case Type::array:
      return value.is_array();
    case Type::string:
      return value.is_string();
    case Type::integer:
      return is_integral(value);
    case Type::number:
      return value.is_number();
    case Type::boolean:
      return value.is_bool();
  }
  return false;
}

std::string child_path(const std::string& path, std::string_view name) {
  return path.empty() ? std::string(name) : path + "." + std::string(name);
}

std::string child_path(const std::string& path, std::size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

Error error_at(const std::string& path, const std::string& message) {
  return {ErrorCode::invalid_argument, (path.empty() ? "the whole value" : path) + ": " + message};
}

Result<json::value> parse_json(std::string_view text) {
  json::error_code code;
  json::parse_options options;
  options.max_depth = kDepthMax;
  json::value value = json::parse(json::string_view(text.data(), text.size()), code, {}, options);
  if (code) return Error{ErrorCode::invalid_argument, "is not JSON: " + code.message()};
  return value;
}

}  // namespace

struct ConfigSchema::Node {
  Type type = Type::object;
  std::map<std::string, std::shared_ptr<const Node>, std::less<>> properties;
  std::vector<std::string> required;
  bool takes_others = false;
  std::shared_ptr<const Node> others;  ///< what others have to be; null: anything
  std::shared_ptr<const Node> items;
  Range value;
  Range length;
  std::vector<json::value> allowed;
  std::optional<json::value> fallback;

  /// Checks a value and fills in its defaults.
  Result<void> apply(json::value& value, const std::string& path) const;

 private:
  Result<void> apply_object(json::object& object, const std::string& path) const;
  [[nodiscard]] Result<void> check_range(const json::value& value, const std::string& path) const;
};

namespace {

using Node = ConfigSchema::Node;

std::string bounds(const Range& range) {
  std::string text;
  if (range.min) text += "at least " + shown(*range.min);
  if (range.max) text += (text.empty() ? "at most " : " and at most ") + shown(*range.max);
  return text;
}

bool is_within(long double number, const Range& range) {
  return (!range.min || number >= number_of(*range.min)) &&
         (!range.max || number <= number_of(*range.max));
}

/// Reads one schema out of its JSON.
class SchemaReader {
 public:
  SchemaReader(const json::value& json, std::string path) : json_(json), path_(std::move(path)) {}

  Result<std::shared_ptr<const Node>> read() {
    if (!json_.is_object()) return error_at(path_, "wanted a schema, found " + shown(json_));
    if (auto typed = read_type(); !typed) return typed.error();
    for (const auto& [key, value] : json_.get_object())
      if (auto read = read_keyword({key.data(), key.size()}, value); !read) return read.error();
    if (auto sound = check(); !sound) return sound.error();
    return std::shared_ptr<const Node>(std::make_shared<Node>(std::move(node_)));
  }

 private:
  Result<void> read_type() {
    const json::value* type = json_.get_object().if_contains("type");
    if (!type || !type->is_string())
      return error_at(child_path(path_, "type"), "wanted the name of one type");
    auto found = std::find(kTypeNames.begin(), kTypeNames.end(), view(type->get_string()));
    if (found == kTypeNames.end()) {
      return error_at(
          child_path(path_, "type"),
          "wanted object, array, string, integer, number or boolean, found " + shown(*type));
    }
    node_.type = static_cast<Type>(found - kTypeNames.begin());
    return {};
  }

  Result<void> read_keyword(std::string_view key, const json::value& value) {
    std::string path = child_path(path_, key);
    bool object = node_.type == Type::object;
    bool array = node_.type == Type::array;
    bool string = node_.type == Type::string;
    bool number = node_.type == Type::integer || node_.type == Type::number;
    if (key == "type") return {};
    if (key == "title" || key == "description")
      return value.is_string() ? Result<void>() : error_at(path, "wanted a string");
    if (key == "default") return read_default(value);
    if (key == "enum") return read_enum(value, path);
    if (key == "properties" && object) return read_properties(value, path);
    if (key == "required" && object) return read_required(value, path);
    if (key == "additionalProperties" && object) return read_others(value, path);
    if (key == "items" && array) return read_schema(value, path, node_.items);
    if (key == "minItems" && array) return read_length(value, path, node_.length.min);
    if (key == "maxItems" && array) return read_length(value, path, node_.length.max);
    if (key == "minLength" && string) return read_length(value, path, node_.length.min);
    if (key == "maxLength" && string) return read_length(value, path, node_.length.max);
    if (key == "minimum" && number) return read_number(value, path, node_.value.min);
    if (key == "maximum" && number) return read_number(value, path, node_.value.max);
    return error_at(path,
                    "is not a keyword for " +
                        std::string(kTypePhrases[static_cast<std::size_t>(node_.type)]) +
                        " in the subset of JSON Schema that is known here");
  }

  Result<void> read_default(const json::value& value) {
    node_.fallback = value;
    return {};
  }

  Result<void> read_enum(const json::value& value, const std::string& path) {
    if (!value.is_array() || value.get_array().empty())
      return error_at(path, "wanted an array of at least one value, found " + shown(value));
    for (const json::value& allowed : value.get_array()) {
      if (!has_type(allowed, node_.type))
        return error_at(path, "has " + shown(allowed) + " of another type");
      node_.allowed.push_back(allowed);
    }
    return {};
  }

  static Result<void> read_schema(const json::value& value,
                                  const std::string& path,
                                  std::shared_ptr<const Node>& into) {
    auto schema = SchemaReader(value, path).read();
    if (!schema) return schema.error();
    into = std::move(*schema);
    return {};
  }

  Result<void> read_properties(const json::value& value, const std::string& path) {
    if (!value.is_object())
      return error_at(path, "wanted an object of schemas, found " + shown(value));
    for (const auto& [key, schema] : value.get_object()) {
      std::string name(key.data(), key.size());
      auto read = read_schema(schema, child_path(path, name), node_.properties[name]);
      if (!read) return read;
    }
    return {};
  }

  Result<void> read_required(const json::value& value, const std::string& path) {
    if (!value.is_array()) return error_at(path, "wanted an array of names, found " + shown(value));
    for (const json::value& name : value.get_array()) {
      if (!name.is_string()) return error_at(path, "wanted names, found " + shown(name));
      node_.required.emplace_back(view(name.get_string()));
    }
    return {};
  }

  Result<void> read_others(const json::value& value, const std::string& path) {
    node_.takes_others = !value.is_bool() || value.get_bool();
    if (value.is_bool()) return {};
    return read_schema(value, path, node_.others);
  }

  static Result<void> read_length(const json::value& value,
                                  const std::string& path,
                                  std::optional<json::value>& into) {
    if (!is_integral(value) || number_of(value) < 0)
      return error_at(path, "wanted an integer of at least 0, found " + shown(value));
    into = value;
    return {};
  }

  static Result<void> read_number(const json::value& value,
                                  const std::string& path,
                                  std::optional<json::value>& into) {
    if (!value.is_number()) return error_at(path, "wanted a number, found " + shown(value));
    into = value;
    return {};
  }

  /// What can only be seen when all keywords are read.
  Result<void> check() {
    for (const Range* range : {&node_.value, &node_.length})
      if (range->min && range->max && number_of(*range->min) > number_of(*range->max))
        return error_at(path_, "no value is " + bounds(*range));
    for (const std::string& name : node_.required)
      if (!node_.takes_others && !node_.properties.contains(name))
        return error_at(child_path(path_, "required"), "names " + name + ", which is no property");
    if (!node_.fallback) return {};
    json::value fallback = *node_.fallback;
    return node_.apply(fallback, child_path(path_, "default"));
  }

  const json::value& json_;
  std::string path_;
  Node node_;
};

std::string listed(const std::vector<json::value>& values) {
  std::string text;
  for (const json::value& value : values)
    text += (text.empty() ? "" : ", ") + shown(value);
  return text;
}

}  // namespace

Result<void> ConfigSchema::Node::apply(json::value& value, const std::string& path) const {
  if (!has_type(value, type)) {
    return error_at(path,
                    "wanted " + std::string(kTypePhrases[static_cast<std::size_t>(type)]) +
                        ", found " + shown(value));
  }
  if (type == Type::integer && value.is_double())
    value = static_cast<std::int64_t>(value.get_double());
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), value) == allowed.end())
    return error_at(path, "wanted one of " + listed(allowed) + ", found " + shown(value));
  if (auto within = check_range(value, path); !within) return within;
  if (value.is_object()) return apply_object(value.get_object(), path);
  if (value.is_array() && items) {
    for (std::size_t i = 0; i < value.get_array().size(); ++i)
      if (auto fits = items->apply(value.get_array()[i], child_path(path, i)); !fits) return fits;
  }
  return {};
}

Result<void> ConfigSchema::Node::check_range(const json::value& value,
                                             const std::string& path) const {
  if (value.is_number() && !is_within(number_of(value), this->value))
    return error_at(path, "wanted " + bounds(this->value) + ", found " + shown(value));
  if (!length.min && !length.max) return {};
  std::size_t size =
      value.is_array() ? value.get_array().size() : count_code_points(view(value.get_string()));
  if (is_within(static_cast<long double>(size), length)) return {};
  std::string unit = value.is_array() ? " elements" : " characters";
  return error_at(path, "wanted " + bounds(length) + unit + ", found " + std::to_string(size));
}

Result<void> ConfigSchema::Node::apply_object(json::object& object, const std::string& path) const {
  for (auto& [key, value] : object) {
    std::string_view name(key.data(), key.size());
    auto known = properties.find(name);
    if (known == properties.end() && !takes_others) {
      std::string names;
      for (const auto& [property, schema] : properties)
        names += (names.empty() ? "" : ", ") + property;
      return error_at(child_path(path, excerpt(name, 60)),
                      "is not known; wanted " + (names.empty() ? "nothing" : names));
    }
    const Node* schema = known == properties.end() ? others.get() : known->second.get();
    if (!schema) continue;
    if (auto fits = schema->apply(value, child_path(path, name)); !fits) return fits;
  }
  for (const auto& [name, schema] : properties) {
    if (!schema->fallback || object.contains(name)) continue;
    json::value& filled = object[name] = *schema->fallback;
    if (auto fits = schema->apply(filled, child_path(path, name)); !fits) return fits;
  }
  for (const std::string& name : required)
    if (!object.contains(name))
      return error_at(child_path(path, name), "is required, found nothing");
  return {};
}

ConfigSchema::ConfigSchema() : root_(std::make_shared<const Node>()) {}

Result<ConfigSchema> ConfigSchema::parse(std::string_view schema_json) {
  auto json = parse_json(schema_json);
  if (!json) return Error{ErrorCode::invalid_argument, "the schema " + json.error().message};
  auto root = SchemaReader(*json, "").read();
  if (!root) return root.error();
  return ConfigSchema(std::move(*root));
}

Result<std::string> ConfigSchema::apply(std::string_view config_json, std::string_view name) const {
  auto json = parse_json(config_json);
  std::string prefix = std::string(name) + ": ";
  if (!json) return Error{ErrorCode::invalid_argument, prefix + json.error().message};
  if (auto fits = root_->apply(*json, ""); !fits)
    return Error{fits.error().code, prefix + fits.error().message};
  return json::serialize(*json);
}

}  // namespace sluice
