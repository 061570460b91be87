#include "server/front_options.h"

#include <chrono>
#include <cstddef>

namespace sluice {

Front::Options front_options(const ServeOptions& options) {
  Front::Options front;
  front.admission.queue_capacity = options.queue_capacity;
  front.degradation = options.degradation;
  front.stream_pace.objective = options.itl_objective;
  for (std::size_t i = 0; i < options.max_wait_s.size(); ++i)
    front.admission.wait_max[i] =
        std::chrono::duration_cast<Duration>(std::chrono::duration<double>(options.max_wait_s[i]));
  front.quotas = {{options.rate, std::chrono::seconds(1), options.burst},
                  options.core_reserve,
                  options.low_reserve,
                  options.lends_core_reserve};
  front.request_timeout = options.request_timeout;
  front.load_timeout = options.load_timeout;
  front.lane_restarts_max = options.lane_restarts_max;
  front.lane_restarts_period = options.lane_restarts_period;
  front.lane_backoff.min = options.lane_backoff_min;
  front.lane_backoff.max = options.lane_backoff_max;
  front.quarantine.first = options.quarantine_first;
  front.quarantine.longest = options.quarantine_longest;
  front.quarantine.probation = options.lane_restarts_period;
  return front;
}

}  // namespace sluice
