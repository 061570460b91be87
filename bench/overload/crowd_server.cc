#include "bench/overload/crowd_server.h"

#include "actors/body_memory.h"
#include "base/random.h"
#include "metrics/process_figures.h"
#include "server/cpu_budget.h"
#include "server/entrance.h"
#include "server/front_options.h"
#include "server/model_paths.h"
#include "server/program.h"
#include "worker/spawn.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace sluice::overload {

CrowdServer::CrowdServer(const ServeOptions& options)
    : options_(options), clock_(std::make_shared<SystemClock>()) {}

CrowdServer::~CrowdServer() {
  pool_.reset();
  if (application_) application_->stop();
  application_.reset();
  gateway_.reset();
  if (front_) front_->launcher.reset();
  worker_loop_.reset();
  front_.reset();
  system_.reset();
}

Result<void> CrowdServer::start() {
  auto loop = EventLoop::start("workers");
  if (!loop) return loop.error();
  worker_loop_ = std::move(*loop);
  front_ = make_front(front_options(options_),
                      clock_,
                      std::make_shared<SystemRandom>(),
                      make_process_launcher(*worker_loop_));
  auto paths = model_paths(options_, program_path());
  if (!paths) return paths.error();
  for (const NamedPath& path : *paths) {
    auto card = load_model_card(path.path);
    if (!card) return card.error();
    auto model = std::make_shared<ServedModel>();
    model->name = path.name;
    model->card = std::move(*card);
    model->default_max_tokens = options_.default_max_tokens;
    add_model(*front_,
              std::move(model),
              options_.workers,
              {kOwnProgram, worker_arguments(options_, path.path, ::getpid()), program_path()});
  }
  for (auto& [lane, spec] : front_->worker_specs)
    for (std::string& word : fault_arguments(options_, lane.value))
      spec.arguments.push_back(std::move(word));
  config_ = make_actor_config(options_.scheduler_threads ? options_.scheduler_threads
                                                         : actor_threads(usable_cores()));
  system_ = std::make_unique<caf::actor_system>(*config_);
  auto gateway = std::make_shared<GatewayOptions>();
  KeysFile nobody;
  nobody.tenants.emplace_back();
  gateway->keys->replace(make_key_ring(nobody, enroll(*front_, nobody.tenants)));
  gateway->limits.default_timeout = options_.request_timeout;
  gateway->limits.max_timeout = std::max(gateway->limits.max_timeout, options_.request_timeout);
  gateway->body_bytes_max = options_.body_bytes_max;
  ByteBudget::Options budget;
  if (options_.body_memory != 0) budget.total = options_.body_memory;
  body_memory_ = make_body_memory(ByteBudget::create(budget), clock_);
  pool_ = make_work_pool({});
  gateway_ = make_gateway(
      *system_,
      front_,
      gateway,
      std::make_shared<Intake>(
          *system_, front_, gateway->limits, *pool_, gateway->idempotency));
  application_ = std::make_unique<Application>(*system_, front_);
  return {};
}

bool CrowdServer::ready() const {
  return std::all_of(front_->models.begin(), front_->models.end(), [this](const auto& model) {
    auto lanes = front_->lanes.snapshot();
    return std::all_of(lanes.begin(), lanes.end(), [&](const LaneStatus& lane) {
      return lane.model != model->name || (lane.state == LaneStatus::State::ready &&
                                           lane.breaker.state == CircuitBreaker::State::closed);
    });
  });
}

std::string CrowdServer::failure() const {
  if (application_->failed()) return "the supervision tree gave up";
  for (const LaneStatus& lane : front_->lanes.snapshot())
    if (lane.load_failed || lane.state == LaneStatus::State::quarantined) return lane.last_exit;
  return {};
}

void CrowdServer::ask(std::string body, std::shared_ptr<HttpExchange> exchange) {
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/completions";
  request.headers = {{"Host", "127.0.0.1"},
                     {"Content-Type", "application/json"},
                     {"Content-Length", std::to_string(body.size())}};
  request.peer = "127.0.0.1:1";
  request.has_body = request.has_framing = true;
  request.content_length = body.size();
  request.received = clock_->now();
  if (auto refusal = gateway_->on_head(request)) {
    exchange->respond(std::move(*refusal));
    return;
  }
  auto share = body_memory_->open("127.0.0.1", body.size(), {});
  if (!share || !share->resize(body.size())) {
    exchange->respond(gateway_->on_fault(
        {429, "overloaded", "the bodies of other requests fill the memory there is for them", ""}));
    return;
  }
  share->complete();
  request.body = std::move(body);
  request.memory = std::move(share);
  gateway_->on_request(std::move(request), std::move(exchange));
}

std::uint64_t CrowdServer::decided() const {
  return front_->counters.accepted + front_->counters.refused;
}

bool CrowdServer::holds(std::size_t inside) const {
  std::size_t places = 0;
  for (const auto& model : front_->models)
    places += model->queued + model->slots;
  return places >= inside;
}

std::uint64_t CrowdServer::worker_memory() const {
  std::uint64_t bytes = 0;
  for (const LaneStatus& lane : front_->lanes.snapshot())
    if (auto memory = read_resident_memory(lane.pid)) bytes += memory->all();
  return bytes;
}

std::uint64_t CrowdServer::restarts() const {
  std::uint64_t restarts = 0;
  for (const LaneStatus& lane : front_->lanes.snapshot())
    restarts += lane.restarts;
  return restarts;
}

}  // namespace sluice::overload
