#include "server/time_slices.h"

#include <sched.h>

namespace sluice {

void use_whole_time_slices() {
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  const sched_param no_priority{};
  // Without it the server is slower and no less right.
  (void)::sched_setscheduler(0, SCHED_BATCH, &no_priority);
}

}  // namespace sluice
