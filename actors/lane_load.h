// What a lane may run at once, and who gives way when that is too much.
#pragma once

#include "actors/lane_work.h"
#include "base/clock.h"

#include "scheduling/batch_assembly.h"
#include "scheduling/kv_pressure.h"
#include "scheduling/preemption.h"
#include "scheduling/stream_pace_limit.h"

#include <cstdint>
#include <vector>

namespace sluice {

/// The measures of one lane, fed by what its worker says. It only names who is to go; the lane's
/// dispatcher, which owns it, lets them go.
class LaneLoad {
 public:
  explicit LaneLoad(StreamPaceLimit::Options options) : limit_(options) {}

  /// What the batcher is told of it.
  struct Limits {
    std::uint32_t sequences = 0;
    std::uint8_t closed_from = LaneRooms::kOpenToAll;
    bool operator==(const Limits&) const = default;
  };

  /// A worker serves and grants this.
  void begin(BatchAssembly::Credit credit);
  /// It has done a step that took so long and gave so many tokens.
  void step(Duration duration, std::uint64_t tokens);
  /// A heartbeat.
  ///   preemptions  of the engine, since the worker serves
  void look(std::uint32_t blocks_free, std::uint64_t preemptions, const LaneWork& work);
  /// About once a second.
  ///   alone  what a step of one sequence takes
  void update(const LaneWork& work, Duration alone) { limit_.update(work.users(), alone); }

  [[nodiscard]] Limits limits() const { return {limit_.limit(), closed_from_}; }
  /// As `StreamPaceLimit::objective`.
  [[nodiscard]] Duration objective(Duration alone) const { return limit_.objective(alone); }
  /// As `StreamPaceLimit::pace`.
  [[nodiscard]] Duration pace() const { return limit_.pace(); }

  /// Who gives way to the work that wants room. Their cost is charged to what the lane may compute
  /// again.
  std::vector<SequenceId> make_room(const LaneWork& work, Preemption::Wish wish);
  /// Who gives way to what runs beside it, because blocks run short.
  std::vector<SequenceId> relieve(const LaneWork& work, TimePoint now);

 private:
  /// Of those that the wish makes victims, the first ones, until they hold `excess` blocks or are
  /// all. Their cost is charged.
  std::vector<SequenceId> choose(const LaneWork& work,
                                 const Preemption::Wish& wish,
                                 std::uint32_t excess);

  BatchAssembly::Credit credit_;
  StreamPaceLimit limit_;
  KvPressure kv_;
  RecomputeBudget budget_;
  std::uint64_t preemptions_ = 0;
  std::uint8_t closed_from_ = LaneRooms::kOpenToAll;
  TimePoint relieved_{};  ///< last
};

}  // namespace sluice
