// What the actors of the front share: the ports, the models served, and how each lane is.
#pragma once

#include "actors/front_counters.h"
#include "actors/hand_over.h"
#include "actors/lane_board.h"
#include "actors/served_model.h"
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
#include "supervision/backoff.h"
#include "supervision/circuit_breaker.h"
#include "supervision/quarantine.h"
#include "supervision/tree.h"
#include "trace/event.h"
#include "worker/link.h"

#include "scheduling/dependency.h"
#include "scheduling/stream_pace_limit.h"
#include "scheduling/waiting_order.h"
#include <caf/send.hpp>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

class FrontMetrics;

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

  // The ports: whoever makes the front brings them.
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<Random> random;
  std::shared_ptr<WorkerLauncher> launcher;
  std::shared_ptr<trace::Sink> trace;       ///< may be null: nobody judges this run
  std::shared_ptr<HostMemory> host_memory;  ///< of the degradation actor; null: nobody looks

  // The catalogue: who is there, and under which names.
  std::shared_ptr<Tree> tree;
  Holder admission;
  std::vector<std::shared_ptr<ServedModel>> models;  ///< the first is the default
  std::map<LaneId, Holder> executors;
  std::map<LaneId, WorkerSpec> worker_specs;

  // What all requests share.
  StartBucket start_bucket;
  std::unique_ptr<Quotas> quotas;  ///< what tenants may use; never null
  OutputLengths lengths;           ///< of answers that have ended
  PoisonList poison;               ///< fingerprints of convicted requests
  Dependencies dependencies;       ///< of requests that wait for others
  RetryBudget retries;             ///< of sequences that failed by themselves
  std::atomic<std::uint64_t> next_sequence{1};

  // Counters and boards: what is read without asking an actor.
  FrontCounters counters;
  std::shared_ptr<FrontMetrics> metrics;  ///< never null
  PulseMark pulse;
  LaneBoard lanes;
  DecisionLog decisions;         ///< of admission, and of loops that refuse from the head
  DegradationBoard degradation;  ///< how much of its service the server lets go now
  RecentRatios first_tokens;     ///< of class realtime: their time to what was promised
  RecentRatios steps;            ///< of lanes in use: their time to the objective of `stream_pace`
  std::atomic<std::uint32_t> running{0};  ///< sequences that lanes run, in the whole front
  std::atomic<bool> stopping{false};      ///< readiness fails; requests are still taken
  std::atomic<bool> draining{false};      ///< new requests are refused

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

  /// Admission has decided, or a loop that refuses before it. What was refused is counted and
  /// leaves a line of log at level debug, so that who has a request's id finds why. Any thread.
  ///   entry  its level is filled in here, unless its answer is less: then it is that one's
  void decided(DecisionLog::Entry entry);

  /// Requests of this kind have ended workers of the model: it is one more word against the kind,
  /// and a line of log when it is refused from now on.
  ///   trial  the request was to show whether its kind still does
  void blame_kind(ServedModel& model, PoisonKinds::Kind kind, bool trial = false) const;
};

}  // namespace sluice
