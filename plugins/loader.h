// Opens plugin libraries and refuses those that do not fit.
#pragma once

#include "base/result.h"
#include "plugins/sdk/sluice_plugin.h"

#include <memory>
#include <string>

namespace sluice {

/// A loaded library. Never unloaded, because threads may still run in it.
class PluginLibrary {
 public:
  /// Opens a file and asks for its interface version before anything else.
  /// Errors: not_found (no such file), invalid_argument (world-writable, not a library, a symbol is
  /// missing, an interface that does not fit, a table that contradicts itself); each names the file
  /// and what is wrong.
  static Result<std::shared_ptr<PluginLibrary>> open(const std::string& path);

  /// The plugin's table as this host knows it: members the plugin is too old for are null.
  [[nodiscard]] const sluice_plugin& table() const { return table_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string name() const { return {table_.name.ptr, table_.name.len}; }

 private:
  PluginLibrary(std::string path, const sluice_plugin& table)
      : path_(std::move(path)), table_(table) {}
  std::string path_;
  sluice_plugin table_;
};

/// One configured plugin. Not thread-safe; owner: its actor.
class PluginInstance {
 public:
  /// Calls the plugin's `create`. `host` and `api` must outlive the instance.
  /// Errors: invalid_argument, with the plugin's own words.
  static Result<std::unique_ptr<PluginInstance>> create(std::shared_ptr<PluginLibrary> library,
                                                        const sluice_host_api& api,
                                                        sluice_host* host,
                                                        const std::string& config_json);
  ~PluginInstance();
  PluginInstance(const PluginInstance&) = delete;
  PluginInstance& operator=(const PluginInstance&) = delete;

  /// Asks the admission hook; SLUICE_SKIP if the plugin has none.
  sluice_status on_admission(sluice_call* call);

  [[nodiscard]] const PluginLibrary& library() const { return *library_; }

 private:
  PluginInstance(std::shared_ptr<PluginLibrary> library, void* self)
      : library_(std::move(library)), self_(self) {}
  std::shared_ptr<PluginLibrary> library_;
  void* self_;
};

}  // namespace sluice
