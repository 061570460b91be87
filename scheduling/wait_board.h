// How long a request would wait for a lane: what admission asks before it lets it in.
#pragma once

#include "base/clock.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_map>

namespace sluice {

/// What waits for the lanes of one model, by class and tenant, in time of a lane. Admission adds
/// what it lets in, the queue takes away what has left it, so a crowd that arrives at once is
/// counted at once. Thread-safe; outlives the queue's incarnations.
class WaitBoard {
 public:
  static constexpr std::size_t kClasses = 3;  ///< realtime, batch, low

  /// What rows of a prompt and tokens of an answer take of a lane, in a full batch.
  struct Costs {
    double row_us = 100.0;
    double token_us = 1100.0;
  };

  /// What a sequence takes of a lane.
  [[nodiscard]] Duration cost(std::uint64_t rows, std::uint64_t tokens) const;

  /// Admission has let it in.
  ///   weight  of the tenant among others
  ///   rests   nothing waits in the queue: what has been counted here for a second was lost on its
  ///           way, with an actor that ended, and counts no longer
  void enter(std::size_t class_index,
             std::uint32_t tenant,
             std::uint32_t weight,
             Duration cost,
             TimePoint now,
             bool rests = false);
  /// Whoever is not known here has left already.
  void leave(std::size_t class_index, std::uint32_t tenant, Duration cost);
  /// A new queue: nothing waits in it.
  void forget();

  ///   per_second  what the lanes do in a second, of a lane's time; 0: none takes work
  void set_pace(Costs costs, double per_second);

  /// How long a tenant's next request of a class would wait. A tenant waits for its own and, of
  /// each other tenant's, for as much as its own by their weights: they take turns. Its class waits
  /// for the others by their weights. Zero as well while no lane takes work: how long that lasts is
  /// not known here.
  [[nodiscard]] Duration wait(std::size_t class_index, std::uint32_t tenant) const;
  /// All that waits, of a class.
  [[nodiscard]] Duration waiting(std::size_t class_index) const;
  [[nodiscard]] Costs costs() const;
  [[nodiscard]] double per_second() const;

 private:
  struct Tenant {
    Duration cost{};  ///< more than zero
    std::uint32_t weight = 1;
  };
  using Tenants = std::unordered_map<std::uint32_t, Tenant>;

  mutable std::mutex mutex_;
  std::array<Tenants, kClasses> waiting_;
  Costs costs_;
  double per_second_ = 0.0;
  TimePoint entered_{};  ///< the last one
};

}  // namespace sluice
