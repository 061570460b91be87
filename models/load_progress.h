// How far the weights of a model are on their way into memory.
#pragma once

#include <cstdint>
#include <functional>

namespace sluice {

struct LoadProgress {
  enum class Work : std::uint8_t {
    none,        ///< not begun, or nothing of that kind to do
    reading,     ///< files, and hashing them
    checking,    ///< that every number is finite
    converting,  ///< from the type in the file to the one that is computed with, or to a device
  };
  static constexpr Work kWorkLast = Work::converting;

  Work work = Work::none;            ///< that goes on
  std::uint64_t bytes = 0;           ///< done, of all work together
  std::uint64_t bytes_in_all = 0;    ///< 0: not known yet
  std::uint32_t tensors = 0;         ///< done of this work; reading knows none
  std::uint32_t tensors_in_all = 0;  ///< of this work
};

/// Gets it now and then, on the loading thread; `bytes` never shrink. May be empty.
using LoadObserver = std::function<void(const LoadProgress&)>;

}  // namespace sluice
