// Reading TOML so that all that is wrong is said at once, each with its place.
#pragma once

#include "base/result.h"

#include <toml++/toml.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

/// What is wrong with a file, in the order of its lines.
class TomlComplaints {
 public:
  ///   file  its name
  explicit TomlComplaints(std::string file) : file_(std::move(file)) {}

  void add(const toml::source_region& place, std::string_view name, const std::string& reason);
  [[nodiscard]] bool empty() const { return lines_.empty(); }
  /// A line each, "FILE:LINE:COLUMN: NAME: reason"; the first 20 of them. invalid_argument.
  [[nodiscard]] Error error() const;

 private:
  std::string file_;
  std::multimap<std::pair<toml::source_index, toml::source_index>, std::string> lines_;
};

/// The fields of one table. What is not as it should be becomes a complaint and reads as absent.
/// Both arguments outlive it.
class TomlTable {
 public:
  TomlTable(const toml::table& table, TomlComplaints& complaints)
      : table_(table), complaints_(complaints) {}

  [[nodiscard]] bool has(std::string_view field) const { return table_.contains(field); }
  /// At the field, or at the table if it has none of that name.
  void complain(std::string_view field, const std::string& reason);

  /// A text that names something: 1 to 128 printable ASCII characters without spaces; empty: none.
  std::string name(std::string_view field, bool is_needed);
  std::optional<std::uint64_t> number(std::string_view field, std::uint64_t min, std::uint64_t max);
  std::optional<bool> flag(std::string_view field);
  /// The place of a word among those that may stand there.
  std::optional<std::size_t> word(std::string_view field, std::span<const std::string_view> known);
  /// A list of such words.
  std::vector<std::string> words(std::string_view field, std::span<const std::string_view> known);
  /// Complains of every field that is in none of the lists.
  void allow(std::initializer_list<std::span<const std::string_view>> known);

 private:
  const toml::table& table_;
  TomlComplaints& complaints_;
};

}  // namespace sluice
