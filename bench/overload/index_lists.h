// Doubly linked lists of small numbers that are kept in one array: moving a number costs no memory.
#pragma once

#include "base/check.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace sluice::overload {

/// So many lists of the numbers below a bound. A number is in one list at most; every operation
/// takes constant time. Not thread-safe.
class IndexLists {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  IndexLists(std::size_t lists, std::size_t numbers)
      : numbers_(static_cast<std::uint32_t>(numbers)), links_(numbers + lists) {
    for (std::uint32_t head = numbers_; head < links_.size(); ++head)
      links_[head] = {head, head};
  }

  /// Puts a number that is in no list at the end of one.
  void push_back(std::size_t list, std::uint32_t number) {
    CHECK(!contains(number));
    std::uint32_t head = head_of(list);
    std::uint32_t last = links_[head].before;
    links_[number] = {last, head};
    links_[last].after = number;
    links_[head].before = number;
  }
  /// Takes it out of its list, or does nothing if it is in none.
  void remove(std::uint32_t number) {
    Link& link = links_[number];
    if (link.after == kNone) return;
    links_[link.before].after = link.after;
    links_[link.after].before = link.before;
    link = {};
  }
  [[nodiscard]] bool contains(std::uint32_t number) const { return links_[number].after != kNone; }
  /// The first number of a list, or kNone.
  [[nodiscard]] std::uint32_t front(std::size_t list) const {
    return number_at(links_[head_of(list)].after);
  }
  /// The last number of a list, or kNone.
  [[nodiscard]] std::uint32_t back(std::size_t list) const {
    return number_at(links_[head_of(list)].before);
  }
  /// The number behind one that is in a list, or kNone.
  [[nodiscard]] std::uint32_t next(std::uint32_t number) const {
    return number_at(links_[number].after);
  }

 private:
  struct Link {
    std::uint32_t before = kNone;
    std::uint32_t after = kNone;
  };

  /// Heads stand behind the numbers: a list is a ring through its head.
  [[nodiscard]] std::uint32_t head_of(std::size_t list) const {
    return numbers_ + static_cast<std::uint32_t>(list);
  }
  [[nodiscard]] std::uint32_t number_at(std::uint32_t place) const {
    return place < numbers_ ? place : kNone;
  }

  std::uint32_t numbers_;
  std::vector<Link> links_;
};

}  // namespace sluice::overload
