// A few threads for long computations that neither a loop nor an actor may make.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace sluice {

/// The port of computations in the background. Thread-safe; no call waits.
class WorkPool {
 public:
  /// How long a piece of work takes: brief ones never wait behind more than the lengthy ones that
  /// run.
  enum class Length : std::uint8_t { brief, lengthy };

  virtual ~WorkPool() = default;
  /// Runs `work` on some thread, soon. False: too much waits already, `work` is dropped.
  [[nodiscard]] virtual bool submit(Length length, std::function<void()> work) = 0;
};

/// Threads of their own, with a low priority: what must not wait gets the cores first.
struct WorkPoolOptions {
  std::size_t threads = 2;       ///< at least 1; half of them, but one at least, run lengthy work
  std::size_t waiting_max = 64;  ///< pieces that wait, of either length
};
/// Destroying the pool drops what waits and waits for what runs.
std::unique_ptr<WorkPool> make_work_pool(WorkPoolOptions options);

/// Runs everything at once, in the caller: for tests and simulations.
class InlinePool final : public WorkPool {
 public:
  bool submit(Length, std::function<void()> work) override {
    work();
    return true;
  }
};

}  // namespace sluice
