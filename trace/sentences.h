// How judges name things in their sentences.
#pragma once

#include "base/clock.h"
#include "base/ids.h"

#include <cstdint>
#include <cstdio>
#include <string>

namespace sluice::trace {

inline std::string number(std::uint64_t value) {
  return std::to_string(value);
}
inline std::string name(RequestNumber request) {
  return "request " + number(request.value);
}
inline std::string name(SequenceId sequence) {
  return "sequence " + number(sequence.value);
}
inline std::string name(LaneId lane) {
  return "lane " + number(lane.value);
}
inline std::string seconds(Duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", std::chrono::duration<double>(duration).count());
  return text;
}

}  // namespace sluice::trace
