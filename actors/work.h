// What goes from hand to hand: a sequence that asks for a lane. Payloads stay inside the process
// and travel by shared pointers to what never changes; only the executor's link leaves it.
#pragma once

#include "admission/poison_kinds.h"
#include "admission/tenant.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/plan.h"
#include "supervision/fence.h"

#include "scheduling/lane_rooms.h"
#include <caf/actor.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace sluice {

/// One sequence on offer, under one epoch.
struct Work {
  SequenceId id;
  Epoch epoch = 0;
  caf::actor session;                  ///< who owns its truth
  std::shared_ptr<const Fence> fence;  ///< what the session still wants of it; null: any epoch
  std::shared_ptr<const Plan> plan;
  std::shared_ptr<const std::vector<TokenId>> emitted;  ///< null: it has not run yet
  std::uint32_t prompt_logprobs_from = 0;
  bool follows = false;       ///< another choice of its prompt goes before it, which computes that
  std::uint64_t weights = 0;  ///< its request has begun on these and runs on no others; 0: any
  std::uint32_t granted = kNoLimit;  ///< results its reader has room for, in all
  bool resumed = false;              ///< it has had its turn: goes to the front of its class
  bool probe = false;                ///< the prober's golden prompt: passes the breaker's gate
  std::optional<LaneId> avoid;       ///< it failed there by itself: another lane if there is one
  std::uint32_t suspicion = 0;  ///< workers that ended with it; > 0: on trial (admission/poison.h)
  std::uint32_t trial_until = 0;  ///< tokens it must have to be cleared
  std::uint32_t cohort_max = 0;   ///< suspects that may run with it, itself included
  PoisonKinds::Kind kind;         ///< whom it is like (admission/poison_kinds.h)
  bool tries_kind = false;        ///< it runs to show whether its kind still ends workers
  std::uint8_t class_index = 0;
  std::int32_t priority = 0;
  TimePoint arrival;  ///< of the request; kept over epochs
  TimePoint deadline = TimePoint::max();
  std::uint32_t tenant = kNobody;  ///< its number
  std::uint32_t tenant_weight = 1;
  bool core = false;            ///< its tenant may use what is kept for the core API
  bool may_be_shed = false;     ///< if it would come too late, for then it is of no use to anybody
  std::uint32_t preempted = 0;  ///< times that it has given its place on a lane to others
  std::uint32_t expected = 0;   ///< tokens it will probably generate, in all
  Duration cost{};              ///< of a lane's time, as it is counted among those that wait
  Duration run{};               ///< that it will be on a lane
  Duration behind{};            ///< of a lane's time, what waits for its request to end
  bool counted = false;         ///< there, by admission; else the queue does it
  // Set by the queue, or for suspects by the batcher.
  std::optional<LaneId> lane;  ///< it is to run there
  std::uint32_t blocks = 0;    ///< KV blocks reserved for it there
  // Set by the batcher.
  TimePoint ends = TimePoint::max();  ///< when it has probably ended

  /// False: its session has ended, or offers the sequence under a newer epoch. Whoever takes, holds
  /// or passes on such work lets go of it, without a word.
  [[nodiscard]] bool is_wanted() const { return !fence || fence->admits(epoch); }
  [[nodiscard]] LaneRooms::Owner owner() const { return {class_index, core}; }
  /// Results it has given, as `Sequence::reported`: tokens, and positions of the prompt if asked.
  [[nodiscard]] std::uint32_t prompt_reported() const {
    return plan->prompt_logprobs ? std::max(1U, prompt_logprobs_from) : 0U;
  }
  [[nodiscard]] std::uint32_t reported() const {
    return prompt_reported() + (emitted ? static_cast<std::uint32_t>(emitted->size()) : 0U);
  }
  /// Tokens whose keys and values it needs now.
  [[nodiscard]] std::size_t known_tokens() const {
    return plan->prompt.size() + (emitted ? emitted->size() : 0);
  }
  /// Of those, whose rows are computed for it.
  [[nodiscard]] std::size_t rows() const { return follows ? 0 : known_tokens(); }
  /// Its reader has no room for more results: nothing of it is computed now.
  [[nodiscard]] bool is_paused() const { return reported() >= granted; }
  /// What its place takes of a lane, with the blocks it has there.
  [[nodiscard]] LaneRooms::Taken taken() const {
    return {blocks, owner(), is_paused() ? 0 : rows()};
  }
  /// Tokens it will probably still generate.
  [[nodiscard]] std::size_t expected_left() const {
    std::size_t has = emitted ? emitted->size() : 0;
    return expected > has ? expected - has : 1;
  }
  /// Tokens it may still generate.
  [[nodiscard]] std::size_t tokens_left() const {
    std::size_t has = emitted ? emitted->size() : 0;
    return plan->max_tokens > has ? plan->max_tokens - has : 0;
  }
};

}  // namespace sluice
