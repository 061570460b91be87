// Draws a world from its seed.
#include "api/conversation.h"
#include "tests/sim/world.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sluice::sim {

using namespace std::chrono_literals;

namespace {

/// Each kind of fault is in so many of the runs.
constexpr double kFaultShare = 0.25;
constexpr std::uint32_t kRequestsMin = 4;
constexpr std::uint32_t kRequestsMax = 24;
constexpr double kTwoModelsShare = 0.4;
constexpr double kPreemptedShare = 0.5;
/// Of the runs in which actors end at all.
constexpr double kManyDeathsShare = 0.4;
/// Of the others: the actors of one lane end again and again.
constexpr double kWornLaneShare = 0.2;
/// Of the runs, those in which a crowd of small requests comes at once and has to wait.
constexpr double kCrowdShare = 0.2;
constexpr std::uint32_t kCrowdMin = 15;
constexpr std::uint32_t kCrowdMax = 60;
/// Each ends three workers with growing pauses between them; more would not be over in time.
constexpr std::uint32_t kPoisonsMax = 2;
/// Of the runs, those in which one tenant sends little else; most of that is refused.
constexpr double kFloodOfPoisonShare = 0.03;

std::string draw_text(Chance& chance, std::size_t length) {
  std::string text;
  for (std::size_t i = 0; i < length; ++i)
    text += static_cast<char>('a' + chance.below(26));
  return text;
}

SamplingParams draw_sampling(Chance& chance) {
  SamplingParams sampling;
  sampling.temperature = chance.hit(0.4) ? 0.0F : static_cast<float>(0.5 + chance.real());
  if (chance.hit(0.2)) sampling.top_p = static_cast<float>(0.5 + chance.real() / 2);
  if (chance.hit(0.2)) sampling.top_k = static_cast<std::int32_t>(chance.between(1, 6));
  if (chance.hit(0.1)) sampling.min_p = static_cast<float>(chance.real() / 4);
  if (chance.hit(0.2)) sampling.repetition_penalty = static_cast<float>(1 + chance.real());
  if (chance.hit(0.2)) sampling.presence_penalty = static_cast<float>(2 * chance.real());
  if (chance.hit(0.2)) sampling.frequency_penalty = static_cast<float>(2 * chance.real());
  if (chance.hit(0.1)) sampling.logit_bias = {{'b', 1.5F}, {'q', -3.0F}};
  return sampling;
}

OpenAiRequest draw_request(Chance& chance, std::uint64_t number) {
  OpenAiRequest request;
  request.form.id = "cmpl-" + std::to_string(number);
  request.request_id = "req-" + std::to_string(number);
  std::size_t prompts = chance.hit(0.15) ? 2 : 1;
  for (std::size_t i = 0; i < prompts; ++i)
    request.prompts.push_back(draw_text(chance, chance.between(1, 40)));
  request.max_tokens = chance.between32(1, chance.hit(0.2) ? 80 : 30);
  if (chance.hit(0.1)) request.min_tokens = chance.between32(1, 10);
  if (chance.hit(0.25)) request.n = chance.between32(2, 3);
  request.stream = chance.hit(0.7);
  request.form.include_usage = chance.hit(0.3);
  request.form.continuous_usage = chance.hit(0.1);
  request.sampling = draw_sampling(chance);
  request.seed = static_cast<std::int64_t>(chance.below(1'000'000));
  if (chance.hit(0.25)) request.stop.push_back(draw_text(chance, chance.between(1, 2)));
  if (chance.hit(0.1)) request.stop.push_back(draw_text(chance, chance.between(2, 3)));
  if (chance.hit(0.1)) request.stop_token_ids = {static_cast<TokenId>('a' + chance.below(26))};
  request.ignore_eos = chance.hit(0.5);
  request.include_stop = chance.hit(0.3);
  if (chance.hit(0.25)) request.logprobs = chance.between32(0, 3);
  request.form.logprobs = request.logprobs.has_value();
  request.echo = chance.hit(0.1);
  request.priority_class = static_cast<PriorityClass>(chance.below(3));
  if (chance.hit(0.2)) request.priority = static_cast<std::int32_t>(chance.below(10));
  if (chance.hit(0.2)) {
    request.timeout = chance.duration(200ms, 6s);
    request.client_deadline = true;
    request.partial_ok = chance.hit(0.3);
  }
  return request;
}

/// The same prompt as what a user said in a conversation, so that chats and completions are held to
/// the same rules.
void make_chat(OpenAiRequest& request) {
  auto chat = std::make_shared<Conversation>();
  jinja::ValueHeap& heap = chat->heap;
  jinja::Dict* message = heap.dict(2);
  auto text = [&heap](std::string_view bytes) {
    return heap.text(bytes, jinja::Origin::untrusted);
  };
  heap.set(message, text("role"), text("user"));
  heap.set(message, text("content"), text(std::get<std::string>(request.prompts[0])));
  jinja::List* messages = heap.list();
  heap.append(messages, jinja::Value::of(message));
  chat->messages = jinja::Value::of(messages);
  chat->has_strings = true;
  request.prompts = {std::move(chat)};
  request.begins_text = true;
  request.echo = false;
  request.form.kind = AnswerKind::chat;
}

void poison(Chance& chance, ClientPlan& plan) {
  plan.poison = true;
  std::string& prompt = std::get<std::string>(plan.request.prompts[0]);
  prompt.insert(chance.below(prompt.size() + 1), 1, chance.hit(0.5) ? '\x07' : '\x06');
}

/// Each client has a stream of its own: the others do not change when it is left out.
ClientPlan draw_client(std::uint64_t seed, std::uint64_t number, const WorldPlan& world) {
  Chance chance(seed, "client " + std::to_string(number));
  ClientPlan plan;
  plan.number = number;
  plan.request = draw_request(chance, number);
  plan.arrival = TimePoint(chance.duration(0ms, world.arrivals));
  plan.model = static_cast<std::uint32_t>(chance.below(world.models));
  if (world.faults.has(Fault::vanish) && chance.hit(0.3))
    plan.vanishes_after = chance.duration(1ms, 2s);
  if (world.faults.has(Fault::slow_reader) && chance.hit(0.3))
    plan.bytes_per_second = chance.between(500, 8000);
  if (plan.bytes_per_second > 0 && chance.hit(0.5)) {
    plan.rests_after = chance.between(200, 4000);
    plan.rests_for = chance.duration(100ms, 3s);
  }
  if (world.faults.has(Fault::retry_storm)) plan.retries = chance.between32(1, 5);
  if (world.faults.has(Fault::poison) && chance.hit(0.15)) {
    poison(chance, plan);
  }
  if (chance.hit(0.3) && plan.request.prompts.size() == 1) make_chat(plan.request);
  return plan;
}

/// One of a crowd: what it asks is small, and it waits for its turn.
ClientPlan draw_one_of_crowd(std::uint64_t seed, std::uint64_t number, const WorldPlan& world) {
  Chance chance(seed, "one of the crowd " + std::to_string(number));
  ClientPlan plan;
  plan.number = number;
  plan.request = draw_request(chance, number);
  plan.request.prompts = {draw_text(chance, chance.between(1, 12))};
  plan.request.max_tokens = chance.between32(1, chance.hit(0.2) ? 40 : 10);
  plan.request.min_tokens = 0;
  plan.request.n = 1;
  plan.request.timeout.reset();
  plan.request.client_deadline = plan.request.partial_ok = false;
  if (chance.hit(0.2))
    plan.request.priority = static_cast<std::int32_t>(chance.between(0, 200)) - 100;
  plan.model = static_cast<std::uint32_t>(chance.below(world.models));
  plan.arrival = TimePoint(world.crowd_comes + chance.duration(0ms, world.crowd_takes));
  return plan;
}

/// Limits that some requests of a run reach, and others do not.
TenantPolicy draw_tenant(Chance& chance, std::uint32_t number) {
  TenantPolicy policy;
  policy.name = "tenant" + std::to_string(number);
  policy.core = chance.hit(0.4);
  // Sevenths of a second, among others: rates that no whole nanosecond divides.
  auto flow = [&chance](std::uint64_t most) {
    return Rate{chance.between(1, 7), chance.duration(50ms, 3s), chance.between(1, most)};
  };
  if (chance.hit(0.5)) policy.requests = flow(6);
  if (chance.hit(0.5)) {
    policy.tokens = flow(300);
    policy.tokens.units *= 20;
  }
  if (chance.hit(0.3)) policy.in_flight_max = chance.between32(1, 4);
  policy.weight = chance.between32(1, 6);
  return policy;
}

/// Those of a crowd, too, are several tenants', whom nobody limits.
void draw_crowd_tenants(std::uint64_t seed, WorldPlan& plan) {
  Chance chance(seed, "tenants of the crowd");
  auto count = chance.between32(1, 3);
  for (std::uint32_t i = 0; i < count; ++i) {
    TenantPolicy policy;
    policy.name = "crowd" + std::to_string(i);
    policy.weight = chance.between32(1, 6);
    plan.tenants.push_back(policy);
    if (plan.new_limits) plan.new_limits->second.push_back(policy);
  }
  auto before = static_cast<std::uint32_t>(plan.tenants.size()) - count;
  for (ClientPlan& client : plan.clients)
    if (client.number >= plan.alone)
      client.tenant = before + static_cast<std::uint32_t>(chance.below(count));
}

/// In some runs there are tenants, and a limit for all of them together.
void draw_quotas(std::uint64_t seed, WorldPlan& plan) {
  constexpr double kQuotasShare = 0.3;
  Chance chance(seed, "quotas");
  plan.front.quotas.requests = {};
  if (!chance.hit(kQuotasShare)) return;
  auto count = chance.between32(1, 3);
  std::vector<TenantPolicy> later;
  for (std::uint32_t i = 0; i < count; ++i) {
    plan.tenants.push_back(draw_tenant(chance, i));
    later.push_back(draw_tenant(chance, i));
  }
  if (chance.hit(0.3)) plan.new_limits = {chance.duration(100ms, plan.arrivals), std::move(later)};
  if (chance.hit(0.5))
    plan.front.quotas.requests = {
        chance.between(1, 20), chance.duration(200ms, 3s), chance.between(1, 30)};
  for (ClientPlan& client : plan.clients) {
    Chance own(seed, "tenant of client " + std::to_string(client.number));
    if (own.hit(0.9)) client.tenant = static_cast<std::uint32_t>(own.below(count));
  }
}

/// In some runs a tenant sends poison after poison, and little else, while others go on.
void draw_flood_of_poison(const RunOptions& options, WorldPlan& plan) {
  Chance chance(options.seed, "flood of poison");
  if (!options.faults.has(Fault::poison) || !chance.hit(kFloodOfPoisonShare)) return;
  TenantPolicy policy;
  policy.name = "poisoner";
  auto number = static_cast<std::uint32_t>(plan.tenants.size());
  plan.tenants.push_back(policy);
  if (plan.new_limits) plan.new_limits->second.push_back(policy);
  plan.faults.set(Fault::poison);
  auto count = std::min<std::size_t>(plan.clients.size(), chance.between(6, 16));
  for (ClientPlan& client : std::span(plan.clients).first(count)) {
    bool is_text = std::holds_alternative<std::string>(client.request.prompts[0]);
    if (is_text && !client.poison && chance.hit(0.8)) poison(chance, client);
    client.tenant = number;
    client.model = 0;
    client.arrival = TimePoint(chance.duration(0ms, plan.fault_time));
  }
}

/// In some runs requests wait for others, of either model.
void draw_dependencies(std::uint64_t seed, WorldPlan& plan) {
  constexpr double kShare = 0.25;
  if (!Chance(seed, "dependencies").hit(kShare)) return;
  for (ClientPlan& client : plan.clients) {
    Chance own(seed, "those before client " + std::to_string(client.number));
    while (client.number > 0 && client.after.size() < 3 && own.hit(0.3))
      client.after.push_back(own.below(client.number));
  }
}

/// In some runs the ladder runs, and memory comes under pressure.
void draw_degradation(std::uint64_t seed, WorldPlan& plan) {
  constexpr double kLadderShare = 0.3;
  Chance chance(seed, "degradation");
  if (!chance.hit(kLadderShare)) return;
  plan.front.degradation = true;
  plan.cheaper = plan.models == 2 && chance.hit(0.5);
  Duration time = chance.duration(0ms, 1s);
  while (time < plan.fault_time) {
    plan.memory.emplace_back(time, chance.hit(0.5) ? 0.6 + 0.4 * chance.real() : 0.3);
    time += chance.duration(500ms, 4s);
  }
  plan.memory.emplace_back(plan.fault_time, 0.3);
  for (TenantPolicy& tenant : plan.tenants)
    tenant.may_be_degraded = chance.hit(0.7);
  for (ClientPlan& client : plan.clients) {
    Chance own(seed, "degradation of client " + std::to_string(client.number));
    client.request.allow_degraded = own.hit(0.8);
  }
}

}  // namespace

bool WorldPlan::front_may_be_late() const {
  return faults.has(Fault::front_stall) || (faults.has(Fault::preempted) && actors_end());
}

WorldPlan WorldPlan::draw(const RunOptions& options) {
  Chance chance(options.seed, "world");
  WorldPlan plan;
  plan.models = chance.hit(kTwoModelsShare) ? 2 : 1;
  plan.lanes = chance.between32(plan.models, 2 + plan.models);
  plan.fault_time = std::chrono::milliseconds(chance.between(1500, 10'000));
  for (std::size_t i = 0; i < kFaults; ++i)
    plan.faults.set(static_cast<Fault>(i), chance.hit(kFaultShare));
  plan.faults.set(Fault::preempted, chance.hit(kPreemptedShare));
  auto requests = chance.between32(kRequestsMin, kRequestsMax);
  if (plan.faults.has(Fault::front_stall) && chance.hit(0.5)) plan.slow_front = 0.002;

  plan.host.engine.sequences_max = static_cast<std::int32_t>(chance.between(2, 6));
  plan.host.engine.blocks = static_cast<std::int32_t>(chance.between(16, 40));
  plan.host.engine.step_rows_max = static_cast<std::int32_t>(chance.between(8, 48));
  plan.host.engine.prefill_chunk = static_cast<std::int32_t>(chance.between(4, 32));
  plan.host.engine.sequences_max =
      std::min(plan.host.engine.sequences_max, plan.host.engine.step_rows_max);
  plan.host.device.step = chance.duration(1ms, 8ms);
  plan.host.device.row = chance.duration(10us, 200us);
  plan.host.load = chance.duration(10ms, 200ms);

  bool tight = plan.faults.has(Fault::retry_storm);
  plan.front.admission.queue_capacity = tight ? chance.between(0, 6) : 1024;
  if (chance.hit(0.2)) plan.front.admission.queue_tokens = chance.between(200, 600);
  // Some let everybody wait as long as he likes.
  if (chance.hit(0.5)) plan.front.admission.wait_max = {};
  // A worker may be stopped while it loads, and healing is not that patient by default.
  plan.front.load_timeout = 8s;
  plan.front.warm_up_timeout = 5s;
  plan.front.lane_backoff.max = 5s;
  plan.front.breaker.wait_max = 5s;
  // Every quarantine has to be left again while the world heals.
  plan.front.quarantine.first = chance.duration(500ms, 4s);
  plan.front.quarantine.longest = 8s;
  plan.front.quarantine.probation = 10s;
  plan.front.keepalive = chance.duration(500ms, 15s);
  plan.front.stream_buffer = chance.hit(0.5) ? 512 : 4096;

  // What is right about the order is right at any scale; at a small one it shows in short runs.
  constexpr Duration kQuanta[] = {1ms, 5ms, 20ms, 100ms};
  constexpr int kScales[] = {1, 10, 100, 1000};
  plan.front.order.quantum = kQuanta[chance.below(std::size(kQuanta))];
  int scale = kScales[chance.below(std::size(kScales))];
  for (Duration& ageing : plan.front.order.ageing)
    ageing /= scale;

  constexpr double kOften[] = {0.02, 0.1, 0.4};
  plan.preempted = kOften[chance.below(std::size(kOften))];
  if (chance.hit(kManyDeathsShare)) {
    plan.patient_tree = true;
    plan.actor_deaths = chance.between32(4, 20);
    if (chance.hit(0.5)) plan.victim = chance.next();
  } else if (Chance(options.seed, "one lane").hit(kWornLaneShare)) {
    // More than its supervisor bears.
    plan.worn_lane = true;
    plan.actor_deaths = 12;
  }

  plan.faults = plan.faults & options.faults;
  if (options.models) plan.models = *options.models;
  if (options.lanes) plan.lanes = *options.lanes;
  plan.lanes = std::max(plan.lanes, plan.models);
  if (options.fault_time) plan.fault_time = *options.fault_time;
  plan.arrivals = plan.fault_time * 7 / 10;
  plan.alone = requests;
  if (chance.hit(kCrowdShare)) {
    requests += chance.between32(kCrowdMin, kCrowdMax);
    plan.host.engine.sequences_max = std::min(plan.host.engine.sequences_max, 3);
    plan.front.admission.wait_max = {};
    plan.crowd_comes = chance.duration(0ms, plan.arrivals / 2);
    plan.crowd_takes = chance.duration(1ms, plan.arrivals / 2);
  }
  if (options.requests) requests = std::min(requests, *options.requests);
  std::uint32_t poisons = 0;
  for (std::uint64_t i = 0; i < requests; ++i) {
    plan.clients.push_back(i < plan.alone ? draw_client(options.seed, i, plan)
                                          : draw_one_of_crowd(options.seed, i, plan));
    if (plan.clients.back().poison && ++poisons >= kPoisonsMax)
      plan.faults.set(Fault::poison, false);
  }
  plan.faults.set(Fault::poison, plan.faults.has(Fault::poison) || poisons > 0);
  draw_quotas(options.seed, plan);
  if (requests > plan.alone) draw_crowd_tenants(options.seed, plan);
  draw_flood_of_poison(options, plan);
  draw_dependencies(options.seed, plan);
  draw_degradation(options.seed, plan);
  return plan;
}

}  // namespace sluice::sim
