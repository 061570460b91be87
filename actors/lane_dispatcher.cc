#include "actors/lane_dispatcher.h"

#include "base/fault_point.h"
#include "base/yield_point.h"

#include <caf/send.hpp>

#include <algorithm>

namespace sluice {

LaneDispatcher::LaneDispatcher(std::shared_ptr<Front> front,
                               std::shared_ptr<ServedModel> model,
                               LaneId lane,
                               Holder holder,
                               LaneHealth& health)
    : front_(std::move(front)),
      model_(std::move(model)),
      lane_(lane),
      holder_(std::move(holder)),
      health_(health),
      work_(front_, lane, holder_.leases),
      load_(front_->options.stream_pace) {}

// --- the worker ---------------------------------------------------------------------------------

void LaneDispatcher::serve(const Worker& worker) {
  worker_ = worker;
  load_.begin(worker.credit);
  told_ = load_.limits();
}

void LaneDispatcher::stop() {
  worker_.link = nullptr;
  held_back_.clear();
}

void LaneDispatcher::lose(const EndVerdict& verdict) {
  if (verdict.blames) blame_kinds(verdict.kind == EndVerdict::Kind::poison);
  work_.lose(worker_.number, verdict.blames, holder_.role);
}

/// Of whoever is convicted its session says so.
void LaneDispatcher::blame_kinds(bool convicts) {
  if (work_.users() == 0) return;
  TimePoint now = front_->clock->now();
  model_->kinds.ended(now);
  if (convicts) return;
  auto kind = work_.kind_on_trial(model_->kinds.storms(now) ? 1 : 2);
  if (kind) front_->blame_kind(*model_, *kind);
}

void LaneDispatcher::forget() {
  stop();
  work_.forget();
}

void LaneDispatcher::open_gate(const LaneGate& gate) {
  gate_ = gate;
  front_->record(trace::Gate{gate.lane, gate.generation, gate.weight, gate.permits, gate.closed});
  if (gate.weight <= 0) return_held_back();
}

void LaneDispatcher::close_gate() {
  if (gate_.weight <= 0) return;
  gate_.weight = 0;
  gate_.closed = false;
  front_->record(trace::Gate{lane_, gate_.generation, 0, 0, false});
}

// --- work comes ---------------------------------------------------------------------------------

void LaneDispatcher::assign(const std::vector<Work>& works) {
  FAULT_POINT("executor.assign");
  for (const Work& work : works)
    assign(work);
}

void LaneDispatcher::assign(const Work& work) {
  auto known = work_.epoch_of(work.id);
  if (known == work.epoch) return;  // given twice, as its giver was not sure
  bool holds = holder_.leases->holds(work.id, work.epoch);
  YIELD_POINT("executor.held");
  if (!holds || !work.is_wanted()) {
    give_back(work);
    return;
  }
  if (!takes(work, known.has_value())) {
    // Given before it was known that the lane takes less: back to the session at once.
    holder_.leases->remove(work.id, work.epoch);
    if (!work.probe) tell_batcher(Released{lane_, {{work.id, work.epoch}}, true});
    caf::anon_send(work.session, HolderLost{work.id, work.epoch, holder_.role});
    return;
  }
  TimePoint now = front_->clock->now();
  if (work.deadline <= now) {
    // Too late to begin; admission says so to the session, too, at its next tick.
    give_back(work);
    caf::anon_send(
        work.session,
        SequenceFailed{
            work.id, work.epoch, {ErrorCode::deadline_exceeded, "its deadline has passed"}});
    return;
  }
  caf::anon_send(work.session, Running{work.id, work.epoch, lane_});
  if (!work.probe) give_a_probes_place();
  // One that is to run alone is convicted by that, so it really has to: nothing that was taken
  // from the worker may still be there.
  bool alone = work.suspicion >= 2;
  if (known) {
    if (alone || !work_.find(work.id, *known)->started) cancel(work.id, *known);
    release(work.id, *known, work.probe);  // the worker does the newer one instead
  }
  work_.take(work);
  if (alone && !health_.heard_all())
    held_back_.push_back(work);
  else
    start(work);
}

/// Whether the lane may take this: probes always, users' work as far as the gate is open, and
/// nothing that has begun on other weights.
///   known  an older epoch of it runs here and would make room
bool LaneDispatcher::takes(const Work& work, bool known) const {
  if (!serves()) return false;
  if (work.probe) return true;
  if (work.weights != 0 && work.weights != worker_.weights) return false;
  std::uint32_t others = work_.users() - (known ? 1 : 0);
  return gate_.weight > 0 && others < gate_.permits;
}

/// A probe stands in no user's way: where all places are taken it gives its own back, and its
/// prober sends it again later.
void LaneDispatcher::give_a_probes_place() {
  auto probe = work_.size() < worker_.credit.slots ? std::nullopt : work_.probe();
  if (!probe) return;
  Epoch epoch = *work_.epoch_of(*probe);
  cancel(*probe, epoch);
  caf::anon_send(
      work_.find(*probe, epoch)->session,
      SequenceFailed{*probe, epoch, {ErrorCode::resource_exhausted, "a user needs its place"}});
  work_.let_go(*probe);
}

/// Tells the worker of what it is given.
void LaneDispatcher::start(const Work& work) {
  wire::Start start;
  start.id = work.id;
  start.epoch = work.epoch;
  start.plan = *work.plan;
  if (work.emitted) start.emitted = *work.emitted;
  start.prompt_logprobs_from = work.prompt_logprobs_from;
  start.urgency = work.class_index;
  start.granted = work_.find(work.id, work.epoch)->granted;
  if (work.deadline != TimePoint::max()) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(work.deadline - front_->clock->now());
    start.time_left_ms = std::max<std::int64_t>(left.count(), 1);
  }
  work_.start(work, worker_.number);
  send(std::move(start), CommandWatch::Command::work);
}

void LaneDispatcher::start_held_back() {
  for (const Work& work : std::vector<Work>(held_back_)) {
    if (!work.is_wanted()) {
      let_go(work.id);
    } else if (work.deadline > front_->clock->now()) {  // else its session is about to end it
      forget_held_back(work.id, work.epoch);
      start(work);
    }
  }
}

/// The gate is shut: what has not begun is not to begin here.
void LaneDispatcher::return_held_back() {
  for (const Work& work : std::exchange(held_back_, {})) {
    work_.let_go(work.id);
    release(work.id, work.epoch, false);
    caf::anon_send(work.session, HolderLost{work.id, work.epoch, holder_.role});
  }
}

/// False: it is not kept back.
bool LaneDispatcher::forget_held_back(SequenceId id, Epoch epoch) {
  return std::erase_if(held_back_,
                       [&](const Work& work) { return work.id == id && work.epoch == epoch; }) > 0;
}

void LaneDispatcher::grant(const Grant& grant) {
  LaneWork::Held* held = work_.find(grant.id, grant.epoch);
  if (!held || grant.granted <= held->granted) return;
  held->granted = grant.granted;
  if (!held->started) return;
  send(wire::Grant{grant.id, grant.epoch, grant.granted}, CommandWatch::Command::work);
}

// --- results ------------------------------------------------------------------------------------

void LaneDispatcher::tokens(wire::Tokens& tokens) {
  Duration duration = std::chrono::microseconds(tokens.step_us);
  health_.stepped(tokens.rows, duration, front_->clock->now());
  if (tokens.rows > 0) note_step(tokens);
  std::uint64_t count = 0;
  for (const SequenceOutput& output : tokens.outputs)
    count += output.tokens.size();
  load_.step(duration, count);
  std::vector<BatchAssembly::Place> released;
  std::vector<BatchAssembly::Place> began;
  std::vector<SequenceId> cleared;
  for (SequenceOutput& output : tokens.outputs) {
    SequenceId id = output.id;
    LaneWork::Held* held = work_.find(id, output.epoch);
    // Of an older epoch, or dropped while the frame was on its way.
    if (!held || !held->started) continue;
    if (!held->is_wanted()) {
      let_go(id);
      continue;
    }
    if (std::string why = health_.impossible(output.tokens); !why.empty()) {
      cancel(id, output.epoch);
      fail(id, *held, {ErrorCode::data_loss, why});
      continue;
    }
    bool finished = output.finish != Finish::none;
    bool begins = LaneWork::count(*held, output);
    if (work_.clear(id, *held, output.first_index + output.tokens.size())) cleared.push_back(id);
    Epoch epoch = held->epoch;
    caf::anon_send(held->session,
                   TokensArrived{lane_, worker_.number, worker_.weights, std::move(output)});
    if (!finished) {
      if (begins && !held->probe) began.emplace_back(id, epoch);
      continue;
    }
    if (!held->probe) {
      health_.finished();
      released.emplace_back(id, epoch);
    }
    work_.let_go(id);
  }
  if (!cleared.empty()) tell_batcher(Cleared{lane_, std::move(cleared)});
  if (!began.empty()) tell_batcher(Began{lane_, std::move(began)});
  if (!released.empty()) tell_batcher(Released{lane_, std::move(released)});
}

/// For the ladder: what a token takes where the lane is used by half and more. Of fewer sequences
/// none could be let go to make it faster.
void LaneDispatcher::note_step(const wire::Tokens& tokens) const {
  if (!front_->options.degradation || 2 * tokens.outputs.size() < worker_.credit.slots) return;
  using Seconds = std::chrono::duration<double>;
  Duration alone = health_.step_times().predicted(1).value_or(Duration::zero());
  Duration objective = load_.objective(alone);
  if (objective == Duration::zero()) return;
  front_->steps.add(std::chrono::microseconds(tokens.step_us) / Seconds(objective),
                    front_->clock->now());
}

void LaneDispatcher::failed(const wire::Failed& failed) {
  LaneWork::Held* held = work_.find(failed.id, failed.epoch);
  if (held && held->started) fail(failed.id, *held, {failed.code, failed.message});
}

/// Only that sequence: the others of its batch are sound.
void LaneDispatcher::fail(SequenceId id, const LaneWork::Held& held, Error why) {
  health_.failed(why.code, front_->clock->now());
  release(id, held.epoch, held.probe);
  caf::anon_send(held.session, SequenceFailed{id, held.epoch, std::move(why)});
  work_.let_go(id);
}

void LaneDispatcher::beat(std::uint32_t blocks_free, std::uint64_t preemptions) {
  if (!serves()) return;
  if (health_.heard_all()) start_held_back();
  load_.look(blocks_free, preemptions, work_);
  preempt(load_.relieve(work_, front_->clock->now()));
  if (load_.limits() != told_) tell_pace();
}

// --- work goes ----------------------------------------------------------------------------------

void LaneDispatcher::drop(const Drop& drop) {
  auto epoch = work_.epoch_of(drop.id);
  if (epoch && *epoch <= drop.epoch) let_go(drop.id);
}

void LaneDispatcher::drop_unwanted() {
  for (SequenceId id : work_.unwanted())
    let_go(id);
}

void LaneDispatcher::make_room(const MakeRoom& make) {
  if (make.lane == lane_ && serves()) preempt(load_.make_room(work_, make.wish));
}

void LaneDispatcher::clear(const ClearLane& clear) {
  if (clear.lane != lane_ || !serves()) return;
  for (const auto& [id, epoch, session] : work_.beside_trials()) {
    let_go(id);
    caf::anon_send(session, HolderLost{id, epoch, holder_.role});
  }
}

/// Their sessions offer them again; what they had computed is computed again.
void LaneDispatcher::preempt(const std::vector<SequenceId>& victims) {
  for (SequenceId id : victims) {
    Epoch epoch = *work_.epoch_of(id);
    caf::actor session = work_.find(id, epoch)->session;
    let_go(id);
    caf::anon_send(session, Preempted{id, epoch, lane_});
  }
}

/// Nobody wants it any more: its worker stops with it, its place is free.
void LaneDispatcher::let_go(SequenceId id) {
  Epoch epoch = *work_.epoch_of(id);
  cancel(id, epoch);
  bool probe = work_.find(id, epoch)->probe;
  work_.let_go(id);
  release(id, epoch, probe);
}

/// It was not taken.
void LaneDispatcher::give_back(const Work& work) {
  holder_.leases->remove(work.id, work.epoch);
  release(work.id, work.epoch, work.probe);
}

/// The batcher has its place back. Of probes it knows nothing.
void LaneDispatcher::release(SequenceId id, Epoch epoch, bool probe) {
  if (!probe) tell_batcher(Released{lane_, {{id, epoch}}});
}

void LaneDispatcher::cancel(SequenceId id, Epoch epoch) {
  if (forget_held_back(id, epoch)) return;
  send(wire::Cancel{id, epoch}, CommandWatch::Command::end);
}

void LaneDispatcher::send(wire::ToWorker message, CommandWatch::Command command) {
  if (!serves()) return;
  health_.sent(command);
  worker_.link->send(std::move(message));
}

// --- what the batcher hears ---------------------------------------------------------------------

void LaneDispatcher::announce() {
  auto batcher = front_->tree->registry().find(model_->batcher.role);
  if (!batcher) return;
  auto now = std::make_pair(batcher->incarnation, worker_.number);
  if (std::exchange(announced_, now) == now) return;
  caf::anon_send(
      batcher->handle,
      LaneUp{lane_, worker_.credit, work_.of_users(), work_.on_trial(), worker_.weights});
}

void LaneDispatcher::update_pace() {
  if (auto alone = health_.step_times().predicted(1)) load_.update(work_, *alone);
  tell_pace();
}

void LaneDispatcher::tell_pace() {
  auto pace = health_.step_times().pace(worker_.credit.slots).value_or(StepTimes::Pace{});
  told_ = load_.limits();
  tell_batcher(LanePace{lane_, pace.base_us, pace.per_row_us, told_.sequences, told_.closed_from});
}

}  // namespace sluice
