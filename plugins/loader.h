// Opens plugin libraries, and refuses those that others could have changed or that do not fit.
#pragma once

#include "base/result.h"
#include "plugins/manifest.h"
#include "plugins/sdk/sluice/plugin.h"

#include <memory>
#include <string>

namespace sluice {

/// Which file to load.
struct PluginFile {
  std::string directory;  ///< where a relative path begins
  /// Absolute, or below `directory`: without "..", and nothing of it is a symbolic link.
  std::string path;
  std::string sha256;  ///< 64 hexadecimal digits that the content must have; empty: any
};

/// A loaded library. Never unloaded, because threads may still run in it.
class PluginLibrary {
 public:
  /// Opens a file, checks it, and loads exactly what was checked.
  ///
  /// The file is opened once. It must be a regular file that belongs to root or to us and that
  /// nobody else can write (its group may if it is root's or one of ours); the same holds for the
  /// directories it is looked up in, but for sticky ones, where others cannot replace it. Then the
  /// digest is compared, and the library loaded, through the same descriptor. Its interface version
  /// is asked before anything else. A file that was loaded before is not loaded again; if it was
  /// written to since then it is refused, because its old code is what runs: put a new file in its
  /// place. Thread-safe. Errors: not_found (no such file), invalid_argument (all other reasons);
  /// each names the file and what is wrong.
  static Result<std::shared_ptr<const PluginLibrary>> open(const PluginFile& file);

  /// A plugin that is linked into this program. The same checks.
  ///   name  stands in errors, and for the path
  static Result<std::shared_ptr<const PluginLibrary>> of(const std::string& name,
                                                         std::uint32_t abi,
                                                         const sluice_plugin* table);

  /// The plugin's table as this host knows it: members the plugin is too old for are null.
  [[nodiscard]] const sluice_plugin& table() const { return table_; }
  /// Announces the same hooks as the table.
  [[nodiscard]] const PluginManifest& manifest() const { return manifest_; }
  [[nodiscard]] const std::string& path() const { return path_; }  ///< absolute

 private:
  PluginLibrary(std::string path, const sluice_plugin& table, PluginManifest manifest)
      : path_(std::move(path)), table_(table), manifest_(std::move(manifest)) {}
  std::string path_;
  sluice_plugin table_;
  PluginManifest manifest_;
};

}  // namespace sluice
