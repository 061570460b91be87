// What a family of metrics is: one name, and what its series mean.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice {

enum class MetricType : std::uint8_t { counter, gauge, histogram };

constexpr std::string_view to_string(MetricType type) {
  constexpr std::array<std::string_view, 3> kNames{"counter", "gauge", "histogram"};
  return kNames[static_cast<std::size_t>(type)];
}

/// All series of one name. Names end in their unit, counters in "_total".
struct Family {
  static constexpr std::size_t kLabelsMax = 5;

  std::string_view name;
  MetricType type = MetricType::gauge;
  std::array<std::string_view, kLabelsMax> label_names{};  ///< those it has, then empty ones
  std::string_view help;
  std::span<const double> bounds{};  ///< of a histogram: upper ones, rising, without +Inf

  [[nodiscard]] constexpr std::span<const std::string_view> labels() const {
    auto end = std::find(label_names.begin(), label_names.end(), std::string_view());
    return {label_names.data(), static_cast<std::size_t>(end - label_names.begin())};
  }
};

}  // namespace sluice
