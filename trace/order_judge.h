// Judges the order in which waiting work is given its lanes: the part of the checker that stands
// beside the queues.
#pragma once

#include "trace/checker.h"
#include "trace/run_state.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace sluice::trace {

/// Compares what several who wait are given, each by its weight.
class Race {
 public:
  struct Lead {
    std::uint32_t over = 0;  ///< whom
    double is = 0;
    double allowed = 0;
  };

  /// Whether something of it waits that has not been passed. What it has had counts anew from the
  /// moment that something does.
  void wait(std::uint32_t who, bool waits);
  /// One who waits may be given so much at once.
  void expect(std::uint32_t who, double part);
  /// One who waits is given something. Its lead over another is the most that it had more, from any
  /// moment on since which both have waited.
  ///   margin  allowed beside what either may be given at once
  /// Returns a lead that is larger than allowed, if there is one.
  std::optional<Lead> give(std::uint32_t who, double part, double margin);
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

 private:
  std::set<std::uint32_t> waiting_;
  std::map<std::uint32_t, double> largest_;
  std::map<std::uint32_t, std::map<std::uint32_t, double>> leads_;  ///< of one over another
};

/// Knows the rules as they are meant, not how a queue keeps them. Work that was passed in a round,
/// because no lane had room for it, does not stand in anybody's way in that round, and who has
/// nothing else is owed nothing for it.
///
///   C9   What has had its turn before comes first of its class, in order of arrival, and nobody's
///        arrival is ever made anew. Of a tenant's other work in a class the first place is next,
///           arrival - W · e / max(cost, e) + W · priority / 100 - W · behind / (behind + cost + e)
///        so nobody is picked before one who came W, and W more for each 100 of priority, earlier,
///        and W more if others wait for it. Who is picked for the core API, from what is kept for
///        it, passes the others and is charged nothing.
///        W is `Limits::ageing`, e 50, 200 and 200 ms.
///        Two classes of weights w and w' (8, 3, 1) that both wait are given lane time S and S',
///           |S/w - S'/w'| <= quantum + C/w + C'/w'      C: largest cost so far, at most 10 s
///        over any time. What has had its turn costs nothing.
///   C10  Two tenants of a class, of weights v and v', that both wait are charged T and T' tokens,
///           |T/v - T'/v'| <= U/v + U'/v'                U/v: largest charge so far
///        over any time, however idle either was before; and nobody is charged twice for what
///        comes back without having run, but for what admission may have lost.
///
/// Costs O(log n) an event, and O(tenants that wait) a pick.
class OrderJudge {
 public:
  explicit OrderJudge(Violate violate) : violate_(std::move(violate)) {}

  void on(const Limits& limits) { limits_ = limits; }
  void on(const Offered& offered);
  void on(const Ended& ended);
  void on(const AdmissionBorn& born);
  void on(const Restarted& restarted);
  void on(const QueueBorn& born);
  void on(const Queued& queued);
  void on(const Picked& picked);
  void on(const Passed& passed);
  void on(const Unqueued& left);
  /// The run has come to rest: nothing waits.
  void end();

  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] const OrderChoices& choices() const { return choices_; }

 private:
  static constexpr std::size_t kClasses = 3;
  /// Who waits and was not passed in this round, first places first.
  using Line = std::set<std::pair<TimePoint, SequenceId>>;

  struct Class {
    bool closed = false;  ///< all of it was passed in this round, whatever stands in its lines
    Line resumed;
    std::map<std::uint32_t, Line> tenants;
    Race race;  ///< of the tenants
  };
  struct Model {
    std::array<Class, kClasses> classes;
    Race race;  ///< of the classes
    std::uint64_t round = 0;
    std::vector<SequenceId> passed;  ///< in this round
  };
  struct Waiting {
    Queued as;
    TimePoint place;
  };
  /// What is remembered of a sequence until its request ends.
  struct Life {
    std::optional<RequestNumber> request;
    std::optional<TimePoint> arrival;
    std::optional<std::uint32_t> charged;  ///< by the queue of this model
    bool excused = false;                  ///< it may be charged again
  };

  [[nodiscard]] TimePoint place_of(const Queued& queued) const;
  /// Null, and said: it does not wait under that epoch.
  Waiting* find(SequenceId id, Epoch epoch, const char* what);
  void begin_round(Model& model, std::uint64_t round);
  void stand(const Waiting& one, bool in_line);
  void check_line(const Waiting& picked, const Class& in);
  void check_tenant(const Waiting& picked, const Class& in, bool core_only);
  void check_place(const Waiting& picked, const Line& line, bool core_only);
  void check_shares(const Waiting& picked, Model& model);
  void forget(SequenceId id);
  void excuse();

  Violate violate_;
  Limits limits_;
  std::map<std::uint32_t, Model> models_;
  std::map<SequenceId, Waiting> waiting_;
  std::map<SequenceId, Life> lives_;
  OrderChoices choices_;
};

}  // namespace sluice::trace
