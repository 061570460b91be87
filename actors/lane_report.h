// What the others hear of one lane and its worker: the board, the lane's breaker, the trace, the
// log.
#pragma once

#include "actors/front.h"
#include "actors/lane_dispatcher.h"
#include "actors/lane_messages.h"
#include "actors/lane_status.h"
#include "supervision/lane_health.h"
#include "supervision/worker_life.h"
#include "worker/protocol.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace sluice {

/// Puts into words what the executor, its owner, has decided or heard. Each call tells the trace
/// and the log at once; the board hears of it with the next `publish`, the breaker by
/// `tell_breaker`.
class LaneReport {
 public:
  LaneReport(std::shared_ptr<Front> front, const std::string& model, LaneId lane);

  /// What the board has heard, or will with the next `publish`.
  [[nodiscard]] const LaneStatus& status() const { return status_; }
  void publish(const WorkerLife& life, const LaneHealth& health, const LaneDispatcher& dispatcher);
  template <class Message>
  void tell_breaker(Message message) const {
    front_->tell(Front::breaker_role(status_.lane), std::move(message));
  }

  // --- the worker -------------------------------------------------------------------------------

  void starts(std::uint64_t worker);
  /// Its process is there.
  void launched(std::int64_t pid) { status_.pid = pid; }
  void serves(std::uint64_t worker, const wire::Ready& ready);
  /// To the breaker, which may be a new one.
  void tell_that_it_serves() const { tell_breaker(serves_); }
  void beats(const wire::Heartbeat& beat) { status_.take(beat); }
  /// It says why it ends.
  ///   load_failed  before it could serve
  void gives_up(bool load_failed) { status_.load_failed = load_failed; }
  /// The worker is lost.
  ///   users  sequences that ran in it for users
  void lost(const WorkerLife& life,
            const WorkerLife::Loss& loss,
            EndCause cause,
            const std::string& why,
            std::uint32_t users);
  /// It was lost, and will be replaced so much later.
  void restarts(const std::string& why, Duration later) const;
  /// It is lost because its executor ends.
  void abandoned(std::uint64_t worker) const;
  /// It was killed, and its process does not end.
  void wedged(std::int64_t pid, const std::string& why) const;
  void weights_changed(std::uint64_t before, std::uint64_t after) const;

  // --- quarantine -------------------------------------------------------------------------------

  void quarantined(const Quarantine& quarantine, const std::string& why) const;
  /// The lane rests.
  ///   trial  after how long a worker is tried; none: not before an operator wants it
  void rests(const std::string& why, std::optional<Duration> trial);
  void revived() const;
  void passed_its_trial() const;

 private:
  std::shared_ptr<Front> front_;
  LaneStatus status_;
  LaneServes serves_;  ///< the worker that served last
};

}  // namespace sluice
