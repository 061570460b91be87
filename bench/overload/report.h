// The figures of a run, as JSON for programs and as a table for people.
#pragma once

#include "bench/overload/generator.h"

#include <string>

namespace sluice::overload {

/// Processor time of this process, user and system.
Duration used_cpu_time();

/// Everything: the run, its kinds, tenants, classes and seconds. Times in milliseconds; null where
/// nothing was counted.
///   cpu  that the run has cost the generator
std::string report_json(const Generator& generator, Duration cpu);

/// A line for each kind and one for all, the reasons of refusals, and how the generator kept up.
///   each_second  a line for each second, too
std::string report_table(const Generator& generator, Duration cpu, bool each_second);

}  // namespace sluice::overload
