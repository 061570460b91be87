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
    double token_us = 1100.0;  ///< its part of a step
    double step_us = 1100.0;   ///< what its sequence waits for it: the whole step
  };

  /// How fast the lanes work for whom, as parts of what they do when everybody has all places.
  struct Shares {
    std::array<double, kClasses> others{1.0, 1.0, 1.0};  ///< by class, of those not of the core API
    double core = 1.0;
  };

  /// When what runs has probably ended, the first ones in order; max: no further one is known.
  using Ends = std::array<TimePoint, 16>;
  static constexpr Ends no_ends() {
    Ends ends{};
    ends.fill(TimePoint::max());
    return ends;
  }

  /// What the lanes have for whoever comes now.
  struct Room {
    std::array<std::uint32_t, kClasses> free{};  ///< places, for those not of the core API
    std::uint32_t free_to_core = 0;              ///< likewise
    Ends ends = no_ends();
    /// After which less urgent work gives way, by class; if there is none, longer than anything.
    std::array<Duration, kClasses> patience{Duration::max(), Duration::max(), Duration::max()};
  };

  /// Who asks how long he would wait.
  struct Asker {
    std::size_t class_index = 0;
    std::uint32_t tenant = 0;
    bool core = false;  ///< it may use what is kept for the core API
  };

  /// What a sequence takes of a lane.
  [[nodiscard]] Duration cost(std::uint64_t rows, std::uint64_t tokens) const;
  /// How long it runs on one that is full.
  [[nodiscard]] Duration run(std::uint64_t rows, std::uint64_t tokens) const;

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

  ///   per_second  what the lanes do in a second, of a lane's time, for those who may have all
  ///               places; 0: none takes work
  void set_pace(Costs costs, double per_second, const Shares& shares);
  void set_pace(Costs costs, double per_second) { set_pace(costs, per_second, Shares()); }
  void set_room(const Room& room);

  /// How long a tenant's next request of a class would wait. A tenant waits for its own and, of
  /// each other tenant's, for as much as its own by their weights: they take turns. Its class waits
  /// for the others by their weights. It waits for a place, too, until as many of those that run
  /// have ended as stand before it: where many began together, many end together, and nobody
  /// before. Zero for a burst that has places, and while no lane takes work: how long that lasts is
  /// not known here.
  [[nodiscard]] Duration wait(const Asker& asker, TimePoint now) const;
  /// All that waits, of a class.
  [[nodiscard]] Duration waiting(std::size_t class_index) const;
  [[nodiscard]] Costs costs() const;
  [[nodiscard]] double per_second() const;
  /// The same for those of a class that are not of the core API.
  [[nodiscard]] double per_second(std::size_t class_index) const;

 private:
  struct Tenant {
    Duration cost{};          ///< more than zero
    std::uint32_t count = 0;  ///< likewise
    std::uint32_t weight = 1;
  };
  using Tenants = std::unordered_map<std::uint32_t, Tenant>;

  void clear();
  /// What is served before a request that comes now.
  struct Ahead {
    double seconds = 0.0;  ///< of a lane
    double count = 0.0;
  };
  [[nodiscard]] Ahead ahead_of(const Asker& asker) const;
  [[nodiscard]] Duration until_place(std::size_t ended, TimePoint now) const;

  mutable std::mutex mutex_;
  std::array<Tenants, kClasses> waiting_;
  Costs costs_;
  double per_second_ = 0.0;
  Shares shares_;
  Room room_;
  std::uint32_t count_ = 0;  ///< of all that waits
  TimePoint entered_{};      ///< the last one
  TimePoint began_{};        ///< to wait: the first one since nothing did
};

}  // namespace sluice
