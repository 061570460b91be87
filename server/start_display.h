// Tells whoever waits for a server to begin how far it is.
#pragma once

#include "actors/lane_status.h"
#include "base/clock.h"
#include "client/progress_text.h"
#include "server/log_sink.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace sluice {

/// What the lane, which does not serve yet, is about:
///   " 45% of 288.0 MB, 350.0 MB/s, 1 s left  converting tensor 13 of 272 (brook)"
///   "brook: testing itself"
///   bytes_per_second  of loading; 0: not known
///   width             where it is cut
std::string start_text(const LaneStatus& lane, double bytes_per_second, std::size_t width);

/// On a terminal a line below the log that changes ten times a second, elsewhere a line of the log
/// every ten seconds. One thread.
class StartDisplay {
 public:
  /// `sink` writes the log to standard error.
  StartDisplay(std::shared_ptr<LogSink> sink, const Clock& clock);
  /// Takes the line away.
  ~StartDisplay();
  StartDisplay(const StartDisplay&) = delete;
  StartDisplay& operator=(const StartDisplay&) = delete;

  /// The lane that everybody waits for now. To be called often.
  void show(const LaneStatus& lane);

 private:
  std::shared_ptr<LogSink> sink_;
  const Clock& clock_;
  bool is_terminal_;
  std::string model_;
  RateMeter meter_;  // of `model_`
  TimePoint shown_;
};

}  // namespace sluice
