// The kinds of faults a run can have.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::sim {

enum class Fault : std::uint8_t {
  exit_inside,     ///< the worker crashes in a step
  kill_outside,    ///< somebody kills it
  stop,            ///< SIGSTOP, and nobody continues it
  stop_continue,   ///< SIGSTOP, SIGCONT some time later
  hang,            ///< a step that never ends; heartbeats go on
  slow_steps,      ///< steps twenty times as long, for a while
  sticky_late,     ///< the device is lost, and a later step says so
  oom_once,        ///< one pass finds no memory
  oom_always,      ///< passes over a number of rows find none, until the worker is replaced
  nan_one,         ///< one row's logits are not numbers
  nan_all,         ///< all of a step
  bad_token,       ///< a token outside the vocabulary arrives
  lost_token,      ///< an output is left out
  truncated,       ///< a frame is cut
  bit_flip,        ///< a bit of a frame
  doubled,         ///< a frame comes twice
  reordered,       ///< two frames change places
  old_epoch,       ///< a worker says again what another has said before
  stall_to_front,  ///< the link carries nothing in one direction, for a while
  stall_to_worker,
  spawn_failure,  ///< no process can be started, for a while
  slow_load,      ///< the next workers load ten times as long
  new_weights,    ///< others lie on the disk now
  actor_dies,     ///< an actor of the tree is ended from outside
  actor_throws,   ///< it throws in the middle of its work
  session_dies,   ///< a session does either
  front_stall,    ///< time moves on although actors have mail, or leaps
  vanish,         ///< clients go away
  slow_reader,    ///< clients that read slowly
  poison,         ///< requests that end their worker
  retry_storm,    ///< refused clients ask again at once
  all_lanes,      ///< every worker is killed at once
  preempted,      ///< a handler is held up in its middle, and the others go on
};
inline constexpr std::array<std::string_view, 33> kFaultNames = {
    "exit_inside",   "kill_outside", "stop",        "stop_continue",  "hang",
    "slow_steps",    "sticky_late",  "oom_once",    "oom_always",     "nan_one",
    "nan_all",       "bad_token",    "lost_token",  "truncated",      "bit_flip",
    "doubled",       "reordered",    "old_epoch",   "stall_to_front", "stall_to_worker",
    "spawn_failure", "slow_load",    "new_weights", "actor_dies",     "actor_throws",
    "session_dies",  "front_stall",  "vanish",      "slow_reader",    "poison",
    "retry_storm",   "all_lanes",    "preempted",
};
inline constexpr std::size_t kFaults = kFaultNames.size();

inline std::string_view name_of(Fault fault) {
  return kFaultNames[static_cast<std::size_t>(fault)];
}

class FaultSet {
 public:
  static FaultSet all() {
    FaultSet set;
    set.bits_.set();
    return set;
  }
  /// "stop,hang", "all" or "none"; none if a name is unknown.
  static std::optional<FaultSet> parse(std::string_view names);

  [[nodiscard]] bool has(Fault fault) const { return bits_[static_cast<std::size_t>(fault)]; }
  void set(Fault fault, bool on = true) { bits_[static_cast<std::size_t>(fault)] = on; }
  [[nodiscard]] std::size_t size() const { return bits_.count(); }
  [[nodiscard]] FaultSet operator&(const FaultSet& other) const {
    FaultSet both;
    both.bits_ = bits_ & other.bits_;
    return both;
  }
  bool operator==(const FaultSet&) const = default;

 private:
  std::bitset<kFaults> bits_;
};
/// As `FaultSet::parse` reads it.
std::string to_string(const FaultSet& set);

}  // namespace sluice::sim
