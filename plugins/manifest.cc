#include "plugins/manifest.h"

#include "base/utf8.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <set>
#include <utility>

namespace sluice {
namespace {

namespace json = boost::json;

/// Manifests are configurations, too.
constexpr std::string_view kManifestSchema = R"json({
  "type": "object",
  "required": ["name", "version", "hooks"],
  "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 64},
    "version": {"type": "string", "minLength": 5, "maxLength": 64},
    "description": {"type": "string", "maxLength": 200, "default": ""},
    "hooks": {"type": "array", "maxItems": 7, "items": {"type": "string", "enum": [
      "admission", "preprocess", "route", "output", "postprocess", "execute", "observe"]}},
    "requires": {"type": "string", "maxLength": 64, "default": ""},
    "config_schema": {"type": "object", "additionalProperties": true,
      "default": {"type": "object"}},
    "metrics": {"type": "array", "maxItems": 64, "default": [], "items": {
      "type": "object",
      "required": ["name", "type", "help"],
      "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 64},
        "type": {"type": "string", "enum": ["counter", "gauge", "histogram"]},
        "help": {"type": "string", "minLength": 1, "maxLength": 200},
        "buckets": {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "number"}}
      }}},
    "threading": {"type": "string", "enum": ["serialized", "concurrent"],
      "default": "serialized"},
    "blocking": {"type": "boolean", "default": false},
    "failure": {"type": "string", "enum": ["closed", "open"], "default": "closed"},
    "permissions": {"type": "array", "maxItems": 3, "default": [], "items": {
      "type": "string", "enum": ["headers", "prompt", "output"]}},
    "timeouts": {"type": "object", "default": {}, "properties": {
      "admission": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 5},
      "preprocess": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 50},
      "route": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 5},
      "output": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 5},
      "postprocess": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 50},
      "execute": {"type": "integer", "minimum": 0, "maximum": 86400000, "default": 0},
      "observe": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 50},
      "health": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 1000},
      "reload": {"type": "integer", "minimum": 1, "maximum": 60000, "default": 5000}
    }}
  }
})json";

Error error_of(const std::string& message) {
  return {ErrorCode::invalid_argument, "manifest: " + message};
}

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_plugin_name(std::string_view name) {
  return is_lower(name[0]) && name.back() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return is_lower(c) || is_digit(c) || c == '-';
         });
}

bool is_metric_name(std::string_view name) {
  return is_lower(name[0]) && std::all_of(name.begin(), name.end(), [](char c) {
           return is_lower(c) || is_digit(c) || c == '_';
         });
}

/// Takes a number without leading zeros from the front of a text.
bool take_number(std::string_view& text, std::uint32_t& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  auto size = static_cast<std::size_t>(end - text.data());
  bool padded = size > 1 && text[0] == '0';
  text.remove_prefix(size);
  return error == std::errc() && size > 0 && !padded;
}

bool take(std::string_view& text, std::string_view what) {
  if (!text.starts_with(what)) return false;
  text.remove_prefix(what.size());
  return true;
}

/// Dotted identifiers, as a pre-release and a build are; numbers of a pre-release have no leading
/// zeros.
bool are_identifiers(std::string_view text, bool numbers_plain) {
  while (true) {
    auto dot = text.find('.');
    std::string_view word = text.substr(0, dot);
    bool known = std::all_of(word.begin(), word.end(), [](char c) {
      return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z') || c == '-';
    });
    bool number = std::all_of(word.begin(), word.end(), is_digit);
    if (word.empty() || !known || (numbers_plain && number && word.size() > 1 && word[0] == '0'))
      return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

std::string string_of(const json::object& object, std::string_view key) {
  const json::string& text = object.at({key.data(), key.size()}).as_string();
  return {text.data(), text.size()};
}

Result<PluginMetric> read_metric(const json::object& object, const std::string& path) {
  PluginMetric metric;
  metric.name = string_of(object, "name");
  metric.help = string_of(object, "help");
  std::string type = string_of(object, "type");
  if (type == "gauge") metric.kind = PluginMetric::Kind::gauge;
  if (type == "histogram") metric.kind = PluginMetric::Kind::histogram;
  if (!is_metric_name(metric.name))
    return error_of(path + ".name: wanted a-z, 0-9 and _, a letter first, found " + metric.name);
  bool total = metric.name.ends_with("_total");
  if (total != (metric.kind == PluginMetric::Kind::counter))
    return error_of(path + ".name: counters and only they end in _total, found " + metric.name);
  const json::value* buckets = object.if_contains("buckets");
  if ((buckets != nullptr) != (metric.kind == PluginMetric::Kind::histogram))
    return error_of(path + ".buckets: histograms and only they have buckets");
  if (!buckets) return metric;
  for (const json::value& bucket : buckets->get_array()) {
    auto bound = bucket.to_number<double>();
    if (!std::isfinite(bound) || (!metric.buckets.empty() && bound <= metric.buckets.back()))
      return error_of(path + ".buckets: wanted rising numbers, found " + json::serialize(*buckets));
    metric.buckets.push_back(bound);
  }
  return metric;
}

Result<void> read_metrics(const json::array& array, std::vector<PluginMetric>& metrics) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < array.size(); ++i) {
    std::string path = "metrics[" + std::to_string(i) + "]";
    auto metric = read_metric(array[i].get_object(), path);
    if (!metric) return metric.error();
    if (!names.insert(metric->name).second)
      return error_of(path + ".name: " + metric->name + " is there twice");
    metrics.push_back(std::move(*metric));
  }
  return {};
}

Result<void> read_hooks(const json::object& object, PluginManifest& manifest) {
  for (const json::value& name : object.at("hooks").get_array()) {
    auto hook = parse_hook({name.get_string().data(), name.get_string().size()});
    manifest.hooks |= hook_bit(*hook);
  }
  for (const json::value& name : object.at("permissions").get_array()) {
    if (name == "headers") manifest.permissions |= kHeadersPermission;
    if (name == "prompt") manifest.permissions |= kPromptPermission;
    if (name == "output") manifest.permissions |= kOutputPermission;
  }
  // Hooks that are all about what a permission protects.
  struct Need {
    Hook hook;
    PluginPermission permission;
    std::string_view name;
  };
  for (auto [hook, permission, name] : {Need{Hook::preprocess, kPromptPermission, "prompt"},
                                        Need{Hook::execute, kPromptPermission, "prompt"},
                                        Need{Hook::output, kOutputPermission, "output"},
                                        Need{Hook::postprocess, kOutputPermission, "output"}}) {
    if ((manifest.hooks & hook_bit(hook)) && !(manifest.permissions & permission)) {
      return error_of("permissions: the hook " + std::string(to_string(hook)) + " needs " +
                      std::string(name));
    }
  }
  return {};
}

}  // namespace

Result<Version> Version::parse(std::string_view text) {
  Version version;
  std::string_view rest = text;
  bool numbers = take_number(rest, version.major) && take(rest, ".") &&
                 take_number(rest, version.minor) && take(rest, ".") &&
                 take_number(rest, version.patch);
  bool sound = numbers;
  if (auto plus = rest.find('+'); sound && plus != std::string_view::npos) {
    sound = are_identifiers(rest.substr(plus + 1), false);
    rest = rest.substr(0, plus);
  }
  if (sound && !rest.empty()) sound = take(rest, "-") && are_identifiers(rest, true);
  if (sound) return version;
  return Error{ErrorCode::invalid_argument,
               "wanted a semantic version such as 1.2.3, found " + excerpt(text)};
}

std::string to_string(const Version& version) {
  return std::to_string(version.major) + "." + std::to_string(version.minor) + "." +
         std::to_string(version.patch);
}

Result<VersionRange> VersionRange::parse(std::string_view text) {
  VersionRange range;
  range.text_ = text;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    if (text.empty()) return range;
    Bound bound;
    bound.below_allowed = take(text, "<");
    bound.above_allowed = !bound.below_allowed && take(text, ">");
    bound.equal_allowed = take(text, "=");
    auto end = std::min(text.find(' '), text.size());
    auto version = Version::parse(text.substr(0, end));
    if (!version || !(bound.below_allowed || bound.above_allowed || bound.equal_allowed)) {
      return Error{ErrorCode::invalid_argument,
                   "wanted conditions such as >=0.1.0 <2.0.0, found " + excerpt(range.text_)};
    }
    bound.version = *version;
    range.bounds_.push_back(bound);
    text.remove_prefix(end);
  }
}

bool VersionRange::contains(const Version& version) const {
  return std::all_of(bounds_.begin(), bounds_.end(), [&](const Bound& bound) {
    if (version < bound.version) return bound.below_allowed;
    if (version > bound.version) return bound.above_allowed;
    return bound.equal_allowed;
  });
}

Result<PluginManifest> PluginManifest::parse(std::string_view text) {
  static const Result<ConfigSchema> schema = ConfigSchema::parse(kManifestSchema);
  auto checked = schema->apply(text, "manifest");
  if (!checked) return checked.error();
  const json::value value = json::parse(*checked);
  const json::object& object = value.get_object();

  PluginManifest manifest;
  manifest.name = string_of(object, "name");
  if (!is_plugin_name(manifest.name))
    return error_of("name: wanted a-z, 0-9 and -, a letter first, found " + manifest.name);
  manifest.version = string_of(object, "version");
  if (auto version = Version::parse(manifest.version); !version)
    return error_of("version: " + version.error().message);
  manifest.description = string_of(object, "description");
  auto range = VersionRange::parse(string_of(object, "requires"));
  if (!range) return error_of("requires: " + range.error().message);
  manifest.server = std::move(*range);
  auto config = ConfigSchema::parse(json::serialize(object.at("config_schema")));
  if (!config) return error_of("config_schema: " + config.error().message);
  manifest.config = std::move(*config);
  if (string_of(object.at("config_schema").get_object(), "type") != "object")
    return error_of("config_schema.type: a configuration is an object");
  if (auto hooks = read_hooks(object, manifest); !hooks) return hooks.error();
  if (auto read = read_metrics(object.at("metrics").get_array(), manifest.metrics); !read)
    return read.error();
  if (string_of(object, "threading") == "concurrent") manifest.threading = Threading::concurrent;
  if (string_of(object, "failure") == "open") manifest.failure = Failure::open;
  manifest.blocking = object.at("blocking").get_bool();
  const json::object& timeouts = object.at("timeouts").get_object();
  for (std::size_t i = 0; i < kHookNames.size(); ++i) {
    const json::value& timeout = timeouts.at({kHookNames[i].data(), kHookNames[i].size()});
    manifest.timeouts[i] = std::chrono::milliseconds(timeout.to_number<std::int64_t>());
  }
  return manifest;
}

}  // namespace sluice
