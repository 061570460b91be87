// Kinds of requests that end workers: a circuit breaker for each, so that a flood of them costs
// the lanes little.
#pragma once

#include "base/clock.h"
#include "base/plan.h"

#include <array>
#include <atomic>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// What requests for one model have in common that may be why they end workers. When some have
/// been convicted and hardly any other of their tenant gets through, it is the tenant's; if others
/// of the tenant do, it is the shape of some: the size of the prompt, by powers of two, and which
/// parameters are used; and if there are more shapes than that, it is the tenant again. What one
/// tenant does is never another's fault. Such a kind is refused, but
/// for one request after a while, which runs alone and is convicted at once if it ends its worker:
/// each such trial costs one worker. One that gets through ends the refusals. One for each model.
/// Thread-safe; bounded.
class PoisonKinds {
 public:
  struct Options {
    /// So many convictions in the window, and at least this share of what was judged in it.
    std::uint32_t convictions = 3;
    double share = 0.5;
    /// So many of one tenant in the window, whatever else of it gets through: its poison may look
    /// like anything. Not of those that nobody tells apart.
    std::uint32_t convictions_most = 8;
    /// The window is between one and two of these.
    Duration half_window = std::chrono::seconds(15);
    /// Until the first trial; twice as long after each that is convicted.
    Duration first_wait = std::chrono::seconds(1);
    Duration longest_wait = std::chrono::seconds(60);
    /// A trial that says nothing for so long is followed by another one.
    Duration trial_lease = std::chrono::seconds(10);
    std::size_t entries_max = 1024;
    /// So many ends of workers within this time are a storm of them.
    std::uint32_t storm_ends = 3;
    Duration storm_window = std::chrono::seconds(10);
  };

  enum class Cause : std::uint8_t { tenant, shape };
  struct Kind {
    std::uint32_t tenant = 0;  ///< its number
    std::uint32_t shape = 0;   ///< as `shape_of` says; `kNoShape`: of several
    bool of_anybody = false;   ///< its tenant is whoever has no key
    auto operator<=>(const Kind&) const = default;
  };
  static constexpr std::uint32_t kShapes = 2048;
  static constexpr std::uint32_t kNoShape = UINT32_MAX;
  [[nodiscard]] static std::uint32_t shape_of(const Plan& plan);

  /// Such requests, as a text has it: "of this tenant", "with prompts of 64 to 127 tokens,
  /// logprobs".
  [[nodiscard]] static std::string describe(Cause cause, std::uint32_t shape);

  enum class Verdict : std::uint8_t { free, trial, refused };
  struct Answer {
    Verdict verdict = Verdict::free;
    Cause cause = Cause::tenant;  ///< of a refusal
    Duration wait{};              ///< likewise: until the next trial
  };
  /// A kind whose requests are refused.
  struct Refused {
    Cause cause = Cause::tenant;
    Kind kind;                    ///< without a shape if it is the tenant
    std::uint32_t convicted = 0;  ///< of the window
    Duration wait{};              ///< until the next trial; zero: it is due
  };

  explicit PoisonKinds(const Options& options) : options_(options) {}
  PoisonKinds() : PoisonKinds(Options{}) {}

  /// May a new request run? Costs one load while no kind is refused. A trial has to be followed by
  /// `passed`, `convicted` or `left` with `trial` set.
  [[nodiscard]] Answer ask(Kind kind, TimePoint now);
  /// May one that runs, and has become suspect, be tried? Takes no trial.
  [[nodiscard]] Answer look(Kind kind, TimePoint now) const;

  /// A request has ended well, or has got through its trial.
  void passed(Kind kind, TimePoint now, bool trial = false);
  /// A request was convicted, or several on trial have ended their worker together, all of this
  /// kind. True: its kind is refused from now on, and was not before.
  bool convicted(Kind kind, TimePoint now, bool trial = false);
  /// A trial has ended and told nothing: the next may begin.
  void left(Kind kind, TimePoint now);

  /// A worker has ended from inside, with requests of users.
  void ended(TimePoint now);
  /// Workers end one after the other. New requests of whose kind nothing good is known begin on
  /// trial then, away from those that are known to be harmless.
  [[nodiscard]] bool storms(TimePoint now) const { return now < storms_until(); }
  [[nodiscard]] TimePoint storms_until() const {
    return TimePoint(Duration(storms_until_.load(std::memory_order_relaxed)));
  }
  /// Requests of its tenant and of its shape have got through lately.
  [[nodiscard]] bool is_proven(Kind kind) const;
  [[nodiscard]] std::size_t refused() const { return refused_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::vector<Refused> list(TimePoint now) const;

 private:
  /// A tenant, or a shape of its requests.
  struct Key {
    Cause cause = Cause::tenant;
    Kind kind;
    auto operator<=>(const Key&) const = default;
  };
  struct Record {
    std::uint32_t now = 0;     ///< convictions of this half of the window
    std::uint32_t before = 0;  ///< and of the one before
    TimePoint half{};          ///< when this one began
    bool refused = false;
    Duration wait{};
    TimePoint trial_at{};
    bool lent = false;        ///< a trial runs
    TimePoint accepted_at{};  ///< when the last refusals ended
  };
  /// Kinds share a counter with others if there are many: that only makes them look better.
  static constexpr std::size_t kCounters = 4096;
  struct Passed {
    std::atomic<std::uint32_t> now{0};
    std::atomic<std::uint32_t> before{0};
  };

  static std::array<Key, 2> keys_of(Kind kind);
  static std::size_t place_of(Key key);
  void turn(TimePoint now);
  void turn(Record& record, TimePoint now) const;
  [[nodiscard]] std::uint32_t passes(Key key) const;
  /// Its record, with one more conviction. True: it is refused from now on.
  bool charge(Key key, TimePoint now);
  void make_room();
  [[nodiscard]] Answer judge(Kind kind, TimePoint now) const;

  Options options_;
  mutable std::mutex mutex_;
  std::map<Key, Record> records_;
  std::atomic<std::size_t> refused_{0};  ///< of `records_`
  std::array<Passed, 2 * kCounters> passed_;
  std::atomic<Duration::rep> turn_at_{0};
  std::deque<TimePoint> ends_;  ///< the last few
  std::atomic<Duration::rep> storms_until_{0};
};

}  // namespace sluice
