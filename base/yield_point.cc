#include "base/yield_point.h"

#include "base/check.h"

#include <utility>

namespace sluice {

YieldPoints::YieldPoints(Yield yield) : yield_(std::move(yield)) {
  CHECK(yield_ != nullptr);
  const Yield* nobody = nullptr;
  CHECK(detail::yield_points.compare_exchange_strong(nobody, &yield_));
}

YieldPoints::~YieldPoints() {
  detail::yield_points = nullptr;
}

}  // namespace sluice
