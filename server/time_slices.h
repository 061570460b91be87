// Whether a thread that wakes stops the one that runs on its core.
#pragma once

namespace sluice {

/// From now on it does not: threads that the calling one starts, and their processes, wait until
/// whoever runs has used up its time slice, a few milliseconds, or rests. Where workers compute on
/// all cores each word that the front says would else stop a step in the middle, and the other
/// threads of that step would wait for the one that was stopped. On cores that rest nothing
/// changes. Leaves alone a policy that an operator has chosen, and what the system refuses. To be
/// called before there are threads.
///   Source: sched(7), SCHED_BATCH.
void use_whole_time_slices();

}  // namespace sluice
