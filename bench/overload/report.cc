#include "bench/overload/report.h"

#include <boost/json.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include <iterator>
#include <map>

namespace sluice::overload {
namespace {

namespace json = boost::json;

double ms(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

json::value quantiles(const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return nullptr;
  return json::object{{"count", histogram.count()},
                      {"p50_ms", ms(histogram.quantile(0.5))},
                      {"p99_ms", ms(histogram.quantile(0.99))},
                      {"p999_ms", ms(histogram.quantile(0.999))}};
}

json::object cell_json(const Cell& cell, const ReasonTable& reasons) {
  json::object object{{"offered", cell.offered},
                      {"sent", cell.sent},
                      {"waited", cell.waited},
                      {"good", cell.good},
                      {"retries", cell.retries}};
  for (std::size_t i = 0; i < kOutcomeNames.size(); ++i)
    object[kOutcomeNames[i]] = cell.ended[i];
  json::object counts;
  for (std::size_t i = 0; i < reasons.names().size(); ++i)
    if (cell.reasons[i] > 0) counts[reasons.names()[i]] = cell.reasons[i];
  object["reasons"] = std::move(counts);
  object["latency"] = quantiles(cell.answered);
  object["first_token"] = quantiles(cell.first_token);
  object["refusal"] = quantiles(cell.refusal);
  return object;
}

Cell sum_of_kind(const Generator& generator, std::size_t kind) {
  return generator.statistics().of_kind(kind, generator.options().skip_s);
}

/// The sums of the kinds that have the same name.
template <class Name>
json::object sums_by(const Generator& generator, Name name) {
  std::map<std::string, Cell> sums;
  const auto& kinds = generator.options().kinds;
  for (std::size_t i = 0; i < kinds.size(); ++i)
    sums[name(kinds[i])].add(sum_of_kind(generator, i));
  json::object object;
  for (const auto& [key, cell] : sums)
    object[key] = cell_json(cell, generator.statistics().reasons);
  return object;
}

Cell sum_of_all(const Generator& generator) {
  Cell all;
  for (std::size_t i = 0; i < generator.statistics().kinds(); ++i)
    all.add(sum_of_kind(generator, i));
  return all;
}

/// p50 and p99 in a column, or a dash.
std::string column(const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return "-";
  return fmt::format("{:.1f}/{:.1f}", ms(histogram.quantile(0.5)), ms(histogram.quantile(0.99)));
}

void append_row(std::string& out, const std::string& name, const Cell& cell) {
  fmt::format_to(
      std::back_inserter(out),
      "{:<22} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>8} {:>15} {:>15} {:>15}\n",
      name,
      cell.offered,
      cell.sent,
      cell.ended_as(Outcome::answered),
      cell.good,
      cell.ended_as(Outcome::refused),
      cell.ended_as(Outcome::timed_out),
      cell.ended_as(Outcome::connection_error),
      cell.ended_as(Outcome::failed) + cell.ended_as(Outcome::unfinished) +
          cell.ended_as(Outcome::dropped),
      cell.retries,
      column(cell.answered),
      column(cell.first_token),
      column(cell.refusal));
}

}  // namespace

Duration used_cpu_time() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto time = [](const timeval& value) {
    return std::chrono::seconds(value.tv_sec) + std::chrono::microseconds(value.tv_usec);
  };
  return time(usage.ru_utime) + time(usage.ru_stime);
}

std::string report_json(const Generator& generator, Duration cpu) {
  const Statistics& statistics = generator.statistics();
  const GeneratorOptions& options = generator.options();
  json::array kinds;
  for (std::size_t i = 0; i < statistics.kinds(); ++i) {
    json::object kind = cell_json(sum_of_kind(generator, i), statistics.reasons);
    kind["tenant"] = options.kinds[i].tenant;
    kind["class"] = options.kinds[i].priority_class;
    kind["objective_ms"] = ms(options.kinds[i].objective);
    kinds.push_back(std::move(kind));
  }
  json::array each_second;
  for (std::size_t second = 0; second < statistics.seconds(); ++second) {
    json::object line = cell_json(statistics.of_second(second), statistics.reasons);
    line["second"] = second;
    if (statistics.kinds() > 1) {
      json::array parts;
      for (std::size_t i = 0; i < statistics.kinds(); ++i)
        parts.push_back(cell_json(statistics.cell(second, i), statistics.reasons));
      line["kinds"] = std::move(parts);
    }
    each_second.push_back(std::move(line));
  }
  auto tenant = [](const ClientKind& kind) { return kind.tenant; };
  auto priority_class = [](const ClientKind& kind) { return kind.priority_class; };
  json::object run{{"seed", options.seed},
                   {"duration_s", seconds(options.duration)},
                   {"skip_s", options.skip_s},
                   {"connections", generator.connections_opened()},
                   {"cpu_s", seconds(cpu)},
                   {"lateness", quantiles(generator.lateness())}};
  json::object report{{"run", std::move(run)},
                      {"total", cell_json(sum_of_all(generator), statistics.reasons)},
                      {"kinds", std::move(kinds)},
                      {"tenants", sums_by(generator, tenant)},
                      {"classes", sums_by(generator, priority_class)},
                      {"seconds", std::move(each_second)}};
  return json::serialize(report) + "\n";
}

std::string report_table(const Generator& generator, Duration cpu, bool each_second) {
  const Statistics& statistics = generator.statistics();
  const auto& kinds = generator.options().kinds;
  std::string out = fmt::format(
      "{:<22} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>8} {:>15} {:>15} {:>15}\n",
      "p50/p99 in ms",
      "offered",
      "sent",
      "answered",
      "good",
      "refused",
      "timeout",
      "broken",
      "other",
      "retries",
      "latency",
      "first token",
      "refusal");
  if (each_second)
    for (std::size_t second = 0; second < statistics.seconds(); ++second)
      append_row(out, fmt::format("second {}", second), statistics.of_second(second));
  if (kinds.size() > 1)
    for (std::size_t i = 0; i < kinds.size(); ++i)
      append_row(out, kinds[i].tenant + " " + kinds[i].priority_class, sum_of_kind(generator, i));
  Cell all = sum_of_all(generator);
  append_row(out, "all", all);
  for (std::size_t i = 0; i < statistics.reasons.names().size(); ++i)
    if (all.reasons[i] > 0)
      fmt::format_to(
          std::back_inserter(out), "{:>8} x {}\n", all.reasons[i], statistics.reasons.names()[i]);
  const LatencyHistogram& late = generator.lateness();
  fmt::format_to(std::back_inserter(out),
                 "generator: {:.2f} s of processor time; {} connections, {} requests waited for "
                 "one; p99 late by {:.2f} ms\n",
                 seconds(cpu),
                 generator.connections_opened(),
                 all.waited,
                 ms(late.quantile(0.99)));
  return out;
}

}  // namespace sluice::overload
