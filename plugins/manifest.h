// What a plugin says about itself, and what it asks for: the JSON that is embedded in it.
#pragma once

#include "base/result.h"
#include "plugins/config_schema.h"
#include "plugins/hook.h"

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// The three numbers of a semantic version.   Source: semver.org, 2.0.0.
struct Version {
  std::uint32_t major = 0;
  std::uint32_t minor = 0;
  std::uint32_t patch = 0;

  auto operator<=>(const Version&) const = default;

  /// "1.2.3", perhaps with a pre-release and a build behind it, which are only checked for form.
  /// Errors: invalid_argument.
  static Result<Version> parse(std::string_view text);
};

std::string to_string(const Version& version);

/// Conditions that a version has to fulfil, all of them: ">=0.1.0 <2.0.0".
class VersionRange {
 public:
  VersionRange() = default;  ///< every version
  /// Errors: invalid_argument.
  static Result<VersionRange> parse(std::string_view text);
  [[nodiscard]] bool contains(const Version& version) const;
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  struct Bound {
    bool below_allowed = false;
    bool equal_allowed = false;
    bool above_allowed = false;
    Version version;
  };
  std::vector<Bound> bounds_;
  std::string text_;
};

/// A metric of a plugin's own. The server puts a prefix before the name.
struct PluginMetric {
  enum class Kind : std::uint8_t { counter, gauge, histogram };

  std::string name;
  std::string help;
  Kind kind = Kind::counter;
  std::vector<double> buckets;  ///< of a histogram: upper bounds, rising, without infinity
};

/// What a plugin may see of requests and answers: a set of bits.
enum PluginPermission : std::uint8_t {
  kNoPermission = 0,
  kHeadersPermission = 1,
  kPromptPermission = 2,
  kOutputPermission = 4,
};

struct PluginManifest {
  enum class Threading : std::uint8_t { serialized, concurrent };
  enum class Failure : std::uint8_t { closed, open };
  using Timeouts = std::array<std::chrono::milliseconds, kHookNames.size()>;

  std::string name;         ///< a-z, 0-9 and '-'
  std::string version;      ///< semantic
  std::string description;  ///< one sentence, may be empty
  std::uint32_t hooks = 0;  ///< bits of `Hook`
  VersionRange server;      ///< the servers it works with
  ConfigSchema config;
  std::vector<PluginMetric> metrics;
  Threading threading = Threading::serialized;
  bool blocking = false;              ///< its hooks wait for others: it needs a thread of its own
  Failure failure = Failure::closed;  ///< a hook fails: `open` goes on without it
  std::uint8_t permissions = 0;       ///< bits of `PluginPermission`
  Timeouts timeouts{};                ///< of each hook; 0: as long as the request has

  /// Errors: invalid_argument, with path, what is wanted and what was found.
  static Result<PluginManifest> parse(std::string_view json);
};

}  // namespace sluice
