#include "metrics/page.h"

#include "base/check.h"
#include "base/utf8.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <vector>

namespace sluice {
namespace {

/// In a help text only the end of a line and the backslash are special.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '\\' || (quotes && c == '"')) out += '\\';
    out += c;
  }
}

std::string to_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);  // the shortest text that is read back as the same number
}

}  // namespace

void append_label_value(std::string& out, std::string_view value) {
  if (is_valid_utf8(value))
    append_escaped(out, value, true);
  else
    append_escaped(out, repair_utf8(value), true);
}

void MetricsPage::begin(const Family& family) {
  begin(family.name, family.type, family.help);
  label_names_ = family.labels();
}

void MetricsPage::begin(std::string_view name, MetricType type, std::string_view help) {
  name_ = name;
  label_names_ = {};
  series_ = 0;
  text_ += "# HELP " + name_ + ' ';
  append_escaped(text_, help, false);
  text_ += "\n# TYPE " + name_ + ' ';
  text_ += to_string(type);
  text_ += '\n';
}

void MetricsPage::add(std::initializer_list<std::string_view> values, std::uint64_t value) {
  add(values, static_cast<double>(value));  // exact up to 2^53, as Prometheus keeps it
}

void MetricsPage::add(std::initializer_list<std::string_view> values, double value) {
  CHECK(values.size() == label_names_.size());
  std::array<Label, Family::kLabelsMax> labels;
  std::size_t count = 0;
  for (std::string_view one : values) {
    labels[count] = {label_names_[count], one};
    ++count;
  }
  add(std::span<const Label>(labels.data(), count), value);
}

void MetricsPage::add(std::span<const Label> labels, std::int64_t value) {
  add(labels, static_cast<double>(value));
}

void MetricsPage::add(std::span<const Label> labels, double value) {
  if (!has_room()) return;
  write_name({}, labels);
  write_value(value);
}

void MetricsPage::add_histogram(std::span<const Label> labels,
                                std::span<const double> bounds,
                                std::span<const std::uint64_t> counts,
                                double sum) {
  if (!has_room()) return;
  if (!bounds.empty() && std::isinf(bounds.back())) bounds = bounds.first(bounds.size() - 1);
  CHECK(counts.size() == bounds.size() + 1);
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    so_far += counts[i];
    write_name("_bucket", labels, i < bounds.size() ? to_text(bounds[i]) : "+Inf");
    write_value(static_cast<double>(so_far));
  }
  write_name("_sum", labels);
  write_value(sum);
  write_name("_count", labels);
  write_value(static_cast<double>(so_far));
}

bool MetricsPage::has_room() {
  if (series_ == kSeriesMax) {
    ++dropped_;
    return false;
  }
  ++series_;
  return true;
}

void MetricsPage::write_name(std::string_view suffix,
                             std::span<const Label> labels,
                             std::string_view bound) {
  text_ += name_;
  text_ += suffix;
  if (labels.empty() && bound.empty()) return;
  char before = '{';
  for (const auto& [name, value] : labels) {
    text_ += before;
    text_ += name;
    text_ += "=\"";
    append_label_value(text_, value);
    text_ += '"';
    before = ',';
  }
  if (!bound.empty()) {
    text_ += before;
    text_ += "le=\"";
    text_ += bound;
    text_ += '"';
  }
  text_ += '}';
}

void MetricsPage::write_value(double value) {
  text_ += ' ';
  constexpr double kWhole = 9007199254740992;  // 2^53
  if (value == std::floor(value) && std::abs(value) < kWhole)
    fmt::format_to(std::back_inserter(text_), "{}", static_cast<std::int64_t>(value));
  else
    text_ += to_text(value);
  text_ += '\n';
}

}  // namespace sluice
