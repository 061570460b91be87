// Carries a plan of faults out in one worker: around its model, within its loop, on its link.
#pragma once

#include "base/clock.h"
#include "models/model.h"
#include "worker/faults/fault.h"
#include "worker/link_codec.h"
#include "worker/protocol.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// Which worker it is, for conditions.
struct FaultScope {
  std::uint32_t incarnation = 1;  ///< of the worker on its lane, from 1
  std::uint64_t seed = 0;         ///< the same seed and incarnation, the same chances
};

/// The faults of model and loop. Deterministic: a function of plan, scope and what it sees. Owner:
/// the worker; of the engine's thread; must outlive the models it wrapped. When an action has
/// returned that ends a real process, launches answer device_lost.
class Faults {
 public:
  ///   clock  measures steps, for slow(FACTOR)
  Faults(const FaultPlan& plan, FaultScope scope, FaultActions& actions, const Clock& clock);
  ~Faults();
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  /// The model is about to be loaded. A fault that makes that slow tells progress ten times.
  ///   on_progress  as of ModelSource
  void loading(const LoadObserver& on_progress = {});
  /// A model that does what `model` does, and what the plan says.
  std::unique_ptr<Model> wrap(std::unique_ptr<Model> model);
  /// Start-up is over: steps are counted from here.
  void serving();

  // --- for the loop ---

  void on_start(const wire::Start& start);
  void on_cancel(const wire::Cancel& cancel);
  /// Damages what a step has to say; `out` may hold other messages, too.
  ///   vocabulary  of the model
  void on_messages(std::int32_t vocabulary, std::vector<wire::ToFront>& out);
  /// The device is lost and nothing has reported it yet: nothing that is computed may be sent.
  [[nodiscard]] bool lost_unnoticed() const;
  /// The worker goes on after a lost device.
  [[nodiscard]] bool outlives_device() const;
  /// Every sequence that was started and has not ended: what such a worker answers with errors.
  [[nodiscard]] std::vector<std::pair<SequenceId, Epoch>> unfinished() const;

 private:
  class Impl;
  class FaultyModel;
  std::unique_ptr<Impl> impl_;
};

/// The faults of frames. Deterministic, and independent of Faults: it belongs to whoever writes the
/// link.
class LinkFaults final : public LinkTap {
 public:
  LinkFaults(const FaultPlan& plan, FaultScope scope);
  void on_frame(std::uint32_t number, std::string& bytes, std::size_t start) override;

 private:
  struct Entry {
    Fault fault;
    std::uint64_t key = 0;
  };
  std::vector<Entry> faults_;
  std::string held_;  // a frame that comes after the next one
};

}  // namespace sluice
