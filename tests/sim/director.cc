#include "tests/sim/director.h"

#include "tests/sim/coverage.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

namespace sluice::sim {

using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kSessionThrowsMax = 2;
/// A place that throws is active in so many of the runs, and fires so often when it is visited
/// (places are visited hundreds of times in a run).
constexpr double kPlaceActive = 0.25;
constexpr double kPlaceFires = 0.02;
/// A place that yields is active in so many of the runs that have preemption.
constexpr double kYieldActive = 0.5;
/// Handlers that are in their middle at once, but for the last: as many as a machine has threads.
constexpr std::uint32_t kHeldUpMax = 3;
/// How often an actor or a client goes while a handler is held up. Between two looks at the same
/// thing is where it matters, and by chance alone it would hardly ever be then.
constexpr double kDeathMeanwhile = 0.05;
constexpr double kClientGoesMeanwhile = 0.05;
/// A worker that serves and is stopped has been replaced after so long.
constexpr Duration kStoppedBound = 2200ms;

/// Faults after which a worker may end, or be killed, as if it were by something that ran in it.
const FaultSet kMayEndAsFromInside = *FaultSet::parse(
    "exit_inside,sticky_late,hang,stop,stop_continue,slow_steps,oom_always,truncated,bit_flip,"
    "reordered,stall_to_front,stall_to_worker");

/// How often a fault strikes in a run that has it.
std::pair<std::uint32_t, std::uint32_t> strikes(Fault fault, const WorldPlan& plan) {
  switch (fault) {
    case Fault::kill_outside:
      return {1, 20};
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
      return {1, plan.actor_deaths};
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

Director::Director(World& world)
    : world_(world),
      chance_(world.seed(), "faults"),
      preemptions_(world.seed(), "preemptions"),
      points_([this](std::string_view place) { return throws(place); }),
      yields_([this](std::string_view place) { preempt(place); }) {
  for (std::size_t i = 0; i < kFaults; ++i) {
    auto fault = static_cast<Fault>(i);
    if (world_.plan().faults.has(fault)) plan(fault);
  }
}

void Director::plan(Fault fault) {
  Chance own(world_.seed(), "fault " + std::string(name_of(fault)));
  auto [least, most] = strikes(fault, world_.plan());
  std::uint64_t count = own.between(least, most);
  for (std::uint64_t i = 0; i < count; ++i) {
    Duration when = own.duration(20ms, world_.plan().fault_time);
    // A stream of its own: the others strike alike if this one is left out.
    Chance chance(own.next(), name_of(fault));
    world_.environment().after(when, Source::fault, [this, fault, chance]() mutable {
      if (!healed_) strike(fault, chance);
    });
  }
}

void Director::strike(Fault fault, Chance& chance) {
  TimePoint now = world_.environment().now();
  Duration while_long = chance.duration(50ms, 3s);
  auto alive = world_.host().alive();
  auto worker = alive.empty() ? nullptr : alive[chance.below(alive.size())];
  auto later = static_cast<std::uint32_t>(chance.between(1, 6));
  if (worker) {
    DeviceOrders& orders = worker->orders();
    Saboteur& saboteur = chance.hit(0.7) ? worker->worker_saboteur() : worker->front_saboteur();
    std::string who =
        "worker " + std::to_string(worker->pid()) + " of lane " + std::to_string(worker->lane());
    world_.say(std::string(name_of(fault)) + ": " + who);
    if (kMayEndAsFromInside.has(fault)) worker->strike();
    switch (fault) {
      case Fault::exit_inside:
        orders.crash_in = later;
        return;
      case Fault::kill_outside:
        worker->kill_from_outside();
        mark(fault);
        return;
      case Fault::stop:
        stop(worker);
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
        orders.oom_rows = static_cast<std::int32_t>(chance.between(1, 4));
        return;
      case Fault::nan_one:
        orders.nan_one = true;
        return;
      case Fault::nan_all:
        orders.nan_all = true;
        return;
      case Fault::bad_token:
        worker->mangle([chance](wire::Tokens& tokens) mutable {
          if (tokens.outputs.empty()) return false;
          auto& output = tokens.outputs[chance.below(tokens.outputs.size())];
          if (output.tokens.empty()) return false;
          output.tokens.back() = chance.hit(0.5) ? 257 : 2'147'483'647;
          mark(Fault::bad_token);
          return true;
        });
        return;
      case Fault::lost_token:
        worker->mangle([chance](wire::Tokens& tokens) mutable {
          if (tokens.outputs.empty()) return false;
          auto place = tokens.outputs.begin() +
                       static_cast<std::ptrdiff_t>(chance.below(tokens.outputs.size()));
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
      case Fault::old_epoch:
        haunt(*worker, chance);
        return;
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
    case Fault::new_weights: {
      std::uint64_t before = std::exchange(world_.host().weights, chance.below(kWeights));
      if (world_.host().weights == before) return;
      mark(fault);
      if (worker && chance.hit(0.8)) worker->kill_from_outside();
      return;
    }
    case Fault::all_lanes:
      for (const auto& each : world_.host().alive())
        each->kill_from_outside();
      mark(fault);
      return;
    case Fault::actor_dies:
      end_actor(chance);
      return;
    case Fault::session_dies:
      if (world_.kill_session(chance)) mark(fault);
      return;
    case Fault::front_stall:
      world_.say("front_stall");
      world_.leap(chance.duration(200ms, 4s));
      mark(fault);
      return;
    default:
      return;  // clients bring these themselves
  }
}

/// A worker says again what it or another has said; or, worse, something wrong about a sequence
/// that runs there, at the right place but under an epoch that is over.
void Director::haunt(SimWorker& worker, Chance& chance) {
  auto& history = world_.host().history;
  if (history.empty() || !worker.serves() || worker.stopped()) return;
  mark(Fault::old_epoch);
  for (auto said = history.rbegin(); said != history.rend(); ++said) {
    if (said->lane != worker.lane()) continue;
    for (const SequenceOutput& output : said->tokens.outputs) {
      if (output.epoch == 0 || output.finish != Finish::none || output.tokens.empty()) continue;
      SequenceOutput ghost;
      ghost.id = output.id;
      ghost.epoch = output.epoch - 1;
      ghost.first_index = output.first_index + static_cast<std::uint32_t>(output.tokens.size());
      ghost.tokens = {'#'};
      if (!output.logprobs.empty()) ghost.logprobs = {output.logprobs.back()};
      worker.say(wire::Tokens{{std::move(ghost)}, 0, 0});
      return;
    }
  }
  worker.say(history[chance.below(history.size())].tokens);
}

void Director::stop(const std::shared_ptr<SimWorker>& worker) {
  worker->stop();
  mark(Fault::stop);
  const FaultSet& faults = world_.plan().faults;
  // A front that stood still itself, lost the actor that watches, or has not heard all of the
  // worker's last words may take longer.
  if (!worker->serves() || faults.has(Fault::front_stall) || faults.has(Fault::actor_dies) ||
      faults.has(Fault::actor_throws) || faults.has(Fault::stall_to_front) ||
      faults.has(Fault::truncated) || faults.has(Fault::bit_flip) || faults.has(Fault::reordered))
    return;
  world_.environment().after(
      kStoppedBound, Source::fault, [this, worker, signals = worker->signals()] {
        if (worker->alive() && worker->signals() == signals)
          world_.complain("worker " + std::to_string(worker->pid()) +
                          " was stopped 2.2 s ago and has not been replaced");
      });
}

bool Director::throws(std::string_view place) {
  if (healed_) return false;
  bool active = Chance(world_.seed(), place).hit(kPlaceActive);
  const FaultSet& faults = world_.plan().faults;
  bool of_session = place.starts_with("session.");
  std::uint32_t& ended = of_session ? sessions_ended_ : actors_ended_;
  Fault fault = of_session ? Fault::session_dies : Fault::actor_throws;
  if (!active || !faults.has(fault) ||
      ended >= (of_session ? kSessionThrowsMax : world_.plan().actor_deaths) ||
      !chance_.hit(kPlaceFires))
    return false;
  ++ended;
  mark(fault);
  world_.say(std::string(name_of(fault)) + ": " + std::string(place));
  return true;
}

void Director::end_actor(Chance& chance) {
  if (actors_ended_ >= world_.plan().actor_deaths) return;
  auto role = world_.kill_actor(chance);
  if (!role) return;
  ++actors_ended_;
  world_.say("actor_dies: " + *role);
  mark(Fault::actor_dies);
}

void Director::preempt(std::string_view place) {
  const WorldPlan& plan = world_.plan();
  if (healed_ || !plan.faults.has(Fault::preempted) || held_up_ >= kHeldUpMax ||
      !Chance(world_.seed(), place).hit(kYieldActive) || !preemptions_.hit(plan.preempted))
    return;
  ++held_up_;
  mark(Fault::preempted);
  if (plan.faults.has(Fault::actor_dies) && preemptions_.hit(kDeathMeanwhile))
    end_actor(preemptions_);
  if (plan.faults.has(Fault::vanish) && preemptions_.hit(kClientGoesMeanwhile) &&
      world_.lose_client(preemptions_))
    mark(Fault::vanish);
  // Mostly for a moment; sometimes until all that others have to do at the time is done; and where
  // much may be late, as long as an actor takes to be started again.
  double how_long = preemptions_.real();
  if (how_long < 0.6) {
    world_.run_others(preemptions_.between32(1, 5), 0ms);
  } else if (how_long < 0.9 || !plan.front_may_be_late()) {
    world_.run_others(preemptions_.between32(5, 60), preemptions_.duration(0ms, 2ms));
  } else {
    world_.run_others(400, preemptions_.duration(1ms, 400ms));
  }
  --held_up_;
}

void Director::heal() {
  healed_ = true;
  SimHost& host = world_.host();
  host.no_spawns_until = host.slow_loads_until = TimePoint{};
  for (const auto& worker : host.alive())
    worker->heal();
}

}  // namespace sluice::sim
