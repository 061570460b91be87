// How many retries the front may have running: few, or failures feed on themselves. Others wait in
// line.
#pragma once

#include "base/ids.h"

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace sluice {

/// Retries of sequences that failed by themselves (not those that lost their worker). At most
/// max(`at_least`, `share` of what runs) at once, and `attempts` of one sequence, the first
/// included. Who finds no place stands in line; nobody has to ask again. Thread-safe; all calls
/// cost O(1) but for the callbacks.
///   Source: Google SRE book, "Handling Overload" (3 attempts, 10 %); Envoy's retry budgets.
class RetryBudget {
 public:
  struct Options {
    std::uint32_t at_least = 3;
    double share = 0.1;
    std::uint32_t attempts = 3;
  };
  /// Called when a place is kept for somebody, without any lock, on whichever thread gave it back.
  using Wake = std::function<void()>;

  explicit RetryBudget(Options options) : options_(options) {}
  RetryBudget() : RetryBudget(Options{}) {}

  /// Takes a place for one retry, the one kept for `who` if there is one. If none is to be had,
  /// `who` stands in line, and `wake` is called once when a place is kept for it; call `begin`
  /// again then.
  ///   running  sequences running in the front
  ///   returns  retries active now, this one included; 0: `who` waits
  [[nodiscard]] std::uint32_t begin(SequenceId who, std::uint32_t running, Wake wake);
  /// `who` has made a token, has ended or waits no longer: its place, had or kept, goes to the next
  /// in line. Nothing happens if it has none and does not wait.
  void end(SequenceId who, std::uint32_t running);

  /// Places taken or kept.
  [[nodiscard]] std::uint32_t active() const;
  [[nodiscard]] std::size_t waiting() const;
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  enum class State : std::uint8_t { waits, kept, taken };
  struct Waiting {
    SequenceId who;
    Wake wake;
  };
  struct Entry {
    State state;
    std::list<Waiting>::iterator place;  ///< in the line, while it waits
  };

  [[nodiscard]] std::uint32_t limit(std::uint32_t running) const;
  /// Keeps places for the first in line while there is room. Returns whom to wake.
  std::vector<Wake> let_in(std::uint32_t running);

  Options options_;
  mutable std::mutex mutex_;
  std::uint32_t active_ = 0;
  std::list<Waiting> line_;
  std::unordered_map<SequenceId, Entry> entries_;
};

}  // namespace sluice
