#include "server/toml_table.h"

#include "base/utf8.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice {
namespace {

constexpr std::size_t kNameBytesMax = 128;

std::string described(const toml::node& node) {
  if (auto text = node.value_exact<std::string>()) return '"' + excerpt(*text, 40) + '"';
  if (auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (auto number = node.value_exact<double>()) return fmt::format("{}", *number);
  if (auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  if (node.is_table()) return "a table";
  return node.is_array() ? "a list" : "a time";
}

bool is_among(std::string_view word, std::span<const std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

void TomlComplaints::add(const toml::source_region& place,
                         std::string_view name,
                         const std::string& reason) {
  lines_.emplace(std::pair(place.begin.line, place.begin.column),
                 fmt::format("{}:{}:{}: {}{}{}",
                             file_,
                             place.begin.line,
                             place.begin.column,
                             name,
                             name.empty() ? "" : ": ",
                             reason));
}

Error TomlComplaints::error() const {
  constexpr std::size_t kShown = 20;
  std::string text;
  std::size_t shown = 0;
  for (const auto& [place, line] : lines_) {
    if (++shown > kShown) break;
    text += (text.empty() ? "" : "\n") + line;
  }
  if (lines_.size() > kShown) text += fmt::format("\nand {} more", lines_.size() - kShown);
  return {ErrorCode::invalid_argument, text};
}

void TomlTable::complain(std::string_view field, const std::string& reason) {
  const toml::node* node = table_.get(field);
  complaints_.add(node ? node->source() : table_.source(), field, reason);
}

std::string TomlTable::name(std::string_view field, bool is_needed) {
  const toml::node* node = table_.get(field);
  if (!node && is_needed) complain(field, "is missing");
  if (!node) return {};
  auto text = node->value_exact<std::string>();
  bool is_name = text && !text->empty() && text->size() <= kNameBytesMax &&
                 std::all_of(text->begin(), text->end(), [](char c) {
                   return c > ' ' && c < '\x7f' && c != '"' && c != '\\';
                 });
  if (is_name) return *text;
  complain(field,
           fmt::format("expected 1 to {} letters, digits or signs without spaces, got {}",
                       kNameBytesMax,
                       described(*node)));
  return {};
}

std::optional<std::uint64_t> TomlTable::number(std::string_view field,
                                               std::uint64_t min,
                                               std::uint64_t max) {
  const toml::node* node = table_.get(field);
  if (!node) return std::nullopt;
  auto value = node->value_exact<std::int64_t>();
  if (value && std::cmp_greater_equal(*value, min) && std::cmp_less_equal(*value, max))
    return static_cast<std::uint64_t>(*value);
  complain(
      field,
      fmt::format("expected a whole number from {} to {}, got {}", min, max, described(*node)));
  return std::nullopt;
}

std::optional<bool> TomlTable::flag(std::string_view field) {
  const toml::node* node = table_.get(field);
  if (!node) return std::nullopt;
  if (auto value = node->value_exact<bool>()) return value;
  complain(field, "expected true or false, got " + described(*node));
  return std::nullopt;
}

std::optional<std::size_t> TomlTable::word(std::string_view field,
                                           std::span<const std::string_view> known) {
  const toml::node* node = table_.get(field);
  if (!node) return std::nullopt;
  auto text = node->value_exact<std::string>();
  for (std::size_t i = 0; text && i < known.size(); ++i)
    if (known[i] == *text) return i;
  complain(field,
           fmt::format("expected one of {}, got {}", fmt::join(known, ", "), described(*node)));
  return std::nullopt;
}

std::vector<std::string> TomlTable::words(std::string_view field,
                                          std::span<const std::string_view> known) {
  std::vector<std::string> found;
  const toml::node* node = table_.get(field);
  if (!node) return found;
  const toml::array* list = node->as_array();
  if (!list) {
    complain(field, "expected a list, got " + described(*node));
    return found;
  }
  for (const toml::node& item : *list) {
    auto text = item.value_exact<std::string>();
    if (text && is_among(*text, known)) {
      found.push_back(*text);
    } else {
      complaints_.add(
          item.source(),
          field,
          fmt::format("expected one of {}, got {}", fmt::join(known, ", "), described(item)));
    }
  }
  return found;
}

void TomlTable::allow(std::initializer_list<std::span<const std::string_view>> known) {
  for (const auto& [key, value] : table_) {
    std::string_view field = key.str();
    bool is_known = std::any_of(
        known.begin(), known.end(), [field](auto words) { return is_among(field, words); });
    if (is_known) continue;
    std::string all;
    for (auto words : known)
      all += fmt::format("{}{}", all.empty() ? "" : ", ", fmt::join(words, ", "));
    complaints_.add(key.source(), excerpt(field, 40), "is not known here; known are " + all);
  }
}

}  // namespace sluice
