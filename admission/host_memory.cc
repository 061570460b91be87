#include "admission/host_memory.h"

#include "base/control_groups.h"

#include <algorithm>
#include <charconv>

namespace sluice {
namespace {

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

/// What a group of v1 without a limit has for one: all that fits a page counter.
constexpr double kNoLimitV1 = 9e18;

double ratio_of(double used, double files, double limit) {
  return limit > 0 ? std::clamp((used - files) / limit, 0.0, 1.0) : 0.0;
}

double pages_of_files(const std::string& stat, std::string_view prefix) {
  std::string name(prefix);
  return field_of(stat, name + "inactive_file").value_or(0) +
         field_of(stat, name + "active_file").value_or(0);
}

/// What standing still for memory counts as, of the limit.
double used_by_pressure(double percent) {
  if (percent < 10) return 0;
  return 0.85 + 0.05 * std::min(1.0, (percent - 10) / 10);
}

double used_v2(const MemoryReadings& readings, const std::string& folder) {
  auto number = [&](const char* file) -> std::optional<double> {
    auto text = readings.read(folder + file);
    return text ? number_of(*text) : std::nullopt;  // none as well for "max"
  };
  auto current = number("/memory.current");
  auto most = number("/memory.max");
  auto high = number("/memory.high");
  double used = 0;
  if (current && (most || high)) {
    double limit = std::min(most.value_or(*high), high.value_or(*most));
    used = ratio_of(
        *current, pages_of_files(readings.read(folder + "/memory.stat").value_or(""), ""), limit);
    used = std::max(used,
                    used_by_pressure(pressure_some_avg10(
                        readings.read(folder + "/memory.pressure").value_or(""))));
  }
  return used;
}

double used_v1(const MemoryReadings& readings, const std::string& folder) {
  auto usage = readings.read(folder + "/memory.usage_in_bytes");
  auto limit = readings.read(folder + "/memory.limit_in_bytes");
  if (!usage || !limit) return 0;
  auto used = number_of(*usage);
  auto most = number_of(*limit);
  if (!used || !most || *most >= kNoLimitV1) return 0;
  std::string stat = readings.read(folder + "/memory.stat").value_or("");
  return ratio_of(*used, pages_of_files(stat, "total_"), *most);
}

}  // namespace

double memory_used(const MemoryReadings& readings) {
  double used = 0;
  for (const ControlGroup& group : control_groups(readings.cgroups, "memory", {"memory"}))
    used = std::max(used,
                    group.v2 ? used_v2(readings, group.folder) : used_v1(readings, group.folder));
  return used;
}

double pressure_some_avg10(std::string_view text) {
  constexpr std::string_view kSome = "some avg10=";
  std::size_t at = text.find(kSome);
  if (at == std::string_view::npos || (at > 0 && text[at - 1] != '\n')) return 0;
  return number_of(text.substr(at + kSome.size())).value_or(0);
}

std::optional<double> field_of(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ')
      return number_of(line.substr(key.size() + 1));
  }
  return std::nullopt;
}

}  // namespace sluice
