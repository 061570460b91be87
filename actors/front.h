// What the actors of the front share: the ports, the models served, and how each lane is.
#pragma once

#include "actors/hand_over.h"
#include "admission/controller.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/random.h"
#include "models/registry.h"
#include "supervision/backoff.h"
#include "supervision/tree.h"
#include "worker/link.h"

#include "trace/event.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

/// How one lane is, as the outside may know it.
struct LaneStatus {
  enum class State : std::uint8_t { down, starting, ready, waiting, quarantined };

  LaneId lane;
  std::string model;
  State state = State::down;
  std::string phase;  ///< while starting: "spawn", "load", "warm_up", "self_test"
  std::int64_t pid = 0;
  std::uint64_t incarnation = 0;  ///< workers started so far
  std::uint64_t restarts = 0;     ///< workers lost and replaced
  std::string last_exit;          ///< why the last worker ended
  bool load_failed = false;       ///< the last worker said itself that it cannot load the model
  std::string level;              ///< which kernels compute
  std::uint64_t fingerprint = 0;
  std::uint32_t slots = 0;
  std::uint32_t blocks = 0;
  std::uint32_t running = 0;  ///< by the worker's own account
  std::uint32_t waiting = 0;
  std::uint32_t blocks_free = 0;
  std::uint64_t steps = 0;
  std::uint64_t preemptions = 0;
  std::int64_t step_age_ms = 0;
  std::uint64_t leases = 0;  ///< sequences in its hands
};
std::string_view to_string(LaneStatus::State state);

/// The latest status of every lane. Written by executors, read by anyone; never waits for an actor.
class LaneBoard {
 public:
  void update(const LaneStatus& status);
  [[nodiscard]] std::vector<LaneStatus> snapshot() const;
  /// Lanes of the model that serve now.
  [[nodiscard]] std::size_t ready(const std::string& model) const;
  /// True if the model has lanes and none serves nor will without help.
  [[nodiscard]] bool all_quarantined(const std::string& model) const;

 private:
  mutable std::mutex mutex_;
  std::map<LaneId, LaneStatus> lanes_;
};

/// A model the front serves. Immutable but for the atomics.
struct ServedModel {
  std::string name;  ///< its public name
  ModelCard card;
  std::uint32_t default_max_tokens = 16;
  std::int64_t created = 0;  ///< Unix seconds
  Holder queue;
  Holder batcher;
  std::vector<LaneId> lanes;
  std::atomic<std::uint64_t> fingerprint{0};  ///< of the lane that became ready last
  /// Sequences its lanes can run at once, as the batcher sees them.
  std::atomic<std::size_t> slots{0};
  /// Tokens that the KV cache of the lane that became ready last can hold; 0: not known yet.
  std::atomic<std::uint64_t> kv_tokens{0};

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
  std::atomic<std::uint64_t> resumed{0};  ///< sequences offered again after their holder was lost
  std::atomic<std::int64_t> sessions{0};  ///< alive
};

/// Lives as long as the actor system. All members may be used from any actor.
struct Front {
  struct Options {
    AdmissionController::Options admission;
    BackoffOptions lane_backoff;
    std::uint32_t lane_restarts_max = 5;  ///< in `lane_restarts_period`, then quarantine
    Duration lane_restarts_period = std::chrono::seconds(60);
    Duration hello_timeout = std::chrono::seconds(5);
    Duration load_timeout = std::chrono::seconds(300);
    Duration warm_up_timeout = std::chrono::seconds(120);
    Duration request_timeout = std::chrono::seconds(120);  ///< when the client names none
    Duration keepalive = std::chrono::seconds(15);  ///< silence after which a stream gets a comment
    std::size_t stream_buffer = std::size_t{256} << 10;  ///< unsent bytes that pause a stream
    std::uint32_t resumptions_max = 100;  ///< of one sequence, before it ends as backend_lost
  };

  Options options;
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<Random> random;
  std::shared_ptr<WorkerLauncher> launcher;
  std::shared_ptr<Tree> tree;
  std::shared_ptr<trace::Sink> trace;  ///< may be null: nobody judges this run
  Holder admission;
  std::vector<std::shared_ptr<ServedModel>> models;  ///< the first is the default
  std::map<LaneId, Holder> executors;
  std::map<LaneId, WorkerSpec> worker_specs;
  LaneBoard lanes;
  FrontCounters counters;
  StartBucket start_bucket;
  std::atomic<std::uint64_t> next_sequence{1};
  std::atomic<bool> stopping{false};  ///< readiness fails; requests are still taken
  std::atomic<bool> draining{false};  ///< new requests are refused

  /// Tells the trace, if there is one.
  template <class Body>
  void record(Body body) const {
    if (trace) trace->record({clock->now(), std::move(body)});
  }

  /// The model of that name, or the default one if none is given; null if there is none.
  [[nodiscard]] std::shared_ptr<ServedModel> find_model(
      const std::optional<std::string>& name) const;
};

}  // namespace sluice
