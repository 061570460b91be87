// How many retries the front may have running: few, or failures feed on themselves. Others wait.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace sluice {

/// Retries of sequences that failed by themselves (not those that lost their worker). At most
/// max(`at_least`, `share` of what runs) at once, and `attempts` of one sequence, the first
/// included. Thread-safe.
///   Source: Google SRE book, "Handling Overload" (3 attempts, 10 %); Envoy's retry budgets.
class RetryBudget {
 public:
  struct Options {
    std::uint32_t at_least = 3;
    double share = 0.1;
    std::uint32_t attempts = 3;
  };
  explicit RetryBudget(Options options) : options_(options) {}
  RetryBudget() : RetryBudget(Options{}) {}

  /// Takes a place for one retry; `end` must follow when it has made a token or ended.
  ///   running  sequences running in the front
  ///   returns  retries active now, this one included; 0: none is to be had
  [[nodiscard]] std::uint32_t begin(std::uint32_t running) {
    auto limit =
        std::max(options_.at_least,
                 static_cast<std::uint32_t>(options_.share * static_cast<double>(running)));
    std::uint32_t active = active_.load();
    do {
      if (active >= limit) return 0;
    } while (!active_.compare_exchange_weak(active, active + 1));
    return active + 1;
  }
  void end() { active_.fetch_sub(1); }

  [[nodiscard]] std::uint32_t active() const { return active_.load(); }
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  Options options_;
  std::atomic<std::uint32_t> active_{0};
};

}  // namespace sluice
