// Who is next: classes by weight, inside a class by priority and arrival.
#pragma once

#include "base/clock.h"
#include "base/ids.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

namespace sluice {

/// The order of waiting sequences. Classes share by deficit round robin over their cost; inside a
/// class, resumed work first, then the lower priority number, then the earlier arrival. Without a
/// bound of its own: what enters was let in by admission, which has one. Pure; owner: the queue
/// actor.
///   Source: Shreedhar and Varghese 1995 (deficit round robin).
class ClassQueue {
 public:
  static constexpr std::size_t kClasses = 3;  ///< realtime, batch, low

  struct Options {
    std::array<std::uint32_t, kClasses> weights{8, 3, 1};
    std::uint64_t quantum_tokens = 256;  ///< what a weight of 1 may take in a round
  };

  struct Item {
    SequenceId id;
    std::uint8_t class_index = 0;   ///< below kClasses
    bool resumed = false;           ///< it has run before: goes to the front of its class
    std::int32_t priority = 0;      ///< lower first
    TimePoint arrival;              ///< of the request, kept over resumptions
    std::uint64_t cost_tokens = 1;  ///< prompt and expected output
  };

  explicit ClassQueue(Options options) : options_(options) {}

  /// False if the queue holds the id already; nothing changes then.
  bool push(const Item& item);
  /// The next item, or none.
  std::optional<SequenceId> pop();
  /// Takes an item out, wherever it stands. False if it is not here.
  bool remove(SequenceId id);

  [[nodiscard]] std::size_t size() const { return where_.size(); }
  [[nodiscard]] bool empty() const { return where_.empty(); }
  [[nodiscard]] std::size_t size(std::size_t class_index) const {
    return classes_[class_index].size();
  }

 private:
  /// Resumed, priority, arrival, and the id to make it unique.
  using Key = std::tuple<bool, std::int32_t, TimePoint, SequenceId>;
  struct Place {
    std::uint8_t class_index;
    Key key;
  };
  using Line = std::map<Key, std::uint64_t>;  ///< to cost

  Options options_;
  std::array<Line, kClasses> classes_;
  std::array<std::uint64_t, kClasses> deficits_{};
  std::size_t turn_ = 0;      ///< the class whose turn it is
  bool turn_funded_ = false;  ///< it got its quantum for this turn
  std::unordered_map<SequenceId, Place> where_;
};

}  // namespace sluice
