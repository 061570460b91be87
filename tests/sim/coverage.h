// Counts how often rare things happened over all runs of all processes of one command.
#pragma once

#include "tests/sim/fault_kinds.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::sim {

/// What a long run has to have seen; faults are marks, too.
enum class Mark : std::uint8_t {
  first_offer,
  offered_after_holder_lost,
  offered_after_a_pause,
  gave_way,
  waited_for_others,
  offered_after_lane_lost,
  offered_as_retry,
  resumed_with_tokens,
  resumed_choices,
  resumed_with_penalties,
  resumed_with_logprobs,
  resumed_with_stop,
  resumed_sampled,
  refused,
  ended_by_deadline,
  ended_by_client,
  ended_by_error,
  ended_as_poison,
  admission_reborn,
  registered_again,
  claim_taken,
  own_limit_reached,
  shared_limit_reached,
  reserve_kept,
  share_kept,
  claim_never_fits,
  limits_changed,
  lane_quarantined,
  quarantine_left,
  weights_changed,
  ended_with_its_weights,
  worker_blamed,
  worker_not_charged,
  suspected_again,
  breaker_opened,
  breaker_ramped,
  breaker_closed,
  probe_expired,
  actor_restarted,
  stream_paused,
  preempted,
  generation_paused,
  resumed_paused,
  two_models,
  harmless_convicted,
  admission_restarted_often,  ///< more than three times in a run, as those that follow
  queue_restarted_often,
  batcher_restarted_often,
  executor_restarted_often,
  breaker_restarted_often,
  prober_restarted_often,
  pulse_restarted_often,
  lanes_restarted_often,
  scheduling_restarted_often,
  operations_restarted_often,
  lane_parked,  ///< by its supervisor
  ladder_rose,
  ladder_in_survival,
  refused_by_the_ladder,
  answer_degraded,
  went_cheaper,
  chosen_between_classes,  ///< more than one had work for the lane
  chosen_between_tenants,
  chosen_inside_a_tenant,
  passed_for_want_of_room,
  kind_refused,  ///< of requests that end workers
  kind_tried,
  kCount,
};
inline constexpr std::array<std::string_view, static_cast<std::size_t>(Mark::kCount)> kMarkNames = {
    "first_offer",
    "offered_after_holder_lost",
    "offered_after_a_pause",
    "gave_way",
    "waited_for_others",
    "offered_after_lane_lost",
    "offered_as_retry",
    "resumed_with_tokens",
    "resumed_choices",
    "resumed_with_penalties",
    "resumed_with_logprobs",
    "resumed_with_stop",
    "resumed_sampled",
    "refused",
    "ended_by_deadline",
    "ended_by_client",
    "ended_by_error",
    "ended_as_poison",
    "admission_reborn",
    "registered_again",
    "claim_taken",
    "own_limit_reached",
    "shared_limit_reached",
    "reserve_kept",
    "share_kept",
    "claim_never_fits",
    "limits_changed",
    "lane_quarantined",
    "quarantine_left",
    "weights_changed",
    "ended_with_its_weights",
    "worker_blamed",
    "worker_not_charged",
    "suspected_again",
    "breaker_opened",
    "breaker_ramped",
    "breaker_closed",
    "probe_expired",
    "actor_restarted",
    "stream_paused",
    "preempted",
    "generation_paused",
    "resumed_paused",
    "two_models",
    "harmless_convicted",
    "admission_restarted_often",
    "queue_restarted_often",
    "batcher_restarted_often",
    "executor_restarted_often",
    "breaker_restarted_often",
    "prober_restarted_often",
    "pulse_restarted_often",
    "lanes_restarted_often",
    "scheduling_restarted_often",
    "operations_restarted_often",
    "lane_parked",
    "ladder_rose",
    "ladder_in_survival",
    "refused_by_the_ladder",
    "answer_degraded",
    "went_cheaper",
    "chosen_between_classes",
    "chosen_between_tenants",
    "chosen_inside_a_tenant",
    "passed_for_want_of_room",
    "kind_refused",
    "kind_tried",
};

/// Before anything is marked or forked.
void share_coverage();
void mark(Mark mark, std::uint64_t times = 1);
/// The fault took effect.
void mark(Fault fault);
/// A table of all marks, and the names of those that were never hit.
std::string coverage_table();
std::vector<std::string> marks_never_hit();

}  // namespace sluice::sim
