#include "actors/metrics_page.h"

#include "actors/front_metrics.h"
#include "metrics/families.h"
#include "metrics/page.h"
#include "metrics/process_figures.h"
#include "supervision/tree.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Lanes = std::vector<LaneStatus>;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string name_of(const LaneStatus& lane) {
  return std::to_string(lane.lane.value);
}

// --- models and lanes
// ----------------------------------------------------------------------------------------------------

/// Of those of a model, the one that became ready last; null: none ever has.
const LaneStatus* newest(const Lanes& lanes, const std::string& model) {
  const LaneStatus* found = nullptr;
  for (const LaneStatus& lane : lanes) {
    if (lane.model != model || lane.ready_since == TimePoint()) continue;
    if (found == nullptr || lane.ready_since > found->ready_since) found = &lane;
  }
  return found;
}

constexpr std::array<std::string_view, 5> kModelStates{
    "loading", "warming", "ready", "draining", "failed"};

std::string_view state_of(const Front& front, const Lanes& lanes, const std::string& model) {
  if (front.stopping) return "draining";
  if (front.lanes.ready(model) > 0) return "ready";
  if (front.lanes.all_quarantined(model)) return "failed";
  bool warm = std::any_of(lanes.begin(), lanes.end(), [&model](const LaneStatus& lane) {
    bool computes = lane.phase == "warm_up" || lane.phase == "self_test";
    return lane.model == model && (computes || lane.state == LaneStatus::State::ready);
  });
  return warm ? "warming" : "loading";
}

struct Blocks {
  std::uint64_t all = 0;
  std::uint64_t free = 0;
};

/// Lanes without a worker have none.
Blocks blocks_of(const Lanes& lanes, const std::string& model) {
  Blocks blocks;
  for (const LaneStatus& lane : lanes) {
    if (lane.model != model || lane.state != LaneStatus::State::ready) continue;
    blocks.all += lane.blocks;
    blocks.free += lane.blocks_free;
  }
  return blocks;
}

void write_forecasts(MetricsPage& page, const Front& front) {
  TimePoint now = front.clock->now();
  auto write = [&](const Family& family, auto value) {
    page.begin(family);
    for (const auto& model : front.models)
      for (std::size_t i = 0; i < kPriorityClassNames.size(); ++i)
        page.add({model->name, kPriorityClassNames[i]}, value(model->arrivals.outlook(i, now)));
  };
  using Outlook = ArrivalForecast::Outlook;
  write(family("sluice_forecast_requests_per_second"),
        [](const Outlook& outlook) { return outlook.requests_per_second; });
  write(family("sluice_forecast_error_ratio"),
        [](const Outlook& outlook) { return outlook.error; });
  page.begin(family("sluice_lanes_wanted"));
  for (const auto& model : front.models)
    page.add({model->name}, std::uint64_t{model->arrivals.lanes_wanted(now)});
  page.begin(family("sluice_poison_kinds_refused"));
  for (const auto& model : front.models)
    page.add({model->name}, std::uint64_t{model->kinds.refused()});
}

void write_models(MetricsPage& page, const Front& front, const Lanes& lanes) {
  page.begin(family("sluice_model_state"));
  for (const auto& model : front.models) {
    std::string_view state = state_of(front, lanes, model->name);
    for (std::string_view one : kModelStates)
      page.add({model->name, one}, std::uint64_t{one == state});
  }
  page.begin(family("sluice_model_load_duration_seconds"));
  for (const auto& model : front.models)
    if (const LaneStatus* lane = newest(lanes, model->name))
      page.add({model->name}, seconds(lane->load_time));
  page.begin(family("sluice_weights_replaced_total"));
  page.add({}, front.counters.weights_changed.load());
  page.begin(family("sluice_kv_cache_usage_ratio"));
  for (const auto& model : front.models) {
    Blocks blocks = blocks_of(lanes, model->name);
    auto used = static_cast<double>(blocks.all - blocks.free);
    page.add({model->name}, blocks.all == 0 ? 0 : used / static_cast<double>(blocks.all));
  }
  page.begin(family("sluice_kv_cache_blocks"));
  for (const auto& model : front.models) {
    Blocks blocks = blocks_of(lanes, model->name);
    page.add({model->name, "free"}, blocks.free);
    page.add({model->name, "used"}, blocks.all - blocks.free);
  }
  write_forecasts(page, front);
  page.begin(family("sluice_cache_config_info"));
  for (const auto& model : front.models)
    if (const LaneStatus* lane = newest(lanes, model->name))
      page.add({model->name, std::to_string(lane->block_tokens), std::to_string(lane->blocks)},
               1.0);
}

/// One series a lane: `value` gives it, or nothing.
template <class Value>
void write_each(MetricsPage& page, const Family& family, const Lanes& lanes, Value&& value) {
  page.begin(family);
  for (const LaneStatus& lane : lanes)
    if (std::optional<double> one = value(lane)) page.add({name_of(lane)}, *one);
}

void write_workers(MetricsPage& page, const Front& front, const Lanes& lanes) {
  page.begin(family("sluice_preemptions_total"));
  for (const LaneStatus& lane : lanes)
    page.add({lane.model, name_of(lane)}, lane.preemptions);
  page.begin(family("sluice_worker_up"));
  for (const LaneStatus& lane : lanes)
    page.add({name_of(lane), lane.model}, std::uint64_t{lane.state == LaneStatus::State::ready});
  write_each(page,
             family("sluice_worker_load_ratio"),
             lanes,
             [](const LaneStatus& lane) -> std::optional<double> {
               if (lane.state != LaneStatus::State::starting || lane.load.bytes_in_all == 0)
                 return std::nullopt;
               return static_cast<double>(lane.load.bytes) /
                      static_cast<double>(lane.load.bytes_in_all);
             });
  write_each(page, family("sluice_worker_steps_total"), lanes, [](const LaneStatus& lane) {
    return static_cast<double>(lane.steps);
  });
  double now = std::chrono::duration<double>(front.clock->wall().time_since_epoch()).count();
  write_each(page,
             family("sluice_worker_last_step_timestamp_seconds"),
             lanes,
             [now](const LaneStatus& lane) -> std::optional<double> {
               if (lane.state != LaneStatus::State::ready) return std::nullopt;
               return now - static_cast<double>(lane.step_age_ms) / 1000;
             });
  page.begin(family("sluice_worker_restarts_total"));
  for (const LaneStatus& lane : lanes)
    for (std::size_t cause = 0; cause < kEndCauseNames.size(); ++cause)
      page.add({name_of(lane), kEndCauseNames[cause]}, lane.restarts_by_cause[cause]);
}

double level_of(CircuitBreaker::State state) {
  switch (state) {
    case CircuitBreaker::State::closed:
      return 0;
    case CircuitBreaker::State::probing:
    case CircuitBreaker::State::ramping:
      return 1;
    case CircuitBreaker::State::open:
    case CircuitBreaker::State::forced_open:
      return 2;
  }
  return 2;
}

void write_breakers(MetricsPage& page, const Lanes& lanes) {
  page.begin(family("sluice_breaker_state"));
  for (const LaneStatus& lane : lanes)
    page.add({lane.model, name_of(lane)}, level_of(lane.breaker.state));
  page.begin(family("sluice_breaker_transitions_total"));
  for (const LaneStatus& lane : lanes)
    for (std::size_t state = 0; state < CircuitBreaker::kStates; ++state)
      page.add({lane.model, name_of(lane), to_string(static_cast<CircuitBreaker::State>(state))},
               lane.breaker.entered[state]);
}

/// Workers of one model map the same file, whose pages are there once.
void write_memory(MetricsPage& page, const Lanes& lanes) {
  std::uint64_t used = 0;
  std::map<std::string, std::uint64_t> mapped;  // by model
  page.begin(family("sluice_worker_resident_memory_bytes"));
  for (const LaneStatus& lane : lanes) {
    auto memory = lane.pid > 0 ? read_resident_memory(lane.pid) : std::nullopt;
    if (!memory) continue;
    page.add({name_of(lane)}, memory->all());
    used += memory->own;
    mapped[lane.model] = std::max(mapped[lane.model], memory->file);
  }
  for (const auto& [model, bytes] : mapped)
    used += bytes;
  page.begin(family("sluice_memory_used_bytes"));
  if (auto front = read_resident_memory()) page.add({}, used + front->all());
}

// --- admission
// -----------------------------------------------------------------------------------------------------------

void write_decisions(MetricsPage& page, const Front& front) {
  DecisionLog::Counts counts = front.decisions.counts();
  page.begin(family("sluice_admission_admitted_total"));
  for (std::size_t i = 0; i < counts.size(); ++i)
    page.add({kPriorityClassNames[i]}, counts[i][kRefusals]);
  page.begin(family("sluice_admission_rejected_total"));
  for (std::size_t i = 0; i < counts.size(); ++i)
    for (std::size_t reason = 0; reason < kRefusals; ++reason)
      page.add({kPriorityClassNames[i], kRefusalNames[reason]}, counts[i][reason]);
}

void write_degradation(MetricsPage& page, const Front& front) {
  const DegradationBoard& board = front.degradation;
  page.begin(family("sluice_degradation_level"));
  page.add({}, std::uint64_t{board.level()});
  page.begin(family("sluice_degradation_pressure"));
  for (std::size_t i = 0; i < kDegradationTerms; ++i)
    page.add({kDegradationTermNames[i]}, board.signal(static_cast<DegradationTerm>(i)));
  page.begin(family("sluice_degradation_changes_total"));
  page.add({}, board.changes());
}

void write_tenants(MetricsPage& page, const std::vector<Quotas::Standing>& tenants) {
  auto write = [&](const Family& family, std::uint64_t TenantFigures::Values::*figure) {
    page.begin(family);
    for (const Quotas::Standing& tenant : tenants)
      page.add({tenant.policy.name}, tenant.figures.*figure);
  };
  using Values = TenantFigures::Values;
  write(family("sluice_tenant_requests_admitted_total"), &Values::admitted);
  write(family("sluice_tenant_prompt_tokens_total"), &Values::prompt_tokens);
  write(family("sluice_tenant_generation_tokens_total"), &Values::generated_tokens);
  page.begin(family("sluice_tenant_requests_rejected_total"));
  for (const Quotas::Standing& tenant : tenants)
    for (std::size_t reason = 0; reason < kRefusals; ++reason)
      if (tenant.figures.refused[reason] > 0)
        page.add({tenant.policy.name, kRefusalNames[reason]}, tenant.figures.refused[reason]);
}

void write_quotas(MetricsPage& page, const Front& front) {
  TimePoint now = front.clock->now();
  page.begin(family("sluice_requests_inside"));
  page.add({}, std::uint64_t{front.quotas->inside()});
  page.begin(family("sluice_shared_requests_left"));
  if (front.quotas->options().requests.is_limited()) page.add({}, front.quotas->shared_left(now));
  auto tenants = front.quotas->standings(now);
  page.begin(family("sluice_tenant_requests_left"));
  for (const Quotas::Standing& tenant : tenants)
    if (tenant.policy.requests.is_limited()) page.add({tenant.policy.name}, tenant.requests_left);
  page.begin(family("sluice_tenant_tokens_left"));
  for (const Quotas::Standing& tenant : tenants)
    if (tenant.policy.tokens.is_limited()) page.add({tenant.policy.name}, tenant.tokens_left);
  page.begin(family("sluice_tenant_requests_inside"));
  for (const Quotas::Standing& tenant : tenants)
    page.add({tenant.policy.name}, std::uint64_t{tenant.in_flight});
  write_tenants(page, tenants);
}

// --- the process
// ---------------------------------------------------------------------------------------------------------

void write_supervisors(MetricsPage& page, const Front& front) {
  page.begin(family("sluice_supervisor_restarts_total"));
  for (const ChildStatus& child : front.tree->snapshot())
    page.add({child.path}, child.restarts);
}

void write_connections(MetricsPage& page, const ServerFigures& figures) {
  const std::pair<std::string_view, const ListenerStats&> both[] = {
      {"data", figures.data}, {"management", figures.management}};
  page.begin(family("sluice_http_connections"));
  for (const auto& [name, stats] : both) {
    // Two numbers that others change meanwhile.
    std::uint64_t idle = std::min(stats.idle, stats.connections);
    page.add({name, "active"}, stats.connections - idle);
    page.add({name, "idle"}, idle);
  }
  auto write = [&](const Family& family, auto member) {
    page.begin(family);
    for (const auto& [name, stats] : both)
      page.add({name}, stats.*member);
  };
  write(family("sluice_http_connections_total"), &ListenerStats::accepted);
  write(family("sluice_http_connections_refused_total"), &ListenerStats::refused);
  write(family("sluice_http_request_bytes_total"), &ListenerStats::bytes_in);
  write(family("sluice_http_response_bytes_total"), &ListenerStats::bytes_out);
  write(family("sluice_http_unsent_bytes"), &ListenerStats::answer_bytes);
  write(family("sluice_http_slow_clients_cut_total"), &ListenerStats::cut);
}

void write_binary(MetricsPage& page, const ServerFigures& figures) {
  const ListenerStats& stats = figures.binary;
  std::uint64_t idle = std::min(stats.idle, stats.connections);
  page.begin(family("sluice_binary_connections"));
  page.add({"active"}, stats.connections - idle);
  page.add({"idle"}, idle);
  auto write = [&page](const Family& family, std::uint64_t value) {
    page.begin(family);
    page.add({}, value);
  };
  write(family("sluice_binary_connections_total"), stats.accepted);
  write(family("sluice_binary_connections_refused_total"), stats.refused);
  const RpcStats& rpc = figures.rpc;
  page.begin(family("sluice_binary_frames_total"));
  for (std::size_t i = 0; i < kRpcTypeNames.size(); ++i) {
    page.add({kRpcTypeNames[i], "in"}, rpc.frames_in[i]);
    page.add({kRpcTypeNames[i], "out"}, rpc.frames_out[i]);
  }
  page.begin(family("sluice_binary_errors_total"));
  for (std::size_t i = 0; i < kRpcFatalNames.size(); ++i)
    page.add({kRpcFatalNames[i]}, rpc.fatals[i]);
  write(family("sluice_binary_request_bytes_total"), stats.bytes_in);
  write(family("sluice_binary_response_bytes_total"), stats.bytes_out);
  write(family("sluice_binary_unsent_bytes"), stats.answer_bytes);
  write(family("sluice_binary_slow_clients_cut_total"), stats.cut);
}

void write_loops(MetricsPage& page, const GatewayOptions& options) {
  page.begin(family("sluice_loop_lag_seconds"));
  for (const auto& [name, loop] : options.loops) {
    const MetricsPage::Label label{"loop", name};
    LoopLag lag = loop->lag();
    page.add_histogram({&label, 1}, LoopLag::kBounds, lag.counts, lag.sum_seconds);
  }
}

void write_one(MetricsPage& page, const Family& family, double value) {
  page.begin(family);
  page.add({}, value);
}

void write_figures(MetricsPage& page, const ServerFigures& figures) {
  auto write = [&page](const Family& family, std::uint64_t value) {
    write_one(page, family, static_cast<double>(value));
  };
  write(family("sluice_body_memory_used_bytes"), figures.body_memory_used);
  write(family("sluice_body_memory_limit_bytes"), figures.body_memory_limit);
  write(family("sluice_bodies_refused_total"), figures.bodies_refused);
  write(family("sluice_bodies_gave_way_total"), figures.bodies_gave_way);
  write_connections(page, figures);
  write_binary(page, figures);
  write(family("sluice_fault_injections_total"), figures.faults_injected);
  write(family("sluice_log_dropped_total"), figures.log_dropped);
  page.begin(family("sluice_config_reloads_total"));
  page.add({"ok"}, figures.reloads);
  page.add({"error"}, figures.reloads_failed);
  write_one(
      page, family("sluice_config_last_reload_success_timestamp_seconds"), figures.reloaded_at);
}

void write_idempotency(MetricsPage& page, const Front& front, IdempotencyTable& table) {
  IdempotencyTable::Stats stats = table.stats(front.clock->now());
  write_one(page, family("sluice_idempotency_answers"), static_cast<double>(stats.answers));
  write_one(page, family("sluice_idempotency_memory_used_bytes"), static_cast<double>(stats.bytes));
}

void write_process(MetricsPage& page) {
  auto figures = read_process_figures();
  if (!figures) return;
  auto write = [&page](const Family& family, std::uint64_t value) {
    write_one(page, family, static_cast<double>(value));
  };
  write_one(page, family("process_cpu_seconds_total"), figures->cpu_seconds);
  write(family("process_resident_memory_bytes"), figures->resident_bytes);
  write(family("process_virtual_memory_bytes"), figures->virtual_bytes);
  write_one(page, family("process_start_time_seconds"), figures->start_seconds);
  write(family("process_open_fds"), figures->open_descriptors);
  write(family("process_max_fds"), figures->descriptors_max);
  write(family("process_threads"), figures->threads);
}

}  // namespace

HttpResponse metrics_response(const Front& front,
                              const GatewayOptions& options,
                              const caf::telemetry::metric_registry& system_metrics,
                              const std::string& request_id) {
  MetricsPage page;
  page.begin(family("sluice_build_info"));
  page.add({options.version, options.git, options.build}, 1.0);
  write_registry(front.metrics->registry().caf(), page);
  Lanes lanes = front.lanes.snapshot();
  write_models(page, front, lanes);
  write_workers(page, front, lanes);
  write_breakers(page, lanes);
  write_memory(page, lanes);
  write_decisions(page, front);
  write_degradation(page, front);
  write_quotas(page, front);
  write_supervisors(page, front);
  write_idempotency(page, front, *options.idempotency);
  write_loops(page, options);
  if (auto figures = options.figures ? options.figures() : std::nullopt)
    write_figures(page, *figures);
  write_process(page);
  write_registry(system_metrics, page);
  front.metrics->count_dropped(page.dropped());  // the next page tells
  HttpResponse response;
  response.headers.emplace_back("Content-Type", MetricsPage::kContentType);
  response.headers.emplace_back("X-Request-Id", request_id);
  response.body = page.take();
  return response;
}

}  // namespace sluice
