// Requests that wait for others: a chain of calls, a plan with steps.
#pragma once

#include "base/clock.h"

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace sluice {

/// One request that others wait for, or that waits for others. Made by `Dependencies`, thread-safe.
/// Callbacks come without a lock held, on the thread of whoever caused them, and must not block.
class Dependency {
 public:
  using Ptr = std::shared_ptr<Dependency>;
  Dependency(const Dependency&) = delete;
  Dependency& operator=(const Dependency&) = delete;

  /// What the request takes of a lane, as far as it is known.
  void set_cost(Duration cost);
  /// Calls `settled` once: with true when all it waits for have completed, which may be at once;
  /// with false as soon as one of them has ended otherwise.
  void when_settled(std::function<void(bool completed)> settled);
  /// Calls `changed` whenever `behind` has changed.
  void when_behind_changes(std::function<void(Duration behind)> changed);
  /// It has ended. The first word counts.
  void end(bool completed);

  /// What waits for it, along the way that takes longest: how much there is to win if it is done
  /// soon.
  [[nodiscard]] Duration behind() const;

 private:
  friend class Dependencies;
  using Mutex = std::shared_ptr<std::mutex>;
  using Calls = std::vector<std::function<void()>>;

  explicit Dependency(Mutex mutex) : mutex_(std::move(mutex)) {}
  void settle(bool completed, Calls& calls);
  static void pass_on(std::vector<Ptr> changed, Calls& calls);
  [[nodiscard]] Duration count_behind() const;

  Mutex mutex_;  ///< of all that were made by the same
  bool ended_ = false;
  bool completed_ = false;
  std::optional<bool> settled_with_;               ///< none: it waits
  std::size_t open_ = 0;                           ///< of those it waits for
  std::vector<Ptr> after_;                         ///< those it waits for, until it is settled
  std::vector<std::weak_ptr<Dependency>> before_;  ///< those that wait for it
  Duration cost_{};
  Duration behind_{};
  std::function<void(bool)> settled_;
  std::function<void(Duration)> changed_;
};

/// Makes them. One can only wait for what is there already, so nobody waits in a circle.
/// Thread-safe.
class Dependencies {
 public:
  /// A request that waits for those, all of them made here.
  Dependency::Ptr add(std::vector<Dependency::Ptr> after = {});

 private:
  Dependency::Mutex mutex_ = std::make_shared<std::mutex>();
};

}  // namespace sluice
