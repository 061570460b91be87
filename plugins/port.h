// How the server asks a plugin, wherever that runs: calls go in, replies come by a sink.
#pragma once

#include "base/clock.h"
#include "plugins/call_fields.h"
#include "plugins/hook.h"
#include "plugins/manifest.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// A call as its asker names it. Not to be used twice with one port.
enum class PluginCallId : std::uint64_t {};

/// One question to a plugin.
struct HookCall {
  PluginCallId id{};
  Hook hook = Hook::admission;
  CallFields fields;
  /// output: the delta; postprocess: the answer; execute: the input, as MessagePack; observe: the
  /// event; reload: the configuration, checked by the manifest's schema.
  std::string payload;
  TimePoint deadline = TimePoint::max();
  std::uint64_t stream = 0;  ///< output: which answer; the same for all of its deltas
  bool last = false;         ///< output: no further delta follows
  bool aborted = false;      ///< output, with `last`: nobody reads on
  std::uint32_t credit = 1;  ///< execute: items that may come before more credit is given
};

enum class HookStatus : std::uint8_t {
  ok,
  skip,       ///< the plugin has nothing to say, or no such hook
  reject,     ///< the request is refused
  error,      ///< the plugin failed
  timed_out,  ///< its answer had not come at the deadline
  cancelled,  ///< `cancel` was called first
};

std::string_view to_string(HookStatus status);

/// What came of it.
struct HookReply {
  PluginCallId id{};
  Hook hook = Hook::admission;
  HookStatus status = HookStatus::ok;
  CallFields
      changes;  ///< after `ok`: what the hook wrote; otherwise at most code and retry_after_ms
  std::string detail;  ///< why it was refused or failed
};

/// Takes what plugins answer. Called from the thread that asked or from one of the plugin's: it
/// takes note, and does not call the port again.
class PluginSink {
 public:
  virtual ~PluginSink() = default;
  /// Once for each call that was started, and the last of that call.
  virtual void replied(HookReply reply) = 0;
  /// An item of execute, in order. Uses one credit of its call.
  virtual void item(PluginCallId id, std::string item) = 0;
  /// A line for the log; valid UTF-8, of one of SLUICE_LOG_....
  virtual void log(int level, std::string_view message) = 0;
};

/// What is counted of an instance's manners.
struct PluginCounts {
  std::uint64_t calls = 0;            ///< started
  std::uint64_t late = 0;             ///< answers to calls that were cancelled or out of time
  std::uint64_t doubled = 0;          ///< answers to calls that had been answered, or never were
  std::uint64_t refused_reads = 0;    ///< fields that the hook may not read
  std::uint64_t refused_writes = 0;   ///< fields that the hook may not write, or not like that
  std::uint64_t refused_items = 0;    ///< items too long, or of no running call
  std::uint64_t refused_metrics = 0;  ///< metrics that do not exist, or not like that
  std::uint64_t overflows = 0;        ///< calls that failed because too many were unanswered

  friend bool operator==(const PluginCounts&, const PluginCounts&) = default;
};

/// The state of one metric of a plugin's own, in the order of its manifest.
struct PluginMetricValue {
  double value = 0;                    ///< of a counter or a gauge; of a histogram the sum
  std::uint64_t count = 0;             ///< of a histogram: observations
  std::vector<std::uint64_t> buckets;  ///< of a histogram: up to each bound, not cumulated
};

/// One instance of a plugin. Unless the plugin is concurrent, `start` to `advance` are to be called
/// one at a time, though from any thread; the rest is thread-safe.
class PluginPort {
 public:
  virtual ~PluginPort() = default;

  [[nodiscard]] virtual const PluginManifest& manifest() const = 0;
  /// Asks. Its reply may come before this returns.
  virtual void start(HookCall call) = 0;
  /// Asks execute for several calls at once. `calls` are not empty and all of Hook::execute.
  virtual void start_batch(std::vector<HookCall> calls) = 0;
  /// Nobody waits for this call any more: it is replied to with `cancelled`, unless it was replied
  /// to.
  virtual void cancel(PluginCallId id) = 0;
  /// More items may come of a call of execute.
  virtual void credit(PluginCallId id, std::uint32_t items) = 0;
  /// Replies to the calls whose deadline is past, and runs the timers that are due.
  virtual void advance(TimePoint now) = 0;
  /// When `advance` has something to do; none: never. To be asked after each of the above.
  [[nodiscard]] virtual std::optional<TimePoint> next_due() const = 0;

  [[nodiscard]] virtual PluginCounts counts() const = 0;
  [[nodiscard]] virtual std::vector<PluginMetricValue> metrics() const = 0;
};

}  // namespace sluice
