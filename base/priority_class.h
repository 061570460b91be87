// How urgent a request is, in three classes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

/// Best first.
enum class PriorityClass : std::uint8_t { realtime, batch, low };

/// Their names in files, answers and metrics, in order.
inline constexpr std::array<std::string_view, 3> kPriorityClassNames{"realtime", "batch", "low"};

constexpr std::string_view to_string(PriorityClass priority_class) {
  return kPriorityClassNames[static_cast<std::size_t>(priority_class)];
}

constexpr std::optional<PriorityClass> parse_priority_class(std::string_view name) {
  for (std::size_t i = 0; i < kPriorityClassNames.size(); ++i)
    if (kPriorityClassNames[i] == name) return static_cast<PriorityClass>(i);
  return std::nullopt;
}

}  // namespace sluice
