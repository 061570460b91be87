// The CAF ids of all messages of the front, listed once; what they say is in
//   request_messages.h   a request's session, its client and admission
//   work_messages.h      session → queue → batcher → executor, and back to the session
//   lane_messages.h      executor, breaker, prober, operator and worker
//   pulse_messages.h     the pulse and everybody
// Handing work over follows one rule (hand_over.h): first the lease, then the message.
#pragma once

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/type_id.hpp>

// Append only: ids are positions.
#define SLUICE_MESSAGES(X) \
  X(Submit)                \
  X(Ended)                 \
  X(Register)              \
  X(Refused)               \
  X(DeadlinePassed)        \
  X(Attend)                \
  X(TryAgain)              \
  X(ClientGone)            \
  X(ClientWritable)        \
  X(Enqueue)               \
  X(Drop)                  \
  X(Pull)                  \
  X(Batch)                 \
  X(Assign)                \
  X(LaneUp)                \
  X(LaneDown)              \
  X(Released)              \
  X(TokensArrived)         \
  X(Running)               \
  X(SequenceFailed)        \
  X(FromWorker)            \
  X(WorkerGone)            \
  X(StartWorker)           \
  X(PhaseTimeout)          \
  X(RestartWorker)         \
  X(Tick)                  \
  X(EndNow)                \
  X(Cleared)               \
  X(LanePace)              \
  X(LaneLost)              \
  X(Forgive)               \
  X(WatchTick)             \
  X(LaneServes)            \
  X(LaneDied)              \
  X(LaneEvidence)          \
  X(LaneSuspect)           \
  X(LaneGate)              \
  X(ProbeLane)             \
  X(ProbeDone)             \
  X(QuarantineLane)        \
  X(Ping)                  \
  X(Pong)                  \
  X(RestartGently)         \
  X(ReviveLane)            \
  X(ForceOpen)             \
  X(ResetBreaker)          \
  X(LaneDraining)          \
  X(Grant)                 \
  X(StillPaused)           \
  X(SayGate)               \
  X(MakeRoom)              \
  X(Preempted)             \
  X(Shed)                  \
  X(Rank)                  \
  X(Settled)               \
  X(BehindChanged)         \
  X(RequestsInside)        \
  X(KindRefused)           \
  X(ClearLane)             \
  X(Began)

namespace sluice {
#define SLUICE_DECLARE(Message) struct Message;
SLUICE_MESSAGES(SLUICE_DECLARE)
#undef SLUICE_DECLARE
}  // namespace sluice

// Supervision's block ends below +50.
#define SLUICE_ADD_ID(Message) CAF_ADD_TYPE_ID(sluice, (sluice::Message))
CAF_BEGIN_TYPE_ID_BLOCK(sluice, caf::first_custom_type_id + 50)
  SLUICE_MESSAGES(SLUICE_ADD_ID)
CAF_END_TYPE_ID_BLOCK(sluice)
#undef SLUICE_ADD_ID

// Not to be serialised: they carry pointers and stay in this process.
#define SLUICE_ALLOW(Message) CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::Message)
SLUICE_MESSAGES(SLUICE_ALLOW)
#undef SLUICE_ALLOW
