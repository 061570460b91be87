// Random numbers from a list.
#pragma once

#include "base/random.h"

#include <cstdint>
#include <deque>
#include <utility>

namespace sluice::testing {

/// Gives the numbers of a script, then one half of the range for ever.
class ScriptedRandom final : public Random {
 public:
  static constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;
  ScriptedRandom() = default;
  explicit ScriptedRandom(std::deque<std::uint64_t> script) : script_(std::move(script)) {}

  [[nodiscard]] std::uint64_t next() override {
    if (script_.empty()) return kHalf;
    std::uint64_t number = script_.front();
    script_.pop_front();
    return number;
  }

  /// The number whose place in [0, 1) is `uniform`.
  static std::uint64_t of(double uniform) {
    return static_cast<std::uint64_t>(uniform * 0x1.0p53) << 11;
  }

 private:
  std::deque<std::uint64_t> script_;
};

}  // namespace sluice::testing
