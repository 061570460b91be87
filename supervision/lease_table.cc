#include "supervision/lease_table.h"

namespace sluice {

LeaseTable::Added LeaseTable::add(Lease lease) {
  std::lock_guard guard(mutex_);
  if (abandoned_) return Added::abandoned;
  auto [place, is_new] = index_.try_emplace(lease.id, leases_.size());
  if (is_new) {
    leases_.push_back(std::move(lease));
    return Added::yes;
  }
  Lease& known = leases_[place->second];
  if (known.epoch > lease.epoch) return Added::outdated;
  // A giver that is not sure whether its message arrived writes its lease once more.
  if (known.epoch == lease.epoch) lease.accepted = lease.accepted || known.accepted;
  known = std::move(lease);
  return Added::yes;
}

void LeaseTable::accept(SequenceId id, Epoch epoch) {
  std::lock_guard guard(mutex_);
  auto found = index_.find(id);
  if (found == index_.end()) return;
  Lease& lease = leases_[found->second];
  if (lease.epoch == epoch) lease.accepted = true;
}

bool LeaseTable::remove(SequenceId id, Epoch epoch) {
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

}  // namespace sluice
