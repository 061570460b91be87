// The bodies of what a server says of itself: models, health, readiness, version.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// A model as GET /v1/models shows it.
struct ListedModel {
  std::string id;  ///< the public name
  std::int64_t created = 0;
  std::uint32_t max_model_len = 0;  ///< tokens of context
  std::string root;                 ///< the model it stands for: itself
  std::vector<std::string> capabilities = {"completion"};
  std::string state = "ready";  ///< "loading", "ready", "failed", ...
};

[[nodiscard]] std::string models_body(std::span<const ListedModel> models);
[[nodiscard]] std::string model_body(const ListedModel& model);

/// What GET /health says. Liveness only: `stalled` is the one thing that makes it 503.
struct HealthInfo {
  struct Loop {
    std::string name;
    std::int64_t lag_ms = 0;
  };
  struct Engine {
    std::string model;
    std::uint64_t running = 0;
    std::int64_t last_step_age_ms = 0;
  };
  bool stalled = false;
  std::uint64_t uptime_s = 0;
  std::vector<Loop> loops;
  std::vector<Engine> engines;
};

[[nodiscard]] std::string health_body(const HealthInfo& health);

/// What GET /ready says: ready (200) without reasons, otherwise not (503).
[[nodiscard]] std::string ready_body(std::span<const std::string> reasons);

/// What the method `status` of Sluice RPC says.
struct ServerStatus {
  std::vector<std::string> reasons;  ///< why it is not ready
  bool draining = false;
  std::string version;
  std::vector<std::string> models;
};

[[nodiscard]] std::string status_body(const ServerStatus& status);

struct VersionInfo {
  std::string version;   ///< "1.2.3"
  std::string git;       ///< commit, or empty when unknown
  std::string build;     ///< "release"
  std::string compiler;  ///< "g++ 12.2.0"
  std::vector<std::string> features;
};

[[nodiscard]] std::string version_body(const VersionInfo& version);
/// With `server.hide_version`: the major version alone.
[[nodiscard]] std::string hidden_version_body(std::string_view version);

}  // namespace sluice
