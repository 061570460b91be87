// The host's side of one instance: its calls, timers and metrics, and the functions it may call.
#pragma once

#include "plugins/instance.h"
#include "plugins/port.h"
#include "plugins/sdk/sluice/plugin.h"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

/// What the opaque pointer of the interface points to. Never freed, only closed, because a plugin's
/// thread that outlives its instance may still call: then nothing happens. Thread-safe.
struct sluice_host {
 public:
  using Call = sluice::HookCall;
  using Id = sluice::PluginCallId;
  using Reply = sluice::HookReply;
  using Status = sluice::HookStatus;
  using TimePoint = sluice::TimePoint;

  /// Makes a host that lives as long as the process.
  static sluice_host* make(const sluice::PluginManifest& manifest,
                           sluice::PluginSink& sink,
                           const sluice::Clock& clock,
                           sluice::PluginLimits limits);

  /// The functions, as plugins see them.
  static const sluice_host_api& api();

  // For the instance.

  /// Takes a call in, or replies that there are too many. `call` keeps what a hook is given
  /// besides: stream and flags; its delta is in `payload_of`.
  ///   returns  its number, or 0
  sluice_call open(Call& call);
  /// What the plugin sees as payload of a call that is open.
  [[nodiscard]] std::string_view payload_of(sluice_call number);
  /// What the plugin has to hear of a call that is pending now, because it could not be told while
  /// the hook ran.
  enum class Missed : std::uint8_t { nothing, cancel, credit };
  /// The hook has returned.
  ///   failure  why, if it threw
  Missed settle(sluice_call number, sluice_status status, const std::string& failure);
  /// Replies without asking the plugin.
  void reply(Reply reply);
  /// Replies with `cancelled`.
  ///   returns  the call's number if the plugin has it and its hook has returned; 0: not so
  sluice_call cancel(Id id);
  void flag_cancelled(Id id);
  /// Adds credit.
  ///   returns  the call's number if the plugin waits for it; 0: not so
  sluice_call credit(Id id, std::uint32_t items);
  /// Replies to all calls past their deadline and returns their numbers.
  std::vector<sluice_call> expire(TimePoint now);
  struct Timer {
    TimePoint due;
    std::uint64_t period_ms = 0;
    void (*run)(void*) = nullptr;
    void* context = nullptr;
  };
  [[nodiscard]] std::vector<std::uint64_t> due_timers(TimePoint now) const;
  /// Takes a timer that is to run now, if it has not been stopped since; sets it up for the next
  /// time.
  std::optional<Timer> take_timer(std::uint64_t number, TimePoint now);
  [[nodiscard]] std::optional<TimePoint> next_due() const;
  [[nodiscard]] sluice::PluginCounts counts() const;
  [[nodiscard]] std::vector<sluice::PluginMetricValue> metrics() const;
  /// Replies to everything with `cancelled`.
  void cancel_all();
  /// From now on nothing happens here. Waits until nobody is in the sink.
  void close();

  // For the plugin: plugin.h says what they mean.

  void log(int level, std::string_view message);
  sluice_status get(sluice_call number, std::string_view name, sluice_str& value);
  sluice_status set(sluice_call number, std::string_view name, std::string_view value);
  void complete(sluice_call number, sluice_status status);
  bool cancelled(sluice_call number);
  sluice_status emit(sluice_call number, std::string_view item);
  enum class Update : std::uint8_t { add, set, observe };
  void update_metric(Update update, std::uint32_t metric, double value);
  std::int64_t now_unix_ms();
  std::int64_t now_monotonic_ns();
  std::uint64_t start_timer(std::uint64_t first_ms,
                            std::uint64_t period_ms,
                            void (*run)(void*),
                            void* context);
  void stop_timer(std::uint64_t number);

 private:
  using Lock = std::unique_lock<std::mutex>;

  /// A call that somebody still needs: the asker its reply, or the plugin its fields.
  struct Record {
    sluice_call number = 0;  ///< 0: free
    std::uint64_t generation = 0;
    Id id{};
    sluice::Hook hook{};
    sluice::CallFields fields;
    std::string payload;
    sluice::CallFields changes;
    std::string failure;
    TimePoint deadline;
    std::optional<Status> outcome;  ///< set once: by the answer, `cancel` or the deadline
    bool owned = false;             ///< the plugin has to answer
    bool in_hook = false;           ///< its hook has not returned
    bool waits = false;             ///< is in `waiting_` and `deadlines_`
    bool delivered = false;         ///< the sink has the reply, or gets it now
    bool flagged = false;           ///< nobody waits, as `flag_cancelled` said
    bool starved = false;           ///< an item was turned away for want of credit
    std::uint32_t credit = 0;
    std::uint32_t items_under_way = 0;  ///< that emitters give to the sink now
  };

  sluice_host(const sluice::PluginManifest& manifest,
              sluice::PluginSink& sink,
              const sluice::Clock& clock,
              sluice::PluginLimits limits);

  Record* find(sluice_call number);
  Record* find(Id id);
  /// Takes the plugin's answer.
  void answer(Record& record, sluice_status status);
  void decide(Record& record, Status status);
  void stop_waiting(Record& record);
  /// After every change of a record: replies once that is possible, and lets go of the record once
  /// nobody needs it. Gives the lock up for the sink, and the record with it.
  void proceed(Lock& lock, Record& record);
  Reply make_reply(Record& record);
  void deliver(Lock& lock, Reply reply);
  void left_sink(Lock& lock);

  const std::uint32_t hooks_;
  const std::uint8_t permissions_;
  const std::string name_;
  std::vector<sluice::PluginMetric> metric_rules_;
  const sluice::Clock* clock_;
  const sluice::PluginLimits limits_;

  mutable std::mutex mutex_;
  sluice::PluginSink* sink_;  ///< null once closed
  std::size_t in_sink_ = 0;   ///< threads that are in the sink now
  std::condition_variable sink_left_;
  std::deque<Record> records_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::uint64_t, sluice_call> waiting_;  ///< pending calls by the asker's id
  std::set<std::pair<TimePoint, sluice_call>> deadlines_;   ///< of the same
  std::map<std::uint64_t, Timer> timers_;
  std::uint64_t timers_started_ = 0;
  sluice::PluginCounts counts_;
  mutable std::mutex metrics_mutex_;
  std::vector<sluice::PluginMetricValue> metrics_;
};
