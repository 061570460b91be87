// Why a worker ends, and what that means: for its lane, for its breaker, and for what ran in it.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace sluice {

/// Why a worker ends.
enum class EndCause : std::uint8_t {
  inside,    ///< maybe by something that ran in it: a crash, a hang
  link,      ///< what it said was damaged, or it did not start: no request can cause that
  outside,   ///< somebody's signal, to end it or to stop it
  planned,   ///< we were asked to replace it, by somebody whom the lane failed
  recycled,  ///< we replace it, and the lane has not failed anybody
};
inline constexpr std::array<std::string_view, 5> kEndCauseNames{
    "inside", "link", "outside", "planned", "recycled"};

/// The judgement of one end.
struct EndVerdict {
  /// For the lane's breaker.
  enum class Kind : std::uint8_t { fatal, poison, planned, outside };

  bool blames = false;   ///< what ran there is suspect
  bool charged = false;  ///< it counts against the lane's budget
  Kind kind = Kind::fatal;
};

///   served       the worker had begun to serve
///   convicts     what ran there alone is convicted by this end, if it comes from inside
inline EndVerdict judge_end(EndCause cause, bool served, bool convicts) {
  using Kind = EndVerdict::Kind;
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
