// Who holds which sequence: a table that outlives the actor that writes it.
#pragma once

#include "base/ids.h"

#include <caf/actor.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice {

/// One sequence in somebody's hands, and the session that owns its truth.
struct Lease {
  SequenceId id;
  Epoch epoch = 0;
  caf::actor session;
  /// The holder has let it in for good: who follows it must not refuse it.
  bool accepted = false;
};

/// The leases of one holder (a queue, an executor). The tree owns the table and hands it to each
/// incarnation; one incarnation at a time works with it, the mutex only makes the hand-over safe
/// when a killed predecessor is still in its last handler. All calls cost O(1) but `entries`,
/// `take_all` and `abandon`. The order of `entries` depends on the calls alone, so simulations
/// repeat.
///   Why a table and not a monitor per session: CAF's demonitor walks all watchers of an actor.
class LeaseTable {
 public:
  /// What became of a lease that was to be written.
  enum class Added : std::uint8_t {
    yes,
    outdated,   ///< a newer epoch of the sequence stands: whoever gives this one was held up
    abandoned,  ///< the table has no holder, nor will it get one
  };

  /// Writes a lease; an older one of the same sequence is replaced, and so is one of the same
  /// epoch, but for its having been accepted.
  [[nodiscard]] Added add(Lease lease);

  /// Notes in the lease of that epoch, if it stands, that the sequence was let in.
  void accept(SequenceId id, Epoch epoch);

  /// Drops the lease of a sequence, but none of an epoch newer than `epoch`: while a holder passes
  /// old work on, the same sequence may have been given to it anew. False: there was none.
  bool remove(SequenceId id, Epoch epoch = std::numeric_limits<Epoch>::max());

  /// True if the sequence is leased under this epoch. A holder takes work only if it is: a lease
  /// that was swept while the work was on its way has been offered again elsewhere.
  [[nodiscard]] bool holds(SequenceId id, Epoch epoch) const {
    std::lock_guard guard(mutex_);
    auto found = index_.find(id);
    return found != index_.end() && leases_[found->second].epoch == epoch;
  }

  /// Empties the table and returns what was in it.
  [[nodiscard]] std::vector<Lease> take_all() {
    std::lock_guard guard(mutex_);
    return empty();
  }

  /// No holder will follow: as `take_all`, and nothing more is written until `open`.
  [[nodiscard]] std::vector<Lease> abandon() {
    std::lock_guard guard(mutex_);
    abandoned_ = true;
    return empty();
  }
  /// A holder follows after all.
  void open() {
    std::lock_guard guard(mutex_);
    abandoned_ = false;
  }

  [[nodiscard]] std::vector<Lease> entries() const {
    std::lock_guard guard(mutex_);
    return leases_;
  }

  [[nodiscard]] std::size_t size() const {
    std::lock_guard guard(mutex_);
    return leases_.size();
  }

 private:
  std::vector<Lease> empty() {
    index_.clear();
    return std::exchange(leases_, {});
  }

  mutable std::mutex mutex_;
  bool abandoned_ = false;
  std::vector<Lease> leases_;
  std::unordered_map<SequenceId, std::size_t> index_;
};

}  // namespace sluice
