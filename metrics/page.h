// A page of metrics in Prometheus' text format.
#pragma once

#include "metrics/family.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

/// Writes families one after the other, and under each its series. One thread.
///   Why not CAF's own collector: it does not escape the values of labels, writes bounds with six
///   digits, gives every line the time of the scrape, which Prometheus then takes for the time of
///   the figure, and names a gauge like a counter.
///   Source: the text format 0.0.4, prometheus.io/docs/instrumenting/exposition_formats.
class MetricsPage {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";
  /// So many series a family may have: what is beyond is left out and counted, so that a file with
  /// ten thousand tenants makes a page that is still read in time.
  static constexpr std::size_t kSeriesMax = 2000;

  using Label = std::pair<std::string_view, std::string_view>;  ///< name, value

  /// Begins a family. What follows belongs to it, until the next one. Each is begun once.
  void begin(const Family& family);
  void begin(std::string_view name, MetricType type, std::string_view help);

  /// One series of the family at hand.
  ///   values  of the family's labels, in their order
  void add(std::initializer_list<std::string_view> values, std::uint64_t value);
  void add(std::initializer_list<std::string_view> values, double value);
  void add(std::span<const Label> labels, std::int64_t value);
  void add(std::span<const Label> labels, double value);
  /// One histogram of the family at hand.
  ///   bounds  upper ones, rising; +Inf is added if it is not the last
  ///   counts  of each bucket alone, and in the end of what is above all bounds
  void add_histogram(std::span<const Label> labels,
                     std::span<const double> bounds,
                     std::span<const std::uint64_t> counts,
                     double sum);

  /// Series that were left out.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  [[nodiscard]] bool has_room();
  void write_name(std::string_view suffix,
                  std::span<const Label> labels,
                  std::string_view bound = {});
  void write_value(double value);

  std::string text_;
  std::string name_;  ///< of the family at hand
  std::span<const std::string_view> label_names_;
  std::size_t series_ = 0;  ///< of the family at hand
  std::uint64_t dropped_ = 0;
};

/// The value of a label as it stands between quotes: backslashes, quotes and ends of lines escaped,
/// what is no UTF-8 replaced (a single wrong byte would make the reader refuse the whole page).
void append_label_value(std::string& out, std::string_view value);

}  // namespace sluice
