// What the end of a worker means: for its lane, for its breaker, and for what ran in it.
#pragma once

#include "actors/lane_messages.h"
#include "actors/lane_status.h"

#include <cstdint>

namespace sluice {

/// The judgement of one end.
struct EndVerdict {
  bool blames = false;   ///< what ran there is suspect
  bool charged = false;  ///< it counts against the lane's budget
  LaneDied::Kind kind = LaneDied::Kind::fatal;
};

///   served       the worker had begun to serve
///   convicts     what ran there alone is convicted by this end, if it comes from inside
inline EndVerdict judge_end(EndCause cause, bool served, bool convicts) {
  using Kind = LaneDied::Kind;
  switch (cause) {
    case EndCause::inside:
      // What a convicted request did is not the lane's fault. Before it served nothing ran.
      if (served && convicts) return {true, false, Kind::poison};
      return {served, true, Kind::fatal};
    case EndCause::link:
      return {false, true, Kind::fatal};
    case EndCause::outside:
      return {false, false, Kind::outside};
    case EndCause::planned:
      return {false, true, Kind::planned};
    case EndCause::recycled:
      return {false, false, Kind::planned};
  }
  return {};
}

}  // namespace sluice
