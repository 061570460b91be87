// What an event is made of, said once: names and fields for everyone who writes, reads or hashes
// events.
#pragma once

#include "trace/event.h"

#include <array>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

namespace sluice::trace {

/// An event to be read or to be written.
template <class E, class Body>
concept Either = std::is_same_v<std::remove_const_t<E>, Body>;

// A field that is added to event.h is added here, too; `visit` is called with its name and itself,
// in the order of the declaration.

template <Either<Limits> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane_restarts", event.lane_restarts);
  visit("lane_period", event.lane_period);
  visit("quarantine_first", event.quarantine_first);
  visit("quarantine_longest", event.quarantine_longest);
  visit("start_spacing", event.start_spacing);
  visit("retries_min", event.retries_min);
  visit("retries_share", event.retries_share);
  visit("attempts", event.attempts);
  visit("preemptions", event.preemptions);
  visit("incarnations_per_poison", event.incarnations_per_poison);
  visit("ladder_dwell", event.ladder_dwell);
  visit("deadline_grace", event.deadline_grace);
  visit("register_time", event.register_time);
  visit("skew", event.skew);
  visit("requests", event.requests);
  visit("tokens", event.tokens);
  visit("rate", event.rate.units);
  visit("rate_period", event.rate.period);
  visit("rate_burst", event.rate.burst);
  visit("core_kept", event.core_kept);
  visit("low_kept", event.low_kept);
  visit("share_kept", event.share_kept);
  visit("lane_core_kept", event.lane_core_kept);
  visit("lane_low_kept", event.lane_low_kept);
  visit("quantum", event.quantum);
  visit("ageing_realtime", event.ageing[0]);
  visit("ageing_batch", event.ageing[1]);
  visit("ageing_low", event.ageing[2]);
}

template <Either<TenantLimits> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("tenant", event.tenant);
  visit("requests", event.requests.units);
  visit("requests_period", event.requests.period);
  visit("requests_burst", event.requests.burst);
  visit("tokens", event.tokens.units);
  visit("tokens_period", event.tokens.period);
  visit("tokens_burst", event.tokens.burst);
  visit("in_flight_max", event.in_flight_max);
  visit("core", event.core);
  visit("weight", event.weight);
}
template <Either<Claimed> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("tenant", event.tenant);
  visit("decided", event.decided);
  visit("low", event.is_low);
  visit("tokens", event.tokens);
  visit("answer", event.answer);
}
template <Either<Settled> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("used_tokens", event.used_tokens);
}

template <Either<Accepted> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("sequences", event.sequences);
  visit("tokens", event.tokens);
  visit("deadline", event.deadline);
}
template <Either<Refused> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("reason", event.reason);
}
template <Either<Ended> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("outcome", event.outcome);
}
template <Either<AdmissionBorn> E, class Visit>
void each_field(Visit&&, E&) {}
template <Either<Registered> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("sequences", event.sequences);
  visit("tokens", event.tokens);
}
template <Either<Released> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
}
template <Either<Offered> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("why", event.why);
  visit("replaces", event.replaces);
  visit("attempt", event.attempt);
  visit("retries_active", event.retries_active);
  visit("running", event.running);
}
template <Either<QueueBorn> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("model", event.model);
}
template <Either<Queued> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("model", event.model);
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("class", event.class_index);
  visit("tenant", event.tenant);
  visit("tenant_weight", event.tenant_weight);
  visit("arrival", event.arrival);
  visit("priority", event.priority);
  visit("resumed", event.resumed);
  visit("cost", event.cost);
  visit("tokens", event.tokens);
  visit("behind", event.behind);
  visit("core", event.core);
}
template <Either<Picked> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("lane", event.lane);
  visit("round", event.round);
  visit("reserve", event.reserve);
}
template <Either<Passed> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("round", event.round);
  visit("whole_class", event.whole_class);
}
template <Either<Unqueued> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
}
template <Either<Emitted> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("first", event.first);
  visit("ids", event.ids);
  visit("finished", event.finished);
}
template <Either<Granted> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("tokens", event.tokens);
}
template <Either<Read> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("request", event.request);
  visit("choice", event.choice);
  visit("text", event.text);
  visit("finished", event.finished);
}
template <Either<WorkerStarted> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("worker", event.worker);
}
template <Either<LaneReady> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("worker", event.worker);
  visit("slots", event.slots);
  visit("blocks", event.blocks);
  visit("fingerprint", event.fingerprint);
}
template <Either<WorkerLost> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("worker", event.worker);
  visit("blamed", event.blamed);
  visit("charged", event.charged);
  visit("why", event.why);
}
template <Either<Quarantined> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("why", event.why);
  visit("trial_at", event.trial_at);
}
template <Either<Revived> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
}
template <Either<Started> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("worker", event.worker);
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("emitted", event.emitted);
  visit("blocks", event.blocks);
  visit("deadline", event.deadline);
  visit("probe", event.probe);
  visit("trial", event.trial);
  visit("class", event.class_index);
  visit("core", event.core);
}
template <Either<Cleared> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
  visit("tokens", event.tokens);
}
template <Either<Stopped> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("sequence", event.sequence);
  visit("epoch", event.epoch);
}
template <Either<Gate> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("generation", event.generation);
  visit("weight", event.weight);
  visit("permits", event.permits);
  visit("closed", event.closed);
}
template <Either<Probe> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("number", event.number);
  visit("step", event.step);
}
template <Either<Suspected> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("culprit", event.culprit);
  visit("count", event.count);
  visit("alone", event.alone);
  visit("trial_until", event.trial_until);
}
template <Either<Presumed> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("trial_until", event.trial_until);
}
template <Either<Forgiven> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("lane", event.lane);
  visit("worker", event.worker);
}
template <Either<Convicted> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("sequence", event.sequence);
  visit("fingerprint", event.fingerprint);
}
template <Either<Ladder> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("level", event.level);
}
template <Either<Restarted> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("path", event.path);
}
template <Either<Healing> E, class Visit>
void each_field(Visit&&, E&) {}
template <Either<End> E, class Visit>
void each_field(Visit&& visit, E& event) {
  visit("settled", event.settled);
}

/// The names of the events, in the order of the alternatives of Body.
inline constexpr std::array<std::string_view, std::variant_size_v<Body>> kNames = {
    "Limits",     "Accepted",    "Refused",   "Ended",        "AdmissionBorn", "Registered",
    "Released",   "Offered",     "Emitted",   "Read",         "WorkerStarted", "LaneReady",
    "WorkerLost", "Quarantined", "Revived",   "Started",      "Cleared",       "Stopped",
    "Gate",       "Probe",       "Suspected", "Convicted",    "Ladder",        "Restarted",
    "Healing",    "End",         "Granted",   "TenantLimits", "Claimed",       "Settled",
    "QueueBorn",  "Queued",      "Picked",    "Passed",       "Unqueued",      "Presumed",
    "Forgiven",
};

inline constexpr std::array<std::string_view, 6> kOutcomes = {
    "completed", "cancelled", "deadline", "shed", "poison", "error"};
inline constexpr std::array<std::string_view, 6> kWhys = {
    "first", "holder_lost", "lane_lost", "retry", "reader_back", "preempted"};
inline constexpr std::array<std::string_view, 6> kAnswers = {
    "taken", "own_limit", "shared_limit", "reserve", "share", "never"};
inline constexpr std::array<std::string_view, 3> kProbeSteps = {"leased", "returned", "expired"};

inline std::string_view name_of(const Body& body) {
  return kNames[body.index()];
}
inline std::string_view name_of(Outcome outcome) {
  return kOutcomes[static_cast<std::size_t>(outcome)];
}
inline std::string_view name_of(Why why) {
  return kWhys[static_cast<std::size_t>(why)];
}
inline std::string_view name_of(Claimed::Answer answer) {
  return kAnswers[static_cast<std::size_t>(answer)];
}
inline std::string_view name_of(Probe::Step step) {
  return kProbeSteps[static_cast<std::size_t>(step)];
}

}  // namespace sluice::trace
