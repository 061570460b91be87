// What this process holds of the kernel's: open descriptors and threads, as /proc counts them.
#pragma once

#include "base/clock.h"

#include <cstdint>
#include <memory>
#include <optional>

namespace sluice {

/// Counts seldom, because each count reads two folders. Keeps both open, so that it can still count
/// when no descriptor is left. Not thread-safe.
class Holdings {
 public:
  /// A count is good for so long.
  static constexpr Duration kEvery = std::chrono::seconds(1);
  struct Counts {
    std::uint32_t descriptors = 0;  ///< open ones, those of this object included; 0: not known
    std::uint32_t threads = 0;      ///< the main one included; 0: not known
  };

  Holdings();
  ~Holdings();
  Holdings(const Holdings&) = delete;
  Holdings& operator=(const Holdings&) = delete;

  /// What the process holds at `now`, or held at most `kEvery` ago.
  Counts at(TimePoint now);

 private:
  class Folder;
  std::unique_ptr<Folder> descriptors_;
  std::unique_ptr<Folder> threads_;
  Counts counts_;
  std::optional<TimePoint> counted_;
};

}  // namespace sluice
