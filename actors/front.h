// What the actors of the front share: the ports, the models served, and how each lane is.
#pragma once

#include "actors/hand_over.h"
#include "actors/lane_board.h"
#include "actors/model_weights.h"
#include "admission/controller.h"
#include "admission/decision_log.h"
#include "admission/degradation_board.h"
#include "admission/host_memory.h"
#include "admission/output_lengths.h"
#include "admission/poison.h"
#include "admission/quotas.h"
#include "admission/recent_ratios.h"
#include "admission/retry_budget.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "models/registry.h"
#include "supervision/backoff.h"
#include "supervision/circuit_breaker.h"
#include "supervision/quarantine.h"
#include "supervision/tree.h"
#include "trace/event.h"
#include "worker/link.h"

#include "scheduling/arrival_forecast.h"
#include "scheduling/dependency.h"
#include "scheduling/stream_pace_limit.h"
#include "scheduling/wait_board.h"
#include "scheduling/waiting_order.h"
#include <caf/send.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

class FrontMetrics;
struct ModelMetrics;

/// A model the front serves. Immutable but for the atomics.
struct ServedModel {
  std::string name;  ///< its public name
  ModelCard card;
  std::uint32_t default_max_tokens = 16;
  std::int64_t created = 0;  ///< Unix seconds
  std::string cheaper = {};  ///< the model that may answer for it under pressure; empty: none
  Holder queue;
  Holder batcher;
  std::vector<LaneId> lanes;
  ModelWeights weights;  ///< that its lanes run
  WaitBoard waits;       ///< for its lanes
  ArrivalForecast arrivals;
  /// Times that a class lacked more of the lanes than the order of waiting work allows: never.
  std::atomic<std::uint64_t> starved{0};
  /// Sequences its lanes can run at once, as the batcher sees them.
  std::atomic<std::size_t> slots{0};
  /// Sequences that wait for one of those: in the queue, and in the batcher.
  std::atomic<std::size_t> queued{0};
  std::atomic<std::size_t> unplaced{0};
  /// Tokens that the KV cache of the lane that became ready last can hold; 0: not known yet.
  std::atomic<std::uint64_t> kv_tokens{0};
  ModelMetrics* metrics = nullptr;  ///< from `add_model` on never null

  /// Somebody waits for a place on a lane.
  [[nodiscard]] bool is_waited_for() const { return queued > 0 || unplaced > 0; }
  /// Tokens one sequence may have: the model's context, or what the KV cache holds if that is less.
  [[nodiscard]] std::int32_t context() const {
    std::uint64_t held = kv_tokens;
    auto longest = static_cast<std::uint64_t>(card.context);
    return static_cast<std::int32_t>(held == 0 ? longest : std::min(held, longest));
  }
};

/// Numbers of requests and what became of them, since the start.
struct FrontCounters {
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> completed{0};
  std::atomic<std::uint64_t> cancelled{0};
  std::atomic<std::uint64_t> deadline{0};
  std::atomic<std::uint64_t> failed{0};
  /// Requests convicted of ending workers, or refused as equal.
  std::atomic<std::uint64_t> poisoned{0};
  std::atomic<std::uint64_t> resumed{0};  ///< sequences offered again after their holder was lost
  std::atomic<std::uint64_t> weights_changed{0};  ///< times that a model's weights were replaced
  std::atomic<std::int64_t> sessions{0};          ///< alive
  std::atomic<std::int64_t> reading{0};           ///< in the background, before their sessions
  std::atomic<std::int64_t> dependent{0};         ///< sessions that wait for other requests
};

/// What the pulse leaves for /health, which asks no actor.
class PulseMark {
 public:
  void beat(TimePoint now) { last_ = now.time_since_epoch().count(); }
  /// Nobody beats any more, so a late beat means nothing.
  void end() { last_ = 0; }
  /// How old the last beat is; zero if nobody beats.
  [[nodiscard]] Duration age(TimePoint now) const {
    Duration::rep last = last_;
    return last == 0 ? Duration::zero()
                     : std::max(Duration::zero(), now.time_since_epoch() - Duration(last));
  }
  /// An actor took so long to answer, or has not answered for so long.
  void waited(Duration time, TimePoint now) {
    if (now - window_begun_ >= kWindow) {
      window_begun_ = now;
      before_ = slowest_.exchange(0);
    }
    slowest_ = std::max<Duration::rep>(slowest_, time.count());
  }
  /// The longest of the last half to whole minute.
  [[nodiscard]] Duration slowest() const {
    return Duration(std::max<Duration::rep>(slowest_, before_));
  }
  std::atomic<std::uint32_t> stuck{0};  ///< actors that do not answer

 private:
  static constexpr Duration kWindow = std::chrono::seconds(30);

  std::atomic<Duration::rep> last_{0};
  std::atomic<Duration::rep> slowest_{0};  ///< of this window
  std::atomic<Duration::rep> before_{0};   ///< of the one before
  TimePoint window_begun_;                 ///< the pulse's own
};

/// Lives as long as the actor system. All members may be used from any actor.
struct Front {
  struct Options {
    AdmissionController::Options admission;
    Quotas::Options quotas;
    BackoffOptions lane_backoff;
    std::uint32_t lane_restarts_max = 5;  ///< in `lane_restarts_period`, then quarantine
    Duration lane_restarts_period = std::chrono::seconds(60);
    QuarantineOptions quarantine;  ///< of lanes, and of their actors
    WaitingOrder::Options order;   ///< of what waits for a lane
    Duration hello_timeout = std::chrono::seconds(5);
    Duration retry_patience = std::chrono::seconds(10);  ///< for a place in the budget of retries
    Duration load_timeout =
        std::chrono::seconds(30);  ///< without any progress; however long in all
    Duration warm_up_timeout = std::chrono::seconds(120);
    Duration request_timeout = std::chrono::seconds(120);  ///< when the client names none
    Duration keepalive = std::chrono::seconds(15);  ///< silence after which a stream gets a comment
    std::size_t stream_buffer = std::size_t{256} << 10;  ///< unsent bytes that pause a stream
    /// After so long a paused sequence leaves its place to whoever waits for one.
    Duration pause_patience = std::chrono::seconds(2);
    CircuitBreakerOptions breaker;
    StreamPaceLimit::Options stream_pace;                ///< of each lane
    Duration pulse = std::chrono::milliseconds(250);     ///< between two beats; zero: no pulse
    Duration pulse_alarm = std::chrono::seconds(1);      ///< for the answer of an actor
    Duration outage_patience = std::chrono::seconds(5);  ///< of a model, while new ones may wait
    std::uint32_t resumptions_max = 100;  ///< of one sequence, before it ends as backend_lost
    bool degradation = false;             ///< the ladder runs
  };

  Options options;
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<Random> random;
  std::shared_ptr<WorkerLauncher> launcher;
  std::shared_ptr<Tree> tree;
  std::shared_ptr<trace::Sink> trace;       ///< may be null: nobody judges this run
  std::shared_ptr<HostMemory> host_memory;  ///< of the degradation actor; null: nobody looks
  Holder admission;
  std::vector<std::shared_ptr<ServedModel>> models;  ///< the first is the default
  std::map<LaneId, Holder> executors;
  std::map<LaneId, WorkerSpec> worker_specs;
  LaneBoard lanes;
  PulseMark pulse;
  FrontCounters counters;
  std::shared_ptr<FrontMetrics> metrics;  ///< never null
  StartBucket start_bucket;
  std::unique_ptr<Quotas> quotas;         ///< what tenants may use; never null
  OutputLengths lengths;                  ///< of answers that have ended
  DecisionLog decisions;                  ///< of admission, and of loops that refuse from the head
  DegradationBoard degradation;           ///< how much of its service the server lets go now
  RecentRatios first_tokens;              ///< of class realtime: their time to what was promised
  RecentRatios steps;                     ///< of lanes in use: their time to the objective of `stream_pace`
  PoisonList poison;                      ///< fingerprints of convicted requests
  Dependencies dependencies;              ///< of requests that wait for others
  RetryBudget retries;                    ///< of sequences that failed by themselves
  std::atomic<std::uint32_t> running{0};  ///< sequences that lanes run, in the whole front
  std::atomic<std::uint64_t> next_sequence{1};
  std::atomic<bool> stopping{false};  ///< readiness fails; requests are still taken
  std::atomic<bool> draining{false};  ///< new requests are refused

  static constexpr std::string_view kRootRole = "root";  ///< the supervisor of all
  static constexpr std::string_view kDegradationRole = "degradation";
  static std::string breaker_role(LaneId lane) { return "breaker." + std::to_string(lane.value); }
  static std::string prober_role(LaneId lane) { return "prober." + std::to_string(lane.value); }

  /// Tells the trace, if there is one.
  template <class Body>
  void record(Body body) const {
    if (trace) trace->record({clock->now(), std::move(body)});
  }

  /// Sends to whoever plays the role now; if nobody does, nobody needs it.
  template <class Message>
  void tell(std::string_view role, Message message) const {
    if (auto peer = tree->registry().find(role)) caf::anon_send(peer->handle, std::move(message));
  }

  /// The model of that name, or the default one if none is given; null if there is none.
  [[nodiscard]] std::shared_ptr<ServedModel> find_model(
      const std::optional<std::string>& name) const;
};

}  // namespace sluice
