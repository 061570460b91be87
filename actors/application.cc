#include "actors/application.h"

#include "actors/admission.h"
#include "actors/batcher.h"
#include "actors/breaker.h"
#include "actors/degradation.h"
#include "actors/executor.h"
#include "actors/front_metrics.h"
#include "actors/lane_messages.h"
#include "actors/prober.h"
#include "actors/pulse.h"
#include "actors/pulse_messages.h"
#include "actors/queue.h"
#include "actors/request_messages.h"
#include "actors/run_queue.h"
#include "actors/work_messages.h"
#include "supervision/supervisor.h"

#include <caf/init_global_meta_objects.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace sluice {

namespace {

constexpr std::string_view kDegradationPath = "root/operations/degradation";  // as in `make_tree`

/// The lane whose actors stand under this path, if it is such a path.
std::optional<LaneId> lane_of(std::string_view path) {
  constexpr std::string_view kBefore = "root/lanes/lane";  // as in `lane_path`
  if (!path.starts_with(kBefore)) return std::nullopt;
  path.remove_prefix(kBefore.size());
  LaneId lane;
  auto [end, failed] = std::from_chars(path.data(), path.data() + path.size(), lane.value);
  bool is_lane = failed == std::errc() && end == path.data() + path.size();
  return is_lane ? std::optional(lane) : std::nullopt;
}

}  // namespace

std::unique_ptr<caf::actor_system_config> make_actor_config(std::size_t at_once) {
  caf::init_global_meta_objects<caf::id_block::sluice_supervision>();
  caf::init_global_meta_objects<caf::id_block::sluice>();
  caf::core::init_global_meta_objects();
  auto config = std::make_unique<caf::actor_system_config>();
  use_run_queue(*config, at_once);
  // A flooded actor yields after so many messages.
  config->set("caf.scheduler.max-throughput", 50);
  config->set("caf.logger.console.verbosity", "quiet");
  return config;
}

std::shared_ptr<Front> make_front(Front::Options options,
                                  std::shared_ptr<const Clock> clock,
                                  std::shared_ptr<Random> random,
                                  std::shared_ptr<WorkerLauncher> launcher) {
  auto front = std::make_shared<Front>();
  front->quotas = std::make_unique<Quotas>(options.quotas);
  auto log = [owner = std::weak_ptr<Front>(front)](const ChildStatus& child) {
    if (auto living = owner.lock()) {
      // It has ended by itself, or its supervisor has stopped it because of a sibling.
      bool ended = child.state == ChildState::waiting || child.state == ChildState::down;
      if (ended && child.incarnation > 0) living->record(trace::Restarted{child.path});
      if (child.state == ChildState::disabled && child.path == kDegradationPath)
        living->degradation.reset();
      if (auto lane = lane_of(child.path)) {
        if (child.state == ChildState::quarantined)
          living->lanes.park(
              *lane, child.delay > Duration::zero() ? child.since + child.delay : TimePoint::max());
        else
          living->lanes.unpark(*lane);
      }
    }
    if (child.state == ChildState::quarantined || child.state == ChildState::disabled) {
      spdlog::error("{} is {}: {}", child.path, to_string(child.state), child.last_reason);
    } else if (child.state == ChildState::waiting) {
      spdlog::warn("{} ended: {}; it starts again", child.path, child.last_reason);
    } else {
      spdlog::debug("{} is {}", child.path, to_string(child.state));
    }
  };
  front->options = std::move(options);
  front->clock = std::move(clock);
  front->metrics = std::make_shared<FrontMetrics>(front->clock);
  front->random = random;
  front->launcher = std::move(launcher);
  front->tree = std::make_shared<Tree>(std::move(random), log);
  front->admission = {"admission", front->tree->leases("root/scheduling/admission")};
  return front;
}

namespace {

trace::Flow flow_of(const Rate& rate) {
  return {rate.units, rate.period, rate.burst};
}

}  // namespace

trace::Limits trace_limits(const Front& front) {
  const Front::Options& options = front.options;
  trace::Limits limits;
  limits.lane_restarts = options.lane_restarts_max;
  limits.lane_period = options.lane_restarts_period;
  limits.quarantine_first = options.quarantine.first;
  limits.quarantine_longest = options.quarantine.longest;
  limits.retries_min = front.retries.options().at_least;
  limits.retries_share = front.retries.options().share;
  limits.attempts = front.retries.options().attempts;
  limits.tokens = options.admission.queue_tokens;
  limits.rate = flow_of(front.quotas->options().requests);
  limits.core_kept = front.quotas->core_reserve();
  limits.low_kept = front.quotas->kept_from_low();
  limits.share_kept = front.quotas->kept_for_shares();
  const Quotas::Options& quotas = front.quotas->options();
  if (!quotas.lends_to_low) {
    auto thousandths = [](double share) { return static_cast<std::uint32_t>(1000 * share); };
    limits.lane_core_kept = thousandths(quotas.core_reserve);
    limits.lane_low_kept = thousandths(quotas.low_reserve);
  }
  limits.quantum = options.order.quantum;
  limits.ageing = options.order.ageing;
  return limits;
}

std::vector<std::shared_ptr<const Tenant>> enroll(Front& front,
                                                  std::vector<TenantPolicy> policies) {
  auto tenants = front.quotas->enroll(std::move(policies), front.clock->now());
  for (const auto& tenant : tenants)
    front.record(trace::TenantLimits{tenant->number,
                                     flow_of(tenant->policy.requests),
                                     flow_of(tenant->policy.tokens),
                                     tenant->policy.in_flight_max,
                                     tenant->policy.core,
                                     tenant->policy.weight});
  front.degradation.set_core(std::any_of(
      tenants.begin(), tenants.end(), [](const auto& tenant) { return tenant->policy.core; }));
  return tenants;
}

void add_model(Front& front,
               std::shared_ptr<ServedModel> model,
               std::uint32_t lanes,
               const WorkerSpec& spec) {
  // The tables stand under the paths that make_tree gives these actors.
  std::string place = "root/scheduling/model." + model->name;
  model->metrics = &front.metrics->add_model(model->name);
  model->queue = {"queue." + model->name, front.tree->leases(place + "/queue")};
  model->batcher = {"batcher." + model->name, front.tree->leases(place + "/batcher")};
  for (std::uint32_t i = 0; i < lanes; ++i) {
    LaneId lane{static_cast<std::uint32_t>(front.executors.size())};
    std::string number = std::to_string(lane.value);
    front.executors[lane] = {"executor." + number,
                             front.tree->leases(lane_path(lane) + "/executor")};
    front.worker_specs[lane] = spec;
    model->lanes.push_back(lane);
    LaneStatus status;
    status.lane = lane;
    status.model = model->name;
    status.quarantine = Quarantine(front.options.quarantine);
    front.lanes.update(status);
  }
  front.models.push_back(std::move(model));
}

std::shared_ptr<const SupervisorSpec> make_tree(const std::shared_ptr<Front>& front) {
  using std::chrono::seconds;
  auto player = [](std::string id, std::string role, Factory start) {
    ChildSpec child = actor_child(std::move(id), std::move(start));
    child.role = std::move(role);
    return child;
  };
  auto holder = [player](std::string id, std::string role, Factory start) {
    ChildSpec child = player(std::move(id), std::move(role), std::move(start));
    child.holds_leases = true;
    return child;
  };

  // Each lane has a budget of its own: one that cannot be helped uses up nobody else's.
  auto lane_budget = std::make_shared<const Budget>(
      Budget{5, seconds(60), OnExhausted::quarantine, front->options.quarantine});
  SupervisorSpec lanes{Strategy::one_for_one, *lane_budget, {}};
  SupervisorSpec scheduling{Strategy::one_for_one, {5, seconds(30), OnExhausted::escalate, {}}, {}};
  scheduling.children.push_back(holder("admission",
                                       front->admission.role,
                                       [front](caf::actor_system& system, const Incarnation& life) {
                                         return spawn_admission(system, front, life);
                                       }));
  for (const auto& model : front->models) {
    for (LaneId lane : model->lanes) {
      SupervisorSpec one{Strategy::rest_for_one, {5, seconds(60), OnExhausted::escalate, {}}, {}};
      one.children.push_back(
          player("breaker",
                 Front::breaker_role(lane),
                 [front, model, lane](caf::actor_system& system, const Incarnation& life) {
                   return spawn_breaker(system, front, model, lane, life);
                 }));
      one.children.push_back(
          holder("executor",
                 front->executors.at(lane).role,
                 [front, model, lane](caf::actor_system& system, const Incarnation& life) {
                   return spawn_executor(system, front, model, lane, life);
                 }));
      one.children.push_back(
          player("prober",
                 Front::prober_role(lane),
                 [front, lane](caf::actor_system& system, const Incarnation& life) {
                   return spawn_prober(system, front, lane, life);
                 }));
      lanes.children.push_back(
          supervisor_child("lane" + std::to_string(lane.value), std::move(one)));
      lanes.children.back().budget = lane_budget;
    }
    SupervisorSpec place{Strategy::rest_for_one, {5, seconds(30), OnExhausted::escalate, {}}, {}};
    place.children.push_back(
        holder("queue",
               model->queue.role,
               [front, model](caf::actor_system& system, const Incarnation& life) {
                 return spawn_queue(system, front, model, life);
               }));
    place.children.push_back(
        holder("batcher",
               model->batcher.role,
               [front, model](caf::actor_system& system, const Incarnation& life) {
                 return spawn_batcher(system, front, model, life);
               }));
    scheduling.children.push_back(supervisor_child("model." + model->name, std::move(place)));
  }

  SupervisorSpec operations{Strategy::one_for_one, {10, seconds(60), OnExhausted::disable, {}}, {}};
  if (front->options.pulse > Duration::zero()) {
    operations.children.push_back(
        player("pulse", "pulse", [front](caf::actor_system& system, const Incarnation& life) {
          return spawn_pulse(system, front, life);
        }));
  }
  if (front->options.degradation) {
    operations.children.push_back(player("degradation",
                                         std::string(Front::kDegradationRole),
                                         [front](caf::actor_system& system, const Incarnation&) {
                                           return spawn_degradation(system, front);
                                         }));
  }

  SupervisorSpec root{Strategy::one_for_one, {3, seconds(60), OnExhausted::escalate, {}}, {}};
  root.children.push_back(supervisor_child("lanes", std::move(lanes)));
  root.children.push_back(supervisor_child("scheduling", std::move(scheduling)));
  root.children.push_back(supervisor_child("operations", std::move(operations)));
  return std::make_shared<const SupervisorSpec>(std::move(root));
}

caf::actor start_tree(caf::actor_system& system, const std::shared_ptr<Front>& front) {
  caf::actor root = spawn_supervisor(system, "root", make_tree(front), front->tree);
  front->tree->registry().announce_up(Front::kRootRole, 1, root);
  root->attach_functor([tree = std::weak_ptr<Tree>(front->tree)](const caf::error&) {
    if (auto living = tree.lock())
      living->registry().announce_down(Front::kRootRole, 1, true, "the tree has ended");
  });
  return root;
}

Application::Application(caf::actor_system& system, std::shared_ptr<Front> front)
    : system_(system),
      front_(std::move(front)),
      ended_(std::make_shared<std::atomic<bool>>(false)) {
  root_ = start_tree(system_, front_);
  root_->attach_functor([ended = ended_](const caf::error&) { ended->store(true); });
}

Application::~Application() {
  stop();
}

void Application::end_requests() {
  // Admission holds a lease of every request that is inside.
  for (const Lease& lease : front_->admission.leases->entries())
    caf::anon_send(lease.session, EndNow{});
}

void Application::stop() {
  if (std::exchange(stopped_, true) || ended_->load()) return;
  caf::scoped_actor self{system_};
  self->request(root_, caf::infinite, StopTree{}).receive([] {}, [](const caf::error&) {});
  root_ = nullptr;
}

bool Application::failed() const {
  return !stopped_ && ended_->load();
}

}  // namespace sluice
