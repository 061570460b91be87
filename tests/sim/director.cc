#include "tests/sim/director.h"

#include "tests/sim/coverage.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

namespace sluice::sim {

using namespace std::chrono_literals;

namespace {

/// More deaths of actors than this could use up the budget on the path to the root, and the process
/// would end as it should.
constexpr std::uint32_t kActorDeathsMax = 3;

/// How often a fault strikes in a run that has it.
std::pair<std::uint32_t, std::uint32_t> strikes(Fault fault) {
  switch (fault) {
    case Fault::kill_outside:
    case Fault::exit_inside:
      return {1, 6};
    case Fault::truncated:
    case Fault::bit_flip:
    case Fault::reordered:
    case Fault::lost_token:
    case Fault::bad_token:
    case Fault::hang:
    case Fault::stop:
    case Fault::sticky_late:
    case Fault::nan_all:
    case Fault::oom_always:
      return {1, 3};
    case Fault::doubled:
    case Fault::old_epoch:
    case Fault::oom_once:
    case Fault::nan_one:
      return {2, 12};
    case Fault::actor_dies:
      return {1, kActorDeathsMax};
    case Fault::all_lanes:
    case Fault::spawn_failure:
    case Fault::slow_load:
    case Fault::session_dies:
      return {1, 2};
    default:
      return {1, 4};
  }
}

}  // namespace

Director::Director(World& world) : world_(world), chance_(world.front().random->next(), "faults") {
  for (std::size_t i = 0; i < kFaults; ++i) {
    auto fault = static_cast<Fault>(i);
    if (world_.plan().faults.has(fault)) plan(fault);
  }
}

void Director::plan(Fault fault) {
  Chance own(chance_.next(), name_of(fault));
  auto [least, most] = strikes(fault);
  std::uint64_t count = own.between(least, most);
  for (std::uint64_t i = 0; i < count; ++i) {
    world_.environment().after(
        own.duration(20ms, world_.plan().fault_time), Source::fault, [this, fault] {
          if (!healed_) strike(fault);
        });
  }
}

std::shared_ptr<SimWorker> Director::some_worker() {
  auto alive = world_.host().alive();
  return alive.empty() ? nullptr : alive[chance_.below(alive.size())];
}

void Director::strike(Fault fault) {
  TimePoint now = world_.environment().now();
  Duration while_long = chance_.duration(50ms, 3s);
  auto worker = some_worker();
  auto later = static_cast<std::uint32_t>(chance_.between(1, 6));
  if (worker) {
    DeviceOrders& orders = worker->orders();
    Saboteur& saboteur = chance_.hit(0.7) ? worker->worker_saboteur() : worker->front_saboteur();
    std::string who =
        "worker " + std::to_string(worker->pid()) + " of lane " + std::to_string(worker->lane());
    world_.say(std::string(name_of(fault)) + ": " + who);
    switch (fault) {
      case Fault::exit_inside:
        orders.crash_in = later;
        return;
      case Fault::kill_outside:
        worker->kill_from_outside();
        mark(fault);
        return;
      case Fault::stop:
        worker->stop();
        mark(fault);
        return;
      case Fault::stop_continue: {
        worker->stop();
        mark(fault);
        world_.environment().after(while_long, Source::fault, [worker] { worker->resume(); });
        return;
      }
      case Fault::hang:
        orders.hang_in = later;
        return;
      case Fault::slow_steps:
        orders.slow = 20;
        orders.slow_until = now + while_long;
        return;
      case Fault::sticky_late:
        orders.lost_in = later;
        return;
      case Fault::oom_once:
        orders.oom_passes = 1;
        return;
      case Fault::oom_always:
        orders.oom_rows = static_cast<std::int32_t>(chance_.between(1, 4));
        return;
      case Fault::nan_one:
        orders.nan_one = true;
        return;
      case Fault::nan_all:
        orders.nan_all = true;
        return;
      case Fault::bad_token:
        worker->mangle([this](wire::Tokens& tokens) {
          if (tokens.outputs.empty()) return false;
          auto& output = tokens.outputs[chance_.below(tokens.outputs.size())];
          if (output.tokens.empty()) return false;
          output.tokens.back() = chance_.hit(0.5) ? 257 : 2'147'483'647;
          mark(Fault::bad_token);
          return true;
        });
        return;
      case Fault::lost_token:
        worker->mangle([this](wire::Tokens& tokens) {
          if (tokens.outputs.empty()) return false;
          auto place = tokens.outputs.begin() +
                       static_cast<std::ptrdiff_t>(chance_.below(tokens.outputs.size()));
          if (place->tokens.empty() || place->finish != Finish::none) return false;
          tokens.outputs.erase(place);
          mark(Fault::lost_token);
          return true;
        });
        return;
      case Fault::truncated:
        saboteur.order(Saboteur::Deed::cut);
        return;
      case Fault::bit_flip:
        saboteur.order(Saboteur::Deed::flip);
        return;
      case Fault::doubled:
        saboteur.order(Saboteur::Deed::repeat);
        return;
      case Fault::reordered:
        saboteur.order(Saboteur::Deed::swap);
        return;
      case Fault::old_epoch: {
        auto& history = world_.host().history;
        if (history.empty() || !worker->serves()) return;
        worker->say(history[chance_.below(history.size())]);
        mark(fault);
        return;
      }
      case Fault::stall_to_front:
        worker->to_front().stall(now + while_long);
        mark(fault);
        return;
      case Fault::stall_to_worker:
        worker->to_worker().stall(now + while_long);
        mark(fault);
        return;
      default:
        break;
    }
  }
  switch (fault) {
    case Fault::spawn_failure:
      world_.host().no_spawns_until = now + while_long;
      if (worker) worker->kill_from_outside();
      return;
    case Fault::slow_load:
      world_.host().slow_loads_until = now + while_long;
      if (worker) worker->kill_from_outside();
      return;
    case Fault::all_lanes:
      for (const auto& each : world_.host().alive())
        each->kill_from_outside();
      mark(fault);
      return;
    case Fault::actor_dies:
      if (actors_killed_ < kActorDeathsMax) {
        if (auto role = world_.kill_actor(chance_)) {
          ++actors_killed_;
          world_.say("actor_dies: " + *role);
          mark(fault);
        }
      }
      return;
    case Fault::session_dies:
      if (world_.kill_session(chance_)) mark(fault);
      return;
    case Fault::front_stall:
      world_.say("front_stall");
      world_.leap(chance_.duration(200ms, 4s));
      mark(fault);
      return;
    default:
      return;  // clients bring these themselves
  }
}

void Director::heal() {
  healed_ = true;
  SimHost& host = world_.host();
  host.no_spawns_until = host.slow_loads_until = TimePoint{};
  for (const auto& worker : host.alive())
    worker->heal();
}

}  // namespace sluice::sim
