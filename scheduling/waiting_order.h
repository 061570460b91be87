// Who is next of those who wait: classes by weight, tenants by what they have had, short requests
// first, with ageing. START HERE.
#pragma once

#include "base/clock.h"
#include "base/ids.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice {

/// The order of waiting sequences of one model.
///
/// Classes share the lanes' time by deficit round robin. Inside a class what has run before comes
/// first: its lane was lost, and its time is paid. Then tenants share tokens by virtual counters:
/// the one who has had least, by its weight, is next; who was idle gets no credit for that. Inside
/// a tenant the smallest key is first:
///
///   key = arrival − W · e / max(cost, e) + W · priority / 100       W `ageing`, e `reference`
///
/// less W · behind / (behind + cost + e) if others wait for it to end: the longer the way through
/// them, the sooner it goes. Nobody overtakes another of its tenant and class who arrived earlier
/// by more than `overtaking_max`: W, W more for each 100 that its priority is better, and W more if
/// others wait for it.
///
/// What no lane has room for is passed, at no cost to it, and those behind it are asked. Where all
/// of a class or of a tenant is passed it stands as if it were idle: others owe it nothing for that
/// time. So nobody starves, and nobody is owed more than these bounds, which hold over any time in
/// which both have something waiting that was not passed:
///
///   between classes   |S/w - S'/w'| <= quantum + C/w + C'/w'   S what a class was given of the
///                     lanes' time, w its weight, C its largest cost so far; for a class is funded
///                     at most once more than another, and keeps less than what its next one costs
///   between tenants   |T/v - T'/v'| <= U/v + U'/v'   T the tokens a tenant was charged, v its
///                     weight, U its largest charge so far; for whoever is ahead was behind before
///                     its last charge
///
/// The first is checked at run time (`starved`), both by whoever reads a trace
/// (trace/order_judge.h).
///
/// Without a bound of its own: what enters was let in by admission, which has one. Pure; owner: the
/// queue actor. Costs O(log n).
///   Sources: Shreedhar and Varghese 1995 (deficit round robin); Sheng et al., OSDI 2024 (virtual
///   token counter).
class WaitingOrder {
 public:
  static constexpr std::size_t kClasses = 3;  ///< realtime, batch, low
  static constexpr std::int32_t kPriorityMax = 100;

  struct Options {
    std::array<std::uint32_t, kClasses> weights{8, 3, 1};
    Duration quantum = std::chrono::milliseconds(100);  ///< for a weight of 1, in a round
    Duration cost_max = std::chrono::seconds(10);       ///< what costs more counts as that
    std::array<Duration, kClasses> ageing{
        std::chrono::milliseconds(250), std::chrono::seconds(10), std::chrono::seconds(60)};
    std::array<Duration, kClasses> reference{std::chrono::milliseconds(50),
                                             std::chrono::milliseconds(200),
                                             std::chrono::milliseconds(200)};
  };

  struct Item {
    SequenceId id;
    std::uint8_t class_index = 0;     ///< below kClasses
    bool resumed = false;             ///< it has had its turn before, and was counted then
    std::int32_t priority = 0;        ///< −100 to 100, lower first
    std::uint32_t tenant = 0;         ///< its number
    std::uint32_t tenant_weight = 1;  ///< at least 1
    TimePoint arrival;                ///< of the request, kept over resumptions
    Duration cost{};                  ///< of a lane's time
    std::uint64_t tokens = 0;         ///< as its tenant's counter counts them
    Duration behind{};                ///< of a lane's time, what waits for it to end
  };

  explicit WaitingOrder(Options options) : options_(options) {}
  WaitingOrder() : WaitingOrder(Options{}) {}

  /// False if the id waits already; nothing changes then.
  bool push(const Item& item);
  /// Who is next of those that were not passed; null: nobody. Valid until anything changes.
  [[nodiscard]] const Item* next();
  /// Takes out the one who is next: it is given to a lane, and charged.
  Item take();
  /// No lane has room for the one who is next: until `end_round` those behind it are next.
  ///   whole_class  nor for anybody else of its class: nobody of it is next
  void pass(bool whole_class = false);
  /// Who was passed stands at its old place again.
  void end_round();
  /// Takes out the next item, or none.
  std::optional<Item> pop();
  /// What waits for it has changed. The item as it is now; null: it does not wait here. Valid until
  /// the order changes.
  const Item* set_behind(SequenceId id, Duration behind);
  /// Takes an item out, wherever it stands. False: it does not wait here.
  bool remove(SequenceId id);

  // Without those that were passed in this round.
  /// Whoever of the class is next, at its turn; null: nobody waits. Valid until the order changes.
  [[nodiscard]] const Item* first(std::size_t class_index) const {
    const Class& waiting = classes_[class_index];
    return waiting.size == 0 ? nullptr : &first_of(waiting);
  }
  [[nodiscard]] std::size_t size() const { return where_.size(); }
  [[nodiscard]] bool empty() const { return where_.empty(); }
  [[nodiscard]] std::size_t size(std::size_t class_index) const {
    return classes_[class_index].size;
  }
  /// Tenants that wait, or are remembered for what they have had.
  [[nodiscard]] std::size_t tenants_known() const;

  /// By how much later somebody of the class may arrive and still be before another of its tenant.
  ///   better  by how much its priority number is lower; 0 if it is not. W more, if others wait for
  ///           it
  [[nodiscard]] Duration overtaking_max(std::size_t class_index, std::int32_t better) const {
    return options_.ageing[class_index] * (kPriorityMax + better) / kPriorityMax;
  }
  /// How often a class was given more, or less, than the bound above allows. Never, or this class
  /// is wrong.
  [[nodiscard]] std::uint64_t starved() const { return starved_; }

 private:
  /// Smallest first: the key above, the arrival, and the id to make it unique.
  using Key = std::tuple<TimePoint, TimePoint, SequenceId>;
  using Line = std::map<Key, Item>;
  /// What tenants have had and who they are; the first is next.
  using Turns = std::set<std::pair<std::uint64_t, std::uint32_t>>;

  struct Tenant {
    std::uint64_t counter = 0;
    Line line;
    Turns::node_type idle;  ///< its place among the turns while it does not wait
  };
  struct Class {
    Line resumed;
    std::unordered_map<std::uint32_t, Tenant> tenants;
    Turns turns;              ///< of the tenants that wait
    std::uint64_t least = 0;  ///< that of whoever wakes, at least
    std::size_t size = 0;     ///< of those that were not passed
    std::size_t passed = 0;   ///< in this round
    bool closed = false;      ///< so is whatever else of it waits
    Duration deficit{};
    Duration cost_largest{};  ///< so far
    /// How much more of the lanes' time it was given than each other class, as S·w' - S'·w, at most
    /// since any moment from which on both have waited.
    std::array<Duration, kClasses> lead{};

    [[nodiscard]] bool is_open() const { return size > 0 && !closed; }
  };
  struct Place {
    std::uint8_t class_index;
    bool resumed;
    std::uint32_t tenant;
    Key key;
  };

  [[nodiscard]] Key key_of(const Item& item) const;
  [[nodiscard]] Duration cost_of(const Item& item) const;
  static std::uint64_t units_of(const Item& item);
  static const Item& first_of(const Class& waiting);
  void place(const Item& item);
  static void wake(Class& waiting, std::uint32_t number, Tenant& tenant, std::uint64_t least);
  static void set_counter(Class& waiting, std::uint32_t number, std::uint64_t counter);
  static void forget_idle(Class& waiting);
  void count_served(std::size_t class_index, Duration cost);
  /// Nothing of the class waits, or all of it was passed: what it has had counts anew.
  void forget_leads(std::size_t class_index);

  Options options_;
  std::array<Class, kClasses> classes_;
  std::size_t turn_ = 0;      ///< the class whose turn it is
  bool turn_funded_ = false;  ///< it got its quantum for this turn
  std::vector<Item> passed_;  ///< in this round
  std::unordered_map<SequenceId, Place> where_;
  std::uint64_t starved_ = 0;
};

}  // namespace sluice
