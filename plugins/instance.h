// A plugin that runs in this process, on the thread that asks it.
#pragma once

#include "plugins/loader.h"
#include "plugins/port.h"

#include <cstddef>
#include <memory>
#include <string>

namespace sluice {

/// What one instance may take.
struct PluginLimits {
  std::size_t calls_max = 4096;             ///< that the plugin has not answered
  std::size_t value_bytes_max = 16u << 20;  ///< of a field that it writes
  std::size_t item_bytes_max = 16u << 20;   ///< of an item that it emits
};

/// One configured plugin in this process. Hooks run on the thread that calls `start`; an answer
/// that was pending may come from any thread. The plugin is called with no lock held. A call that
/// nobody waits for is kept until the plugin has answered it, because it may still read its fields,
/// and counts against `calls_max`.
class PluginInstance final : public PluginPort {
 public:
  /// Checks the configuration, fills in its defaults, and makes the instance.
  ///   name         of the configured plugin, for errors
  ///   sink, clock  outlive the instance
  /// Errors: invalid_argument, with the plugin's own words if it is the plugin that refuses.
  static Result<std::unique_ptr<PluginInstance>> create(
      std::shared_ptr<const PluginLibrary> library,
      const std::string& name,
      std::string_view config_json,
      PluginSink& sink,
      const Clock& clock,
      PluginLimits limits = {});
  /// Replies to what is unanswered with `cancelled`, then ends the instance.
  ~PluginInstance() override;
  PluginInstance(const PluginInstance&) = delete;
  PluginInstance& operator=(const PluginInstance&) = delete;

  [[nodiscard]] const PluginManifest& manifest() const override { return library_->manifest(); }
  void start(HookCall call) override;
  void start_batch(std::vector<HookCall> calls) override;
  void cancel(PluginCallId id) override;
  void credit(PluginCallId id, std::uint32_t items) override;
  void advance(TimePoint now) override;
  [[nodiscard]] std::optional<TimePoint> next_due() const override;
  [[nodiscard]] PluginCounts counts() const override;
  [[nodiscard]] std::vector<PluginMetricValue> metrics() const override;

  /// Lets a hook that is running see that nobody waits for its call. Thread-safe; `cancel` follows.
  void flag_cancelled(PluginCallId id);

  [[nodiscard]] const PluginLibrary& library() const { return *library_; }

 private:
  PluginInstance(std::shared_ptr<const PluginLibrary> library, std::string name, sluice_host* host)
      : library_(std::move(library)), name_(std::move(name)), host_(host) {}
  /// Answers what needs no call of a hook: observe, health, reload.
  HookReply answer_at_once(const HookCall& call);
  /// A hook has returned.
  ///   failure  what it threw
  void settle(sluice_call number, sluice_status status, const std::string& failure);
  sluice_status run_hook(Hook hook, sluice_call number, const HookCall& call);

  std::shared_ptr<const PluginLibrary> library_;
  std::string name_;
  sluice_host* host_;  ///< never freed: see instance.cc
  void* self_ = nullptr;
  bool created_ = false;
};

}  // namespace sluice
