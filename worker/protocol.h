// What front and worker say to each other over the link: one page. START HERE.
//
// Each message is one msgpack array [type, fields...] in a frame of its own (`link_codec.h`).
// Readers ignore extra trailing elements; unknown types, wrong types and broken limits end the
// link.
#pragma once

#include "base/ids.h"
#include "base/plan.h"
#include "base/result.h"
#include "engine/engine.h"
#include "models/checkpoint/file_digest.h"
#include "models/load_progress.h"

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace sluice::wire {

inline constexpr std::uint32_t kProtocolVersion = 10;
/// Longest payload in bytes, checked before anything is allocated.
inline constexpr std::size_t kFrameBytesMax = std::size_t{64} << 20;

// --- front to worker ---------------------------------------------------------------------------

/// Run a sequence. The deadline travels as time left, because clocks of processes are not compared.
struct Start {
  SequenceId id;
  Epoch epoch = 0;
  Plan plan;
  std::vector<TokenId> emitted;
  std::uint32_t prompt_logprobs_from = 0;
  std::int64_t time_left_ms = 0;  ///< 0: no deadline
  std::uint8_t urgency = 0;
  std::uint32_t granted = kNoLimit;  ///< results it may give in all before it pauses
};
/// The reader of a sequence has room for so many results in all (`StartSequence::granted`).
struct Grant {
  SequenceId id;
  Epoch epoch = 0;
  std::uint32_t granted = 0;
};
struct Cancel {
  SequenceId id;
  Epoch epoch = 0;
};
/// End after what runs, or at once.
struct Stop {
  bool now = false;
};
using ToWorker = std::variant<Start, Cancel, Stop, Grant>;

// --- worker to front ---------------------------------------------------------------------------

struct Hello {
  std::uint32_t protocol = kProtocolVersion;
  std::int64_t pid = 0;
  std::string version;
};
/// Where start-up stands; each phase has its own deadline on the front's side.
struct Phase {
  enum class Name : std::uint8_t { load, warm_up, self_test };
  Name name = Name::load;
};
/// The worker serves. `slots` and `blocks` are the credit it grants: nobody sends beyond.
struct Ready {
  std::uint32_t slots = 0;
  std::uint32_t blocks = 0;
  std::uint32_t block_tokens = 0;
  std::uint32_t step_rows = 0;    ///< that a step computes at most
  std::uint64_t fingerprint = 0;  ///< equal means equal bits
  std::uint64_t golden = 0;       ///< hash of the self-test's tokens
  std::string architecture;
  std::string level;  ///< which kernels compute
  std::int32_t vocabulary = 0;
  std::int32_t context = 0;
  std::uint64_t tokenizer = 0;  ///< hash of tokenizer.json beside the weights; 0: there is none
  std::vector<FileDigest> files = {};  ///< of the weights, for the worker that loads them next
};
/// The outputs of one step; none after a step that only computed a part of a prompt.
struct Tokens {
  std::vector<SequenceOutput> outputs;
  std::uint32_t rows = 0;    ///< rows the step computed
  std::int64_t step_us = 0;  ///< how long it took, by the worker's clock
};
/// One sequence cannot go on.
struct Failed {
  SequenceId id;
  Epoch epoch = 0;
  ErrorCode code = ErrorCode::internal;
  std::string message;
};
/// Sent every 50 ms by a thread of its own; every 100 ms by a worker that rests.
struct Heartbeat {
  std::uint64_t steps = 0;  ///< steps completed
  std::uint32_t running = 0;
  std::uint32_t waiting = 0;
  std::uint32_t blocks_free = 0;
  std::uint64_t preemptions = 0;
  std::int64_t step_age_ms = 0;       ///< how long the current step has been running; 0: none runs
  std::uint32_t step_rows = 0;        ///< rows of the step that runs; 0: none runs
  std::uint32_t descriptors = 0;      ///< open in the process; 0: not known, as before it serves
  std::uint32_t threads = 0;          ///< of the process; 0: not known
  LoadProgress load = {};             ///< of the model's weights, since the start
  std::uint32_t compute_threads = 0;  ///< that take part in steps now; 0: none of ours compute
  /// Of the latest quarter of a second of computing: waiting for a thread, or without a core.
  std::uint32_t compute_lost_permille = 0;
  std::uint32_t paused = 0;    ///< sequences that have given all that was granted
  std::uint64_t commands = 0;  ///< carried out since it serves, of those that were sent to it
};
/// Last words before an orderly exit or a failed start.
struct Bye {
  ErrorCode code = ErrorCode::none;
  std::string message;
};
using ToFront = std::variant<Hello, Phase, Ready, Tokens, Failed, Heartbeat, Bye>;

/// Appends the message's payload to `bytes`: what stands in its frame.
void encode(const ToWorker& message, std::string& bytes);
void encode(const ToFront& message, std::string& bytes);

/// Reads the payload of one frame.
/// Errors: data_loss, naming the field. Allocates no more than a small multiple of the payload's
/// size.
Result<ToWorker> decode_to_worker(std::string_view payload);
Result<ToFront> decode_to_front(std::string_view payload);

}  // namespace sluice::wire
