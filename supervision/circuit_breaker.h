// How much a lane may take: evidence closes it off, golden probes and a ramp bring it back.
#pragma once

#include "base/clock.h"
#include "base/random.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sluice {

struct CircuitBreakerOptions {
  Duration bucket = std::chrono::seconds(1);  ///< evidence counts for ten of them
  std::uint32_t failures_in_a_row = 3;
  std::uint32_t requests_min = 10;
  double failed_share = 0.5;
  std::uint32_t steps_min = 10;
  double slow_share = 0.5;
  Duration wait_min = std::chrono::seconds(1);
  Duration wait_max = std::chrono::seconds(60);
  double jitter = 0.2;
  Duration forget = std::chrono::seconds(60);  ///< CLOSED for so long: the next wait is short again
  std::uint32_t probes = 3;                    ///< golden ones in a row
  double probe_factor = 2;                     ///< of the probes' usual duration
  /// A probe as short as this is never too slow: at such durations the machine's noise decides.
  Duration probe_floor = std::chrono::milliseconds(500);
  Duration probe_lease = std::chrono::seconds(10);
  Duration probe_idle = std::chrono::seconds(30);  ///< between probes of an idle CLOSED lane
  Duration probe_busy = std::chrono::minutes(5);
  std::uint32_t rounds = 3;    ///< failed ones, then a restart is asked for
  std::uint32_t restarts = 3;  ///< asked for in `restarts_period`, then quarantine
  Duration restarts_period = std::chrono::minutes(10);
  Duration ramp_step = std::chrono::milliseconds(100);
  double degraded_weight = 0.1;  ///< of a lane that evidence would open but may not
  /// Generations and probes count on from here: beyond what an earlier breaker of the lane used.
  std::uint64_t numbers_from = 0;
};

/// The breaker of one lane. It begins PROBING and without a worker: nothing passes until `ready`.
/// Whoever owns it tells what happens, and afterwards calls `look`, which says what to do; at
/// `next_look` at the latest it calls `look` again. Not thread-safe.
///   The steps of the ramp are short, because a lane that ramps has a new process that has passed
///   its self-test and its probes. For the same reason a lane that was well until somebody shot its
///   worker does not ramp: what it ran waits for its places.
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { closed, open, probing, ramping, forced_open };
  static constexpr std::size_t kStates = 5;
  /// Why a worker is gone.
  enum class Down : std::uint8_t {
    fatal,    ///< exit, hang, sticky error, broken link: the lane's own fault
    poison,   ///< a convicted request's fault: not counted
    planned,  ///< we ended it ourselves
    outside,  ///< somebody shot it: a lane that was CLOSED need not ramp again
  };
  /// What happened on the lane under one generation since it was last told.
  struct Evidence {
    std::uint32_t ok = 0;      ///< requests; not counted: cancelled, past their deadline, poison
    std::uint32_t failed = 0;  ///< requests the lane failed
    std::uint32_t slow = 0;    ///< of `steps`
    std::uint32_t steps = 0;
  };
  /// One probe's permit: a lease that `probe_done` or time returns.
  struct Permit {
    std::uint64_t generation = 0;
    std::uint64_t number = 0;  ///< grows for the life of the breaker
  };
  struct ProbeResult {
    enum class Kind : std::uint8_t {
      golden,  ///< the exact bytes
      wrong,   ///< other bytes: fatal
      failed,  ///< no answer
    };
    Kind kind = Kind::failed;
    Duration duration = Duration::zero();
    std::string why;  ///< unless golden
  };
  enum class Ask : std::uint8_t { nothing, restart, quarantine };
  /// What `look` wants done.
  struct Look {
    std::optional<Permit> probe;           ///< send this probe
    std::optional<std::uint64_t> expired;  ///< the lease of this probe has run out
    Ask ask = Ask::nothing;                ///< of the executor
    bool changed = false;                  ///< the gate is not what it was at the last look
  };

  /// Asked when evidence would open the lane: may it, seen that others of its model are open, too?
  /// True claims the place until the lane is CLOSED again. Null: always.
  using MayEject = std::function<bool()>;

  ///   random  for jitter; must outlive the breaker
  CircuitBreaker(CircuitBreakerOptions options, Random& random, MayEject may_eject = nullptr);

  // --- what happens ------------------------------------------------------------------------------

  /// A worker serves and grants `slots` > 0. It has to pass the probes, whatever the state was but
  /// forced by an operator.
  void ready(std::uint32_t slots, TimePoint now);
  /// The worker is gone.
  void down(std::string reason, Down kind, TimePoint now);
  /// Evidence of another generation changes nothing.
  void evidence(std::uint64_t generation, const Evidence& evidence, TimePoint now);
  /// A stale or expired permit changes nothing and returns false.
  bool probe_done(const Permit& permit, const ProbeResult& result, TimePoint now);
  /// The watchdog's suspicion: weight 0 while it lasts; nothing else changes.
  void suspend(bool suspended) { suspended_ = suspended; }
  /// Something is odd about the lane: if it is CLOSED, the next probe is due at once.
  void want_probe();
  /// The worker is going to be replaced: weight 0 as long as it serves; nothing else changes.
  void drain() { draining_ = true; }
  /// An operator wants it: until `until` or `release` nothing passes, not even probes.
  void force_open(std::string reason, TimePoint now, std::optional<TimePoint> until = {});
  /// FORCED_OPEN and OPEN are over: the lane is probed now.
  void release(TimePoint now);

  /// Does what time has made due, and says what the owner has to do.
  [[nodiscard]] Look look(TimePoint now);
  /// When to look again without anything having happened; TimePoint::max(): never.
  [[nodiscard]] TimePoint next_look() const;

  // --- the gate ----------------------------------------------------------------------------------

  [[nodiscard]] State state() const { return state_; }
  /// 0: no request of a user. Otherwise the lane's capacity counts with this factor.
  [[nodiscard]] double weight() const;
  /// Sequences of users that may run at once: the slots when CLOSED, fewer while RAMPING, else 0.
  [[nodiscard]] std::uint32_t permits() const;
  /// Grows whenever the lane is opened, probed or ramped: what began under an older one is not
  /// evidence any more.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  /// Since when, and why, the state is what it is.
  [[nodiscard]] TimePoint since() const { return since_; }
  [[nodiscard]] const std::string& reason() const { return reason_; }
  [[nodiscard]] bool suspended() const { return suspended_; }
  /// FORCED_OPEN by an operator.
  [[nodiscard]] bool by_hand() const { return state_ == State::forced_open && by_hand_; }

 private:
  static constexpr std::size_t kBuckets = 10;
  struct Gate {
    State state;
    double weight;
    std::uint32_t permits;
    std::uint64_t generation;
    bool operator==(const Gate&) const = default;
  };
  struct Lease {
    Permit permit;
    TimePoint until;
  };

  void enter(State state, std::string reason, TimePoint now);
  void open(std::string reason, bool counted, TimePoint now);
  /// Until a worker of the lane is tried, or somebody who forced it releases it.
  void shut(std::string reason, TimePoint now);
  void begin_probing(std::string reason, TimePoint now);
  void begin_ramp(TimePoint now);
  /// Takes a lease back that nobody has returned.
  void revoke();

  void no_answer(std::string reason, TimePoint now);
  void probe_failed(std::string reason, TimePoint now);
  void want_restart(TimePoint now);
  [[nodiscard]] bool probe_wanted(TimePoint now) const;
  [[nodiscard]] TimePoint probe_due() const;
  [[nodiscard]] bool too_slow(Duration duration) const;

  void clear_evidence();
  void count(const Evidence& evidence, TimePoint now);
  /// What the evidence says against the lane; empty: nothing.
  [[nodiscard]] std::string charge() const;
  void judge(TimePoint now);
  [[nodiscard]] Gate gate() const { return {state_, weight(), permits(), generation_}; }

  CircuitBreakerOptions options_;
  Random& random_;
  MayEject may_eject_;

  State state_ = State::probing;
  std::string reason_ = "no worker has served yet";
  TimePoint since_;
  std::uint64_t generation_;
  std::uint32_t slots_ = 0;  ///< of the worker; 0: none
  bool suspended_ = false;
  bool draining_ = false;
  bool by_hand_ = false;  ///< while FORCED_OPEN: by an operator, not because it is quarantined
  std::optional<TimePoint> forced_until_;  ///< then
  bool blameless_ = false;  ///< it was CLOSED, and since then nothing but shots has befallen it
  bool degraded_ = false;   ///< evidence speaks against the lane, but it may not be opened

  std::array<Evidence, kBuckets> buckets_{};
  std::int64_t bucket_ = 0;  ///< number of the newest bucket
  std::uint32_t in_a_row_ = 0;
  TimePoint last_busy_;

  std::uint32_t opened_ = 0;  ///< k
  TimePoint open_until_;
  std::uint32_t passed_ = 0;  ///< golden probes in a row
  std::uint32_t failed_rounds_ = 0;
  std::optional<Lease> lease_;
  std::optional<std::uint64_t> revoked_;  ///< lease that ended unreturned since the last look
  std::uint64_t probes_;
  TimePoint last_probe_;
  bool probe_now_ = false;
  std::deque<Duration> durations_;  ///< of the last golden probes in PROBING
  std::uint32_t ramp_ = 0;
  TimePoint ramp_at_;
  std::deque<TimePoint> restarts_asked_;
  Ask ask_ = Ask::nothing;
  std::optional<Gate> seen_;  ///< at the last look
};
std::string_view to_string(CircuitBreaker::State state);

}  // namespace sluice
