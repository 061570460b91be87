// Places where a thread may lose its processor between two looks at what it shares with others. A
// simulation runs the others there, so that races inside a handler have seeds; everywhere else such
// a place costs one load.
#pragma once

#include <atomic>
#include <functional>
#include <string_view>

namespace sluice {

/// Makes the places of this process yield for as long as it lives. There is one at a time. It must
/// be made before and destroyed after everything that visits a place.
class YieldPoints {
 public:
  /// What happens at the place `name`. Called on the visitor's thread, and again for places that
  /// are visited meanwhile.
  using Yield = std::function<void(std::string_view name)>;

  explicit YieldPoints(Yield yield);
  ~YieldPoints();
  YieldPoints(const YieldPoints&) = delete;
  YieldPoints& operator=(const YieldPoints&) = delete;

 private:
  Yield yield_;
};

namespace detail {

/// Null: nothing yields.
inline std::atomic<const YieldPoints::Yield*> yield_points = nullptr;

}  // namespace detail
}  // namespace sluice

/// A place that yields. `name` is "folder.what". Nothing may be locked there.
#define YIELD_POINT(name)                                                                   \
  do {                                                                                      \
    if (const auto* yield = ::sluice::detail::yield_points.load(std::memory_order_acquire)) \
      (*yield)(name);                                                                       \
  } while (false)
