// Counters, gauges and histograms that outlive whoever counts: CAF's registry, by our families.
#pragma once

#include "metrics/families.h"
#include "metrics/page.h"

#include <caf/telemetry/counter.hpp>
#include <caf/telemetry/gauge.hpp>
#include <caf/telemetry/histogram.hpp>
#include <caf/telemetry/metric_registry.hpp>

#include <initializer_list>
#include <string_view>

namespace sluice {

/// One series each. `inc`, `dec` and `observe` are atomic additions (of a histogram two), from any
/// thread, without a lock.
using Counter = caf::telemetry::int_counter;
using Gauge = caf::telemetry::int_gauge;
using Histogram = caf::telemetry::dbl_histogram;

/// The series that are counted where something happens. Looking one up takes locks and walks over
/// all of its family: done once, then the reference is kept; it is good as long as the registry.
/// Thread-safe.
class MetricsRegistry {
 public:
  ///   values  of the family's labels, in their order
  Counter& counter(const Family& family, std::initializer_list<std::string_view> values);
  Gauge& gauge(const Family& family, std::initializer_list<std::string_view> values);
  Histogram& histogram(const Family& family, std::initializer_list<std::string_view> values);

  [[nodiscard]] const caf::telemetry::metric_registry& caf() const { return registry_; }

 private:
  caf::telemetry::metric_registry registry_;
};

/// Writes all families of a registry, ours or that of an actor system (caf_*).
void write_registry(const caf::telemetry::metric_registry& registry, MetricsPage& page);

}  // namespace sluice
