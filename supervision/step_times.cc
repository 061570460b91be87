#include "supervision/step_times.h"

#include <bit>
#include <cmath>

namespace sluice {

template <std::size_t kSize>
Duration StepTimes::Window<kSize>::quantile(double share) const {
  auto sorted = samples;
  std::size_t n = std::min(count, kSize);
  auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(n)));
  auto wanted = sorted.begin() + static_cast<std::ptrdiff_t>(std::max<std::size_t>(rank, 1) - 1);
  std::nth_element(sorted.begin(), wanted, sorted.begin() + static_cast<std::ptrdiff_t>(n));
  return *wanted;
}

std::size_t StepTimes::index(std::uint32_t rows) {
  return static_cast<std::size_t>(std::bit_width(rows));
}

bool StepTimes::record(std::uint32_t rows, Duration duration, TimePoint now) {
  Shape& shape = shapes_[index(rows)];
  bool first = shape.worker != worker_;
  shape.worker = worker_;
  bool known = shape.usual.count > 0;
  bool slow = false;
  // What is usual is dear to find, and for most steps of no account.
  if (known && duration > options_.slow_floor) {
    auto usual = static_cast<double>(shape.usual.quantile(0.5).count());
    Duration limit(static_cast<Duration::rep>(options_.slow_factor * usual));
    slow = duration > limit;
  }
  // The first step of a process warms its caches: neither evidence nor usual, unless nothing else
  // is known.
  if (known && first && slow) return false;
  shape.all.push(duration);
  shape.recent = known ? shape.recent + (duration - shape.recent) / 4 : duration;
  if (!slow) {
    shape.usual.push(duration);
  } else if (!shape.drifted || now - *shape.drifted >= options_.drift) {
    shape.usual.push(duration);
    shape.drifted = now;
  }
  return slow;
}

std::optional<Duration> StepTimes::baseline(std::uint32_t rows) const {
  const Shape& shape = at(rows);
  if (shape.usual.count == 0) return std::nullopt;
  return shape.usual.quantile(0.5);
}

std::optional<Duration> StepTimes::p99(std::uint32_t rows) const {
  const Shape& shape = at(rows);
  if (shape.all.count == 0) return std::nullopt;
  return shape.all.quantile(0.99);
}

std::optional<Duration> StepTimes::predicted(std::uint32_t rows) const {
  std::size_t wanted = index(rows);
  for (std::size_t smaller = wanted + 1; smaller-- > 0;) {
    const Shape& shape = shapes_[smaller];
    // More rows take at most proportionally longer; the bound keeps the product finite.
    if (shape.usual.count > 0)
      return shape.expected() * (std::int64_t{1} << std::min<std::size_t>(wanted - smaller, 16));
  }
  for (std::size_t larger = wanted + 1; larger < kShapes; ++larger) {
    if (shapes_[larger].usual.count > 0) return shapes_[larger].expected();
  }
  return std::nullopt;
}

std::optional<StepTimes::Pace> StepTimes::pace(std::uint32_t rows) const {
  auto one = predicted(1);
  if (!one) return std::nullopt;
  auto microseconds = [](Duration duration) {
    return std::chrono::duration<double, std::micro>(duration).count();
  };
  Pace pace{microseconds(*one), 0};
  // Of a shape that was not seen yet only the most is known that it can take. By that a lane that
  // was never full would need minutes for what takes it seconds: the nearest one that was seen says
  // more, that of a prompt, too.
  std::size_t wanted = index(rows);
  std::size_t seen = wanted;
  while (seen > 1 && shapes_[seen].usual.count == 0)
    --seen;
  if (seen <= 1) {
    seen = wanted;
    while (seen < kShapes && shapes_[seen].usual.count == 0)
      ++seen;
    if (seen == kShapes) seen = wanted;  // no other is known at all
  }
  if (seen != wanted) rows = static_cast<std::uint32_t>(std::uint64_t{1} << (seen - 1));
  auto many = predicted(rows);
  if (many && rows > 1)
    pace.per_row_us = std::max(0.0, (microseconds(*many) - pace.base_us) / (rows - 1));
  return pace;
}

}  // namespace sluice
