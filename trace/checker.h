// Reads a trace and says which invariants it breaks: one program for simulations, for chaos with
// real processes and for servers in production.
#pragma once

#include "trace/event.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sluice::trace {

/// What an undisturbed run would give. Only tests know it.
class Reference {
 public:
  virtual ~Reference() = default;
  /// All tokens that the session takes for a sequence that ends by itself: a stop token included,
  /// none behind a stop string. Null: not known.
  ///   weights  as LaneReady::fingerprint names those that compute it; 0: not known
  [[nodiscard]] virtual const std::vector<TokenId>* tokens(SequenceId sequence,
                                                           std::uint64_t weights) const = 0;
  /// All that a client reads of a choice that ends by itself. Null: not known.
  [[nodiscard]] virtual const std::string* text(RequestNumber request,
                                                std::uint32_t choice,
                                                std::uint64_t weights) const = 0;
};

/// A broken invariant.
struct Violation {
  std::string invariant;    ///< "C1" ... "C20", as listed at `Checker`
  TimePoint at;             ///< of the event that broke it
  std::uint64_t event = 0;  ///< its number in the trace, from 1
  std::string what;         ///< a sentence that names things and numbers
};
/// The violation in a line, times in seconds.
std::string to_string(const Violation& violation);

/// How many picks had more than one to pick from: where there are none, C9 and C10 say nothing.
struct OrderChoices {
  std::uint64_t between_classes = 0;
  std::uint64_t between_tenants = 0;
  std::uint64_t inside_tenants = 0;  ///< or among those who have had their turn
};

/// Takes the events of one run in order, each in constant time; remembers a constant amount for
/// every request, sequence and lane that is alive, and the last 65 536 requests that ended.
///
///   C1   an accepted request ends exactly once, and nothing follows
///   C2   a refused request has no token and no reservation
///   C3   tokens are a prefix of the plan's output, in order, none twice; a completed one is whole;
///        a resumed sequence brings exactly the tokens that were emitted
///   C4   what a client reads is a prefix of the text, and whole when it ends by itself
///   C5   nothing of an old epoch changes anything
///   C6   what is reserved returns exactly once and never exceeds what there is
///   C7   what tenants take is in their buckets, and in the one they share
///   C8   what is kept there for the core API and for better classes is left to them
///   C9   whoever waits for a lane gets it in order: nobody overtakes for longer than is right, and
///        classes share the lanes' time by weight
///   C10  tenants of a class who wait share tokens by weight
///   C11  nothing starts after its deadline
///   C12  no user's work on a closed lane, none beyond its permits; probes' permits return
///   C13  starts and restarts of workers keep their budgets; a quarantined lane rests long enough,
///        and longer after a trial that failed
///   C14  the ladder goes down one step at a time and rests between
///   C16  a poison request ends no more workers than it may, the last one alone
///   C17  retries keep their budget
///   C18  an answer comes from one set of weights
///   C19  no stream is given more tokens than its reader had room for
///   C20  nobody gives way to more urgent work more often than it has to
///
/// Without a reference C3 and C4 check order and contiguity only. A trace begins with the start of
/// the front. Not thread-safe.
class Checker {
 public:
  /// `reference` may be null and must outlive the checker.
  explicit Checker(const Reference* reference = nullptr);
  ~Checker();

  void on(const Event& event);

  /// The first 100 violations.
  [[nodiscard]] const std::vector<Violation>& violations() const;
  [[nodiscard]] std::uint64_t violations_in_all() const;
  [[nodiscard]] std::uint64_t events() const;
  /// Requests, sequences and lanes that are alive: what the checker remembers.
  [[nodiscard]] std::size_t remembered() const;
  [[nodiscard]] const OrderChoices& choices() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::trace
