// What the system says of a process: time, memory, descriptors.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice {

/// Of this process.
struct ProcessFigures {
  double cpu_seconds = 0;    ///< used, in user mode and in the kernel
  double start_seconds = 0;  ///< when it was started, in Unix time
  std::uint64_t resident_bytes = 0;
  std::uint64_t virtual_bytes = 0;
  std::uint64_t threads = 0;
  std::uint64_t open_descriptors = 0;
  std::uint64_t descriptors_max = 0;
};

/// Reads a few files of /proc, some 50 us. None: there is no /proc.
[[nodiscard]] std::optional<ProcessFigures> read_process_figures();

/// The part of `read_process_figures` that can be wrong: the line of /proc/PID/stat.
///   ticks_per_second  of the kernel's times
///   page_bytes        of its memory
/// `start_seconds` is counted from the start of the system. None: it is no such line.
[[nodiscard]] std::optional<ProcessFigures> parse_process_stat(std::string_view line,
                                                               double ticks_per_second,
                                                               std::uint64_t page_bytes);

/// Memory of a process, by what it is made of, in bytes.
struct ResidentMemory {
  std::uint64_t own = 0;   ///< nobody else has it, and in shared memory
  std::uint64_t file = 0;  ///< mapped from files: processes that map the same one share it

  [[nodiscard]] std::uint64_t all() const { return own + file; }
};
/// None: there is no such process (any more).
[[nodiscard]] std::optional<ResidentMemory> read_resident_memory(std::int64_t pid);
[[nodiscard]] std::optional<ResidentMemory> read_resident_memory();  ///< of this process
/// Reads the text of /proc/PID/status.
[[nodiscard]] std::optional<ResidentMemory> parse_resident_memory(std::string_view status);

}  // namespace sluice
