// The oracle: each operation as plain loops, as the books have it.
#pragma once

#include "kernels/ops.h"

#include <memory>

namespace sluice {

/// Level "reference": one thread, sums in double. Slow, and right: every faster version is tested
/// against it.
std::unique_ptr<Ops> make_reference_ops(Device& device);

}  // namespace sluice
