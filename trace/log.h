// A trace as text: one JSON object a line, written by a server, read by the checker.
#pragma once

#include "base/result.h"
#include "trace/event.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::trace {

/// Appends {"at": nanoseconds, "event": name, fields...} without a line end. Integers are written
/// in full, `TimePoint::max()` as its number; texts are passed on as bytes, only quotes,
/// backslashes and control characters are escaped.
void append_line(const Event& event, std::string& line);
std::string to_line(const Event& event);

/// Reads one such line: the same fields in the same order and nothing else.
/// Errors: data_loss, naming the field and its column.
Result<Event> from_line(std::string_view line);

/// Writes events into a file, in the order of `record`. Thread-safe. Lines are gathered in a buffer
/// of at most 64 KiB, which whoever fills it writes; events that the file does not take are
/// counted, not kept.
class FileSink final : public Sink {
 public:
  /// Creates or empties the file. Errors: unavailable, with the system's reason.
  static Result<std::unique_ptr<FileSink>> create(const std::string& path);
  /// Writes what is gathered.
  ~FileSink() override;

  void record(Event event) override;
  /// Writes what is gathered, so that others see it.
  void flush();
  /// Events that could not be written. Their absence shows in a check as broken invariants.
  [[nodiscard]] std::uint64_t lost() const;

 private:
  class Impl;
  explicit FileSink(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::trace
