#include "actors/probes.h"

#include "actors/admission_page.h"
#include "actors/json_page.h"
#include "api/errors.h"
#include "api/status_bodies.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

std::int64_t milliseconds(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

void write_breaker(std::string& out, const BreakerStatus& breaker, TimePoint now) {
  ObjectWriter object(out);
  object.text("state", to_string(breaker.state));
  object.decimal("weight", breaker.weight);
  object.number("permits", breaker.permits);
  object.text("reason", breaker.reason);
  object.boolean("by_hand", breaker.held.has_value());
  object.number("for_s", milliseconds(std::max(Duration::zero(), now - breaker.since)) / 1000);
}

}  // namespace

Probes::Probes(std::shared_ptr<Front> front, std::shared_ptr<const GatewayOptions> options)
    : front_(std::move(front)), options_(std::move(options)), started_(front_->clock->now()) {}

HttpResponse Probes::health(const std::string& request_id) const {
  TimePoint now = front_->clock->now();
  HealthInfo info;
  info.uptime_s = static_cast<std::uint64_t>(milliseconds(now - started_) / 1000);
  for (const auto& [name, loop] : options_->loops) {
    Duration lag = std::max(Duration::zero(), now - loop->last_turn());
    info.loops.push_back({name, milliseconds(lag)});
    info.stalled = info.stalled || lag > options_->stall;
  }
  // The one thing of the actors that counts: that they are run. Workers are not the front.
  Duration pulse = front_->pulse.age(now);
  info.loops.push_back({"actors", milliseconds(pulse)});
  info.stalled = info.stalled || pulse > options_->stall;
  for (const LaneStatus& lane : front_->lanes.snapshot()) {
    if (lane.state == LaneStatus::State::ready)
      info.engines.push_back({lane.model, lane.running, lane.step_age_ms});
  }
  return json_response(info.stalled ? 503 : 200, health_body(info), request_id);
}

std::vector<std::string> Probes::unready() const {
  std::vector<std::string> reasons;
  if (front_->stopping) reasons.emplace_back("the server is shutting down");
  for (const auto& model : front_->models) {
    if (front_->lanes.ready(model->name) > 0) continue;
    std::string reason = "model " + model->name + ":";
    for (const LaneStatus& lane : front_->lanes.snapshot()) {
      if (lane.model != model->name) continue;
      reason +=
          " lane " + std::to_string(lane.lane.value) + " " + std::string(to_string(lane.state));
      if (!lane.phase.empty()) reason += " (" + lane.phase + ")";
      if (lane.state == LaneStatus::State::ready) {
        reason += ", breaker " + std::string(to_string(lane.breaker.state));
        if (!lane.doubt.empty()) reason += ", suspect: " + lane.doubt;
      }
      reason += ";";
    }
    reasons.push_back(std::move(reason));
  }
  return reasons;
}

HttpResponse Probes::ready(const std::string& request_id) const {
  std::vector<std::string> reasons = unready();
  return json_response(reasons.empty() ? 200 : 503, ready_body(reasons), request_id);
}

HttpResponse Probes::version(const std::string& request_id) const {
  VersionInfo info;
  info.version = options_->version;
  info.git = options_->git;
  info.build = options_->build;
  info.compiler = "g++ " __VERSION__;
  return json_response(200, version_body(info), request_id);
}

HttpResponse Probes::breakers(const std::string& request_id) const {
  TimePoint now = front_->clock->now();
  std::string body = "{\"breakers\":";
  write_array(body, front_->lanes.snapshot(), [now](ObjectWriter& object, const LaneStatus& lane) {
    object.number("lane", lane.lane.value);
    object.text("model", lane.model);
    write_breaker(object.member("breaker"), lane.breaker, now);
  });
  body += '}';
  return json_response(200, std::move(body), request_id);
}

HttpResponse Probes::admission(std::string_view query, const std::string& request_id) const {
  auto page = admission_page(*front_, query);
  if (auto* error = std::get_if<ApiError>(&page)) return to_response(*error, request_id);
  return json_response(200, std::get<std::string>(std::move(page)), request_id);
}

HttpResponse Probes::workers(const std::string& request_id) const {
  TimePoint now = front_->clock->now();
  std::string body = "{\"workers\":";
  write_array(body, front_->lanes.snapshot(), [now](ObjectWriter& object, const LaneStatus& lane) {
    object.number("lane", lane.lane.value);
    object.text("model", lane.model);
    object.text("state", to_string(lane.state));
    object.text("phase", lane.phase);
    object.number("pid", lane.pid);
    object.number("incarnation", lane.incarnation);
    object.number("restarts", lane.restarts);
    object.text("last_exit", lane.last_exit);
    object.boolean("quarantine", lane.in_quarantine());
    if (auto trial = lane.parked_until ? lane.parked_until : lane.quarantine.trial_at();
        trial && *trial != TimePoint::max())
      object.number("trial_in_ms", milliseconds(std::max(Duration::zero(), *trial - now)));
    object.text("kernels", lane.level);
    object.text("weights", fingerprint_text(lane.weights));
    object.number("slots", lane.slots);
    object.number("blocks", lane.blocks);
    object.number("blocks_free", lane.blocks_free);
    object.number("leases", lane.leases);
    object.number("running", lane.running);
    object.number("waiting", lane.waiting);
    object.number("paused", lane.paused);
    object.number("steps", lane.steps);
    object.number("preemptions", lane.preemptions);
    object.number("step_age_ms", lane.step_age_ms);
    object.number("loaded_bytes", lane.load.bytes);
    object.number("load_bytes", lane.load.bytes_in_all);
    object.number("descriptors", lane.descriptors);
    object.number("threads", lane.threads);
    object.number("compute_threads", lane.compute_threads);
    object.number("compute_lost_permille", lane.compute_lost_permille);
    object.number("limit", lane.limit);
    object.number("pace_us",
                  std::chrono::duration_cast<std::chrono::microseconds>(lane.pace).count());
    object.text("doubt", lane.doubt);
    write_breaker(object.member("breaker"), lane.breaker, now);
  });
  body += ",\"tree\":";
  write_array(body, front_->tree->snapshot(), [](ObjectWriter& object, const ChildStatus& child) {
    object.text("path", child.path);
    object.text("state", to_string(child.state));
    object.number("incarnation", child.incarnation);
    object.number("restarts", child.restarts);
    object.text("last_reason", child.last_reason);
  });
  body += ",\"pulse\":";
  {
    ObjectWriter object(body);
    object.number("stuck", front_->pulse.stuck.load());
    object.number("slowest_answer_ms", milliseconds(front_->pulse.slowest()));
  }
  body += ",\"requests\":";
  {
    const FrontCounters& counters = front_->counters;
    ObjectWriter object(body);
    object.number("accepted", counters.accepted.load());
    object.number("refused", counters.refused.load());
    object.number("completed", counters.completed.load());
    object.number("cancelled", counters.cancelled.load());
    object.number("deadline", counters.deadline.load());
    object.number("failed", counters.failed.load());
    object.number("poisoned", counters.poisoned.load());
    object.number("resumed", counters.resumed.load());
    object.number("weights_changed", counters.weights_changed.load());
    object.number("sessions", counters.sessions.load());
  }
  body += '}';
  return json_response(200, std::move(body), request_id);
}

}  // namespace sluice
