#include "bench/overload/crowd_report.h"

#include "metrics/process_figures.h"
#include "server/heap.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <iterator>

namespace sluice::overload {
namespace {

namespace json = boost::json;

double ms(Duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double mib(std::uint64_t bytes) {
  return static_cast<double>(bytes) / (1 << 20);
}

json::value quantiles(const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return nullptr;
  return json::object{{"count", histogram.count()},
                      {"p50_ms", ms(histogram.quantile(0.5))},
                      {"p95_ms", ms(histogram.quantile(0.95))},
                      {"p99_ms", ms(histogram.quantile(0.99))},
                      {"max_ms", ms(histogram.quantile(1))}};
}

std::string line(const char* name, const LatencyHistogram& histogram) {
  if (histogram.count() == 0) return fmt::format("{:<24} -\n", name);
  return fmt::format("{:<24} p50 {:.1f}, p95 {:.1f}, p99 {:.1f}, longest {:.1f} ms\n",
                     name,
                     ms(histogram.quantile(0.5)),
                     ms(histogram.quantile(0.95)),
                     ms(histogram.quantile(0.99)),
                     ms(histogram.quantile(1)));
}

json::object memory(const CrowdMemory& memory) {
  return {{"resident", memory.resident}, {"in_use", memory.in_use}};
}

}  // namespace

CrowdMemory CrowdMemory::now() {
  CrowdMemory memory;
  if (auto read = read_resident_memory()) memory.resident = read->all();
  memory.in_use = allocated_bytes();
  return memory;
}

std::string crowd_table(const CrowdResult& result) {
  const CrowdClients::Figures& figures = result.figures;
  std::string out =
      fmt::format("{:<24} {}, {} of them at once\n", "requests", figures.begun, result.most_inside);
  for (std::size_t i = 0; i < kCrowdEndNames.size(); ++i)
    fmt::format_to(std::back_inserter(out), "  {:<22} {}\n", kCrowdEndNames[i], figures.ended[i]);
  for (const auto& [reason, count] : figures.reasons)
    fmt::format_to(std::back_inserter(out), "    {} x {}\n", count, reason);
  out += line("answer", figures.completed);
  out += line("first piece", figures.first_piece);
  out += line("refusal", figures.refusal);
  out += line("asked late by", figures.lateness);
  fmt::format_to(
      std::back_inserter(out),
      "{:<24} asked in {:.2f} s, let in or refused in {:.2f} s, ended in {:.2f} s; {:.2f} s of "
      "processor time, "
      "{:.0f} us a request\n",
      "time",
      result.arrival_s,
      result.decided_s,
      result.total_s,
      result.cpu_s,
      1e6 * result.cpu_s / static_cast<double>(std::max<std::uint64_t>(1, figures.begun)));
  fmt::format_to(std::back_inserter(out),
                 "{:<24} {:.0f} MiB before, {:.0f} with {} inside, {:.0f} at most, {:.0f} after, "
                 "{:.0f} given back (in {:.0f} ms); workers {:.0f}\n",
                 "resident memory",
                 mib(result.before.resident),
                 mib(result.inside.resident),
                 result.inside_count,
                 mib(result.peak_resident),
                 mib(result.after.resident),
                 mib(result.given_back.resident),
                 result.giving_back_ms,
                 mib(result.worker_memory));
  fmt::format_to(std::back_inserter(out),
                 "{:<24} {:.0f} MiB before, {:.0f} inside, {:.0f} after\n",
                 "in use by the allocator",
                 mib(result.before.in_use),
                 mib(result.inside.in_use),
                 mib(result.after.in_use));
  fmt::format_to(std::back_inserter(out),
                 "{:<24} {:.0f} bytes resident, {:.0f} in use, {} of them the client's\n",
                 "a request inside",
                 result.resident_each(),
                 result.in_use_each(),
                 CrowdClients::bytes_each());
  fmt::format_to(std::back_inserter(out),
                 "{:<24} {} contradictions, {} workers replaced\n",
                 result.is_sound() ? "every one ended once" : "NOT EVERY ONE ENDED ONCE",
                 result.faults,
                 result.restarts);
  return out;
}

std::string crowd_json(const CrowdResult& result) {
  const CrowdClients::Figures& figures = result.figures;
  json::object ended;
  for (std::size_t i = 0; i < kCrowdEndNames.size(); ++i)
    ended[kCrowdEndNames[i]] = figures.ended[i];
  json::object reasons;
  for (const auto& [reason, count] : figures.reasons)
    reasons[reason] = count;
  json::object all{{"sound", result.is_sound()},
                   {"requests", figures.begun},
                   {"most_inside", result.most_inside},
                   {"inside", result.inside_count},
                   {"ended", std::move(ended)},
                   {"reasons", std::move(reasons)},
                   {"faults", result.faults},
                   {"restarts", result.restarts},
                   {"answer", quantiles(figures.completed)},
                   {"first_piece", quantiles(figures.first_piece)},
                   {"refusal", quantiles(figures.refusal)},
                   {"lateness", quantiles(figures.lateness)},
                   {"arrival_s", result.arrival_s},
                   {"decided_s", result.decided_s},
                   {"total_s", result.total_s},
                   {"cpu_s", result.cpu_s},
                   {"memory_before", memory(result.before)},
                   {"memory_inside", memory(result.inside)},
                   {"memory_after", memory(result.after)},
                   {"memory_given_back", memory(result.given_back)},
                   {"giving_back_ms", result.giving_back_ms},
                   {"peak_resident", result.peak_resident},
                   {"worker_memory", result.worker_memory},
                   {"resident_each", result.resident_each()},
                   {"in_use_each", result.in_use_each()},
                   {"client_each", CrowdClients::bytes_each()}};
  return json::serialize(all) + "\n";
}

}  // namespace sluice::overload
