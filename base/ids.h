// Numbers that name things and cannot be mixed up.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>

namespace sluice {

/// A number with a kind of its own.
template <class Tag, class Number = std::uint64_t>
struct Id {
  Number value = 0;
  friend constexpr auto operator<=>(const Id&, const Id&) = default;
};

/// One sequence of tokens: one choice of one prompt of a request. What queues hold, lanes run and
/// leases name. Unique for the life of the front.
using SequenceId = Id<struct SequenceTag>;
/// One request: the number of its first sequence; the others follow it.
using RequestNumber = Id<struct RequestNumberTag>;
/// One worker's place, numbered from 0 over all models.
using LaneId = Id<struct LaneTag, std::uint32_t>;

/// Counts the offers of one sequence. A frame or notice of an older epoch changes nothing.
using Epoch = std::uint32_t;
/// A token of a model's vocabulary.
using TokenId = std::int32_t;

}  // namespace sluice

template <class Tag, class Number>
struct std::hash<sluice::Id<Tag, Number>> {
  std::size_t operator()(const sluice::Id<Tag, Number>& id) const noexcept {
    return std::hash<Number>{}(id.value);
  }
};
