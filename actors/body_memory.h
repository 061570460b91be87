// The byte budget of admission as the network sees it.
#pragma once

#include "admission/byte_budget.h"
#include "base/clock.h"
#include "net/http.h"

#include <memory>

namespace sluice {

/// The port of the connections to `budget`.
std::shared_ptr<BodyMemory> make_body_memory(std::shared_ptr<ByteBudget> budget,
                                             std::shared_ptr<const Clock> clock);

}  // namespace sluice
