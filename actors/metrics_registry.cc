#include "actors/metrics_registry.h"

#include "base/check.h"

#include <caf/span.hpp>
#include <caf/string_view.hpp>

#include <string>
#include <vector>

namespace sluice {
namespace {

caf::string_view to_caf(std::string_view text) {
  return {text.data(), text.size()};
}
std::string_view to_std(caf::string_view text) {
  return {text.data(), text.size()};
}

/// A family as CAF spells it: its name in parts.
struct CafName {
  explicit CafName(const Family& family) {
    std::string_view rest = family.name;
    prefix = rest.substr(0, rest.find('_'));
    rest.remove_prefix(prefix.size() + 1);
    is_sum = take(rest, "_total");
    if (take(rest, "_seconds"))
      unit = "seconds";
    else if (take(rest, "_bytes"))
      unit = "bytes";
    name = rest;
    for (std::string_view label : family.labels())
      labels.push_back(to_caf(label));
  }

  static bool take(std::string_view& text, std::string_view end) {
    if (!text.ends_with(end)) return false;
    text.remove_suffix(end.size());
    return true;
  }

  std::string_view prefix;
  std::string_view name;
  std::string_view unit = "1";
  bool is_sum = false;
  std::vector<caf::string_view> labels;
};

std::vector<caf::telemetry::label_view> label_views(
    const Family& family, std::initializer_list<std::string_view> values) {
  CHECK(values.size() == family.labels().size());
  std::vector<caf::telemetry::label_view> views;
  for (std::string_view value : values)
    views.emplace_back(to_caf(family.labels()[views.size()]), to_caf(value));
  return views;
}

template <class T>
caf::span<const T> to_span(const std::vector<T>& all) {
  return {all.data(), all.size()};
}

/// Visits every series of a registry, family by family.
class Writer {
 public:
  explicit Writer(MetricsPage& page) : page_(page) {}

  template <class T>
  void operator()(const caf::telemetry::metric_family* family,
                  const caf::telemetry::metric* metric,
                  const caf::telemetry::counter<T>* counter) {
    begin(*family, MetricType::counter);
    page_.add(labels_of(*metric), counter->value());
  }
  void operator()(const caf::telemetry::metric_family* family,
                  const caf::telemetry::metric* metric,
                  const caf::telemetry::int_gauge* gauge) {
    begin(*family, MetricType::gauge);
    page_.add(labels_of(*metric), gauge->value());
  }
  void operator()(const caf::telemetry::metric_family* family,
                  const caf::telemetry::metric* metric,
                  const caf::telemetry::dbl_gauge* gauge) {
    begin(*family, MetricType::gauge);
    page_.add(labels_of(*metric), gauge->value());
  }
  template <class T>
  void operator()(const caf::telemetry::metric_family* family,
                  const caf::telemetry::metric* metric,
                  const caf::telemetry::histogram<T>* histogram) {
    begin(*family, MetricType::histogram);
    bounds_.clear();
    counts_.clear();
    for (const auto& bucket : histogram->buckets()) {
      bounds_.push_back(static_cast<double>(bucket.upper_bound));
      counts_.push_back(static_cast<std::uint64_t>(bucket.count.value()));
    }
    bounds_.pop_back();  // it has no end, whatever the type calls it
    page_.add_histogram(
        labels_of(*metric), bounds_, counts_, static_cast<double>(histogram->sum()));
  }

 private:
  void begin(const caf::telemetry::metric_family& family, MetricType type) {
    if (family_ == &family) return;
    family_ = &family;
    std::string name = family.prefix() + '_' + family.name();
    if (family.unit() != "1") name += '_' + family.unit();
    // CAF has gauges that sum up, too; to Prometheus the ending promises a counter.
    if (family.is_sum() && type == MetricType::counter) name += "_total";
    for (char& c : name)
      if (c == '-' || c == '.') c = '_';
    page_.begin(name, type, family.helptext());
  }

  std::span<const MetricsPage::Label> labels_of(const caf::telemetry::metric& metric) {
    labels_.clear();
    for (const auto& label : metric.labels())
      labels_.emplace_back(to_std(label.name()), to_std(label.value()));
    return labels_;
  }

  MetricsPage& page_;
  const caf::telemetry::metric_family* family_ = nullptr;
  std::vector<MetricsPage::Label> labels_;
  std::vector<double> bounds_;
  std::vector<std::uint64_t> counts_;
};

}  // namespace

Counter& MetricsRegistry::counter(const Family& family,
                                  std::initializer_list<std::string_view> values) {
  CHECK(family.type == MetricType::counter);
  CafName name(family);
  auto* all = registry_.counter_family(to_caf(name.prefix),
                                       to_caf(name.name),
                                       to_span(name.labels),
                                       to_caf(family.help),
                                       to_caf(name.unit),
                                       name.is_sum);
  return *all->get_or_add(to_span(label_views(family, values)));
}

Gauge& MetricsRegistry::gauge(const Family& family,
                              std::initializer_list<std::string_view> values) {
  CHECK(family.type == MetricType::gauge);
  CafName name(family);
  auto* all = registry_.gauge_family(to_caf(name.prefix),
                                     to_caf(name.name),
                                     to_span(name.labels),
                                     to_caf(family.help),
                                     to_caf(name.unit),
                                     name.is_sum);
  return *all->get_or_add(to_span(label_views(family, values)));
}

Histogram& MetricsRegistry::histogram(const Family& family,
                                      std::initializer_list<std::string_view> values) {
  CHECK(family.type == MetricType::histogram);
  CafName name(family);
  auto* all = registry_.histogram_family<double>(to_caf(name.prefix),
                                                 to_caf(name.name),
                                                 to_span(name.labels),
                                                 {family.bounds.data(), family.bounds.size()},
                                                 to_caf(family.help),
                                                 to_caf(name.unit),
                                                 name.is_sum);
  return *all->get_or_add(to_span(label_views(family, values)));
}

void write_registry(const caf::telemetry::metric_registry& registry, MetricsPage& page) {
  Writer writer(page);
  registry.collect(writer);
}

}  // namespace sluice
