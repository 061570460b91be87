// What became of the requests of a run, by the second in which each was meant to be sent.
#pragma once

#include "bench/overload/latency_histogram.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::overload {

/// How a request ended. Each that was offered ends exactly once.
enum class Outcome : std::uint8_t {
  answered,          ///< completely, within its objective or not
  refused,           ///< 429 or 503, and its client did not ask again
  failed,            ///< another status, an error in its stream, or an answer that is none
  timed_out,         ///< its client gave up
  connection_error,  ///< none could be opened, or it broke
  unfinished,        ///< the run was over
  dropped,           ///< the generator held as many as it may
};
inline constexpr std::array<std::string_view, 7> kOutcomeNames{
    "answered", "refused", "failed", "timed_out", "connection_error", "unfinished", "dropped"};

/// The reasons that servers gave, as "429 overloaded": numbered as they appear, so many at most.
class ReasonTable {
 public:
  static constexpr std::size_t kMax = 24;
  /// The number of a reason; when there is no room for another one, that of "other".
  std::size_t number_of(int status, std::string_view code);
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  std::vector<std::string> names_{"other"};
  std::map<std::pair<int, std::string>, std::size_t, std::less<>> numbers_;
};

/// Counts of one kind of clients in one second, or of a sum of those.
struct Cell {
  // Of the requests that were meant for this second.
  std::uint64_t offered = 0;
  std::uint64_t sent = 0;    ///< their first attempts that reached a connection
  std::uint64_t waited = 0;  ///< those that found no connection free at their time
  std::uint64_t good = 0;    ///< answered within the objective, from the intended time
  std::array<std::uint64_t, kOutcomeNames.size()> ended{};
  LatencyHistogram answered;     ///< from the intended time to the whole answer
  LatencyHistogram first_token;  ///< of streams, from the intended time

  // Of what happened in this second, retries included.
  std::uint64_t retries = 0;                               ///< attempts that are not the first
  std::array<std::uint64_t, ReasonTable::kMax> reasons{};  ///< answers other than success
  LatencyHistogram refusal;  ///< from an attempt's time to its 429 or 503

  void add(const Cell& other);
  [[nodiscard]] std::uint64_t ended_as(Outcome outcome) const {
    return ended[static_cast<std::size_t>(outcome)];
  }
  [[nodiscard]] std::uint64_t ended_in_all() const;
};

/// A cell for each second and kind. Memory is taken at the beginning: 11 KB a cell.
class Statistics {
 public:
  /// How many cells there may be: a gigabyte of them.
  static constexpr std::size_t kCellsMax = (std::size_t{1} << 30) / sizeof(Cell);

  Statistics(std::size_t seconds, std::size_t kinds)
      : seconds_(seconds), kinds_(kinds), cells_(seconds * kinds) {}

  /// The cell of a moment of the run; what comes after its last second belongs to that.
  Cell& at(Duration moment, std::size_t kind);
  [[nodiscard]] const Cell& cell(std::size_t second, std::size_t kind) const {
    return cells_[second * kinds_ + kind];
  }
  [[nodiscard]] std::size_t seconds() const { return seconds_; }
  [[nodiscard]] std::size_t kinds() const { return kinds_; }
  /// All kinds of one second.
  [[nodiscard]] Cell of_second(std::size_t second) const;
  /// One kind in all seconds but the first `skip`.
  [[nodiscard]] Cell of_kind(std::size_t kind, std::size_t skip = 0) const;

  ReasonTable reasons;

 private:
  std::size_t seconds_;
  std::size_t kinds_;
  std::vector<Cell> cells_;
};

}  // namespace sluice::overload
