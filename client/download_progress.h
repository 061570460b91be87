// How far a download is: one line for all files.
#pragma once

#include "base/clock.h"
#include "client/progress_text.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice {

/// Shows progress on standard error: on a terminal as a line that changes ten times a second,
/// elsewhere as a line a file. Not thread-safe.
class DownloadProgress {
 public:
  DownloadProgress(const Clock& clock, std::uint64_t total);
  ~DownloadProgress() { clear(); }
  DownloadProgress(const DownloadProgress&) = delete;
  DownloadProgress& operator=(const DownloadProgress&) = delete;

  /// What follows is about this file.
  void begin(const std::string& name, std::uint64_t size);
  /// So many bytes of this file are there, by now or from before.
  void set(std::uint64_t done);
  /// The file is complete.
  void end();
  /// A message among all that.
  void say(std::string_view message);

 private:
  void draw();
  void clear();

  const Clock& clock_;
  bool is_terminal_;
  std::uint64_t total_;
  std::uint64_t before_ = 0;  // bytes of the files that are complete
  std::string name_;
  std::uint64_t size_ = 0;
  std::uint64_t done_ = 0;
  RateMeter meter_;
  std::uint64_t come_ = 0;  // bytes that have come, for the meter
  TimePoint drawn_{};
  bool is_drawn_ = false;
};

}  // namespace sluice
