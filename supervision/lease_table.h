// Who holds which sequence: a table that outlives the actor that writes it.
#pragma once

#include "base/ids.h"

#include <caf/actor.hpp>

#include <cstddef>
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
/// when a killed predecessor is still in its last handler. All calls cost O(1) but `entries` and
/// `take_all`. The order of `entries` depends on the calls alone, so simulations repeat.
///   Why a table and not a monitor per session: CAF's demonitor walks all watchers of an actor.
class LeaseTable {
 public:
  /// Writes a lease; one of the same sequence is replaced, but for what was accepted under the same
  /// epoch.
  void add(Lease lease) {
    std::lock_guard guard(mutex_);
    auto [place, is_new] = index_.try_emplace(lease.id, leases_.size());
    if (is_new) {
      leases_.push_back(std::move(lease));
      return;
    }
    Lease& known = leases_[place->second];
    // A giver that is not sure whether its message arrived writes its lease once more.
    if (known.epoch == lease.epoch) lease.accepted = lease.accepted || known.accepted;
    known = std::move(lease);
  }

  /// Notes in the lease of that epoch, if it stands, that the sequence was let in.
  void accept(SequenceId id, Epoch epoch) {
    std::lock_guard guard(mutex_);
    auto found = index_.find(id);
    if (found == index_.end()) return;
    Lease& lease = leases_[found->second];
    if (lease.epoch == epoch) lease.accepted = true;
  }

  /// Drops the lease of a sequence, but none of an epoch newer than `epoch`: while a holder passes
  /// old work on, the same sequence may have been given to it anew. False: there was none.
  bool remove(SequenceId id, Epoch epoch = std::numeric_limits<Epoch>::max()) {
    std::lock_guard guard(mutex_);
    auto found = index_.find(id);
    if (found == index_.end() || leases_[found->second].epoch > epoch) return false;
    std::size_t hole = found->second;
    index_.erase(found);
    if (hole + 1 != leases_.size()) {
      leases_[hole] = std::move(leases_.back());
      index_[leases_[hole].id] = hole;
    }
    leases_.pop_back();
    return true;
  }

  /// True if the sequence is leased under this epoch. A holder takes work only if it is: a lease
  /// that was swept while the work was on its way has been offered again elsewhere.
  [[nodiscard]] bool holds(SequenceId id, Epoch epoch) const {
    std::lock_guard guard(mutex_);
    auto found = index_.find(id);
    return found != index_.end() && leases_[found->second].epoch == epoch;
  }

  void clear() { take_all(); }

  /// Empties the table and returns what was in it.
  std::vector<Lease> take_all() {
    std::lock_guard guard(mutex_);
    index_.clear();
    return std::exchange(leases_, {});
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
  mutable std::mutex mutex_;
  std::vector<Lease> leases_;
  std::unordered_map<SequenceId, std::size_t> index_;
};

}  // namespace sluice
