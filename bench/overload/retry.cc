#include "bench/overload/retry.h"

#include <algorithm>

namespace sluice::overload {
namespace {

constexpr Duration kFirstWait = std::chrono::seconds(1);
constexpr Duration kLongestWait = std::chrono::minutes(1);
constexpr double kJitter = 0.25;

Duration polite_wait(const Disappointment& end, std::uint32_t attempts, double uniform) {
  std::uint32_t doublings = std::min<std::uint32_t>(attempts - 1, 6);
  Duration wait = end.retry_after.value_or(std::min(kFirstWait * (1 << doublings), kLongestWait));
  return wait + std::chrono::duration_cast<Duration>(wait * (kJitter * uniform));
}

}  // namespace

std::optional<Duration> retry_after(const ClientKind& kind,
                                    const Disappointment& end,
                                    std::uint32_t attempts,
                                    Duration left,
                                    double uniform) {
  std::optional<Duration> wait;
  switch (kind.retry) {
    case ClientKind::Retry::none:
      break;
    case ClientKind::Retry::polite:
      if (end.refused && !end.never_retry && attempts < kind.attempts)
        wait = polite_wait(end, attempts, uniform);
      break;
    case ClientKind::Retry::storm:
      wait = kind.retry_delay;
      break;
  }
  return wait && *wait < left ? wait : std::nullopt;
}

}  // namespace sluice::overload
