// Where the log goes.
#pragma once

#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

namespace sluice {

/// Writes log lines to a descriptor as long as it takes them at once. A pipe that nobody empties or
/// a terminal that is held must not stop the actors that log, so lines are dropped then; the next
/// one that is taken says how many. Thread-safe.
///   Not by O_NONBLOCK: that would change the descriptor for everybody who shares it.
class LogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  ///   descriptor  open for as long as this lives; not owned
  explicit LogSink(int descriptor) : descriptor_(descriptor) {}

  /// Keeps a line below the log of a terminal, in place of the one before; empty: none. Without
  /// line ends, and no longer than the terminal is wide.
  void keep_below(std::string_view line);

  /// Lines that were dropped so far. Waits for nobody.
  [[nodiscard]] std::uint64_t dropped() const {
    return dropped_in_all_.load(std::memory_order_relaxed);
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override;
  void flush_() override {}
  bool write(std::string_view text);

  int descriptor_;
  void drop();

  std::uint64_t dropped_ = 0;  ///< since a line was taken
  std::atomic<std::uint64_t> dropped_in_all_{0};
  bool cut_ = false;   ///< the last line was not taken whole
  std::string below_;  ///< the line that is kept below
};

}  // namespace sluice
