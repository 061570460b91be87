// What operators see of admission.
#pragma once

#include "actors/front.h"

#include <string>

namespace sluice {

/// The body of GET /admin/v1/admission, from cached state alone: the bucket of all requests and
/// what is kept of it, tenants with their limits and what is left, how often admission decided what
/// by class and reason since the start, and its last decisions, the newest first. Any thread.
std::string admission_page(const Front& front);

}  // namespace sluice
