// Whether a worker has got what it was told, by what its heartbeats say.
#pragma once

#include "base/clock.h"

#include <cstddef>
#include <cstdint>
#include <string>

namespace sluice {

/// Follows the commands to one worker. When the link has lost or keeps one, nobody says so: the
/// worker's heartbeats do not fit what it was given, one after the other. Not thread-safe; no clock
/// of its own. Owner: LaneHealth.
class CommandWatch {
 public:
  /// Any link may stall for so long; and it takes so many beats, one each 100 ms, for beats may be
  /// late.
  static constexpr Duration kBorne = std::chrono::seconds(2);
  static constexpr std::uint32_t kBeatsBorne = 16;

  enum class Command : std::uint8_t {
    work,  ///< gives it something to do
    end,   ///< takes something from it
  };
  /// What a heartbeat says.
  struct Beat {
    std::uint64_t steps = 0;      ///< completed
    std::uint64_t commands = 0;   ///< carried out
    std::uint32_t computing = 0;  ///< sequences that run, or wait for room
    std::uint32_t paused = 0;     ///< sequences that may not go on
    bool in_step = false;
  };
  /// What the worker was given and was not told to end.
  struct Given {
    std::size_t sequences = 0;
    bool may_run = false;  ///< one of a user has something to do
  };

  /// It is another worker, and has been told nothing.
  void begin() { *this = {}; }
  void sent(Command command);
  /// A heartbeat came. What is wrong with the worker, as the rest of a sentence; empty: nothing.
  [[nodiscard]] std::string told(const Beat& beat, const Given& given, TimePoint now);
  /// The worker has carried out all that was sent to it, as it said last: what it was told to end
  /// has ended.
  [[nodiscard]] bool heard_all() const { return heard_ == sent_; }

 private:
  /// Heartbeats in a row that are odd in the same way.
  class Odd {
   public:
    /// It was told something: what it said before means nothing.
    void begin() { beats_ = 0; }
    /// True: for too long.
    bool told(bool odd, TimePoint now);

   private:
    TimePoint since_{};        ///< when the first of `beats_` came
    std::uint32_t beats_ = 0;  ///< in a row, all odd
  };

  std::uint64_t sent_ = 0;
  std::uint64_t heard_ = 0;
  std::uint64_t steps_ = 0;  ///< as the last beat said
  Odd resting_;              ///< although it has something to do
  Odd keeping_;              ///< more than it has
  Odd unheard_;              ///< although it reads
};

}  // namespace sluice
