// A plugin written in a test, and everything that was heard of it.
#pragma once

#include "plugins/instance.h"
#include "plugins/sdk/sluice/plugin.hpp"
#include "tests/support/manual_clock.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Keeps what a plugin answers, and sees that each call ends once, with its reply. Thread-safe.
class RecordingSink : public PluginSink {
 public:
  void replied(HookReply reply) override {
    std::lock_guard lock(mutex_);
    if (reply.id != PluginCallId{} && !ended_.insert(reply.id).second)
      ADD_FAILURE() << "a second reply";
    replies_.push_back(std::move(reply));
  }
  void item(PluginCallId id, std::string item) override {
    std::lock_guard lock(mutex_);
    if (ended_.contains(id)) ADD_FAILURE() << "an item after the reply";
    items_.emplace_back(id, std::move(item));
  }
  void log(int level, std::string_view message) override {
    std::lock_guard lock(mutex_);
    logged_.emplace_back(std::to_string(level) + " " + std::string(message));
  }

  std::vector<HookReply> replies() const {
    std::lock_guard lock(mutex_);
    return replies_;
  }
  std::vector<std::pair<PluginCallId, std::string>> items() const {
    std::lock_guard lock(mutex_);
    return items_;
  }
  std::vector<std::string> logged() const {
    std::lock_guard lock(mutex_);
    return logged_;
  }
  std::size_t reply_count() const {
    std::lock_guard lock(mutex_);
    return replies_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::set<PluginCallId> ended_;  ///< by a reply; 0 is for calls whose id does not matter
  std::vector<HookReply> replies_;
  std::vector<std::pair<PluginCallId, std::string>> items_;
  std::vector<std::string> logged_;
};

/// One instance of a plugin, a clock that stands, and a sink that remembers.
class PluginUnderTest {
 public:
  /// Of a library, with a configuration that it takes.
  explicit PluginUnderTest(std::shared_ptr<const PluginLibrary> library,
                           const std::string& config = "{}",
                           PluginLimits limits = {}) {
    auto made = PluginInstance::create(std::move(library), "p", config, sink, clock, limits);
    if (!made) {
      ADD_FAILURE() << made.error().message;
      return;
    }
    instance = std::move(*made);
  }

  /// A library of a table that is written in the test.
  static std::shared_ptr<const PluginLibrary> library_of(const sluice_plugin* table) {
    auto made = PluginLibrary::of("test", SLUICE_PLUGIN_ABI, table);
    if (made) return *made;
    ADD_FAILURE() << made.error().message;
    return nullptr;
  }

  /// Starts a call and returns its id.
  PluginCallId start(Hook hook, CallFields fields = {}, std::string payload = {}) {
    HookCall call;
    call.id = PluginCallId{++calls_};
    call.hook = hook;
    call.fields = std::move(fields);
    call.payload = std::move(payload);
    PluginCallId id = call.id;
    instance->start(std::move(call));
    return id;
  }
  PluginCallId start_until(TimePoint deadline, Hook hook, CallFields fields = {}) {
    HookCall call;
    call.id = PluginCallId{++calls_};
    call.hook = hook;
    call.fields = std::move(fields);
    call.deadline = deadline;
    PluginCallId id = call.id;
    instance->start(std::move(call));
    return id;
  }

  /// Asks a hook that answers at once.
  HookReply ask(Hook hook, CallFields fields = {}, std::string payload = {}) {
    PluginCallId id = start(hook, std::move(fields), std::move(payload));
    auto replies = sink.replies();
    if (replies.empty() || replies.back().id != id) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    return replies.back();
  }

  testing::ManualClock clock;
  RecordingSink sink;
  std::unique_ptr<PluginInstance> instance;

 private:
  std::uint64_t calls_ = 0;
};

}  // namespace sluice
