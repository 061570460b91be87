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
/// them, the sooner it goes.
///
/// Nobody overtakes another of its tenant and class who arrived earlier by more than
/// `overtaking_max`: W, W more for each 100 that its priority is better, and W more if others wait
/// for it. So nobody starves: a class of weight w, while it waits, gets w of every `sum` of the
/// lanes' time but for `slack`, which is checked at run time (`starved`).
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
    bool resumed = false;             ///< it has run before, and was counted then
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
  /// Classes that may not be served now: their turns wait.
  using Shut = std::array<bool, kClasses>;
  /// Takes out the next item, or none.
  std::optional<Item> pop(const Shut& shut = {});
  /// What was popped waits on, at its old place: nothing has been spent on it.
  void put_back(const Item& item);
  /// What waits for it has changed. Nothing happens if it does not wait here.
  void set_behind(SequenceId id, Duration behind);
  /// Takes an item out, wherever it stands. False: it does not wait here.
  bool remove(SequenceId id);

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
  /// What a class may lack of its share at any moment while it waits, of the lanes' time.
  [[nodiscard]] Duration slack(std::size_t class_index) const;
  /// How often a class lacked more than that. Never, or this class is wrong.
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
    std::size_t size = 0;
    Duration deficit{};
    // Since it began to wait: what it and all together were given.
    Duration own{};
    Duration all{};
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
  Item take_first(Class& waiting);
  void wake(Class& waiting, std::uint32_t number, Tenant& tenant);
  static void set_counter(Class& waiting, std::uint32_t number, std::uint64_t counter);
  static void forget_idle(Class& waiting);
  void count_served(std::size_t class_index, Duration cost);

  Options options_;
  std::array<Class, kClasses> classes_;
  std::size_t turn_ = 0;      ///< the class whose turn it is
  bool turn_funded_ = false;  ///< it got its quantum for this turn
  std::unordered_map<SequenceId, Place> where_;
  std::uint64_t starved_ = 0;
};

}  // namespace sluice
