#include "supervision/tree.h"

#include "supervision/messages.h"

#include <caf/send.hpp>

#include <utility>

namespace sluice {

std::string_view to_string(ChildState state) {
  switch (state) {
    case ChildState::down:
      return "down";
    case ChildState::starting:
      return "starting";
    case ChildState::up:
      return "up";
    case ChildState::waiting:
      return "waiting";
    case ChildState::stopping:
      return "stopping";
    case ChildState::finished:
      return "finished";
    case ChildState::quarantined:
      return "quarantined";
    case ChildState::disabled:
      return "disabled";
  }
  return "unknown";
}

Tree::Tree(std::shared_ptr<Random> random, Observer observer)
    : random_(std::move(random)), observer_(std::move(observer)) {}

std::shared_ptr<LeaseTable> Tree::leases(const std::string& path) {
  std::lock_guard guard(mutex_);
  Entry& entry = entries_[path];
  if (!entry.leases) entry.leases = std::make_shared<LeaseTable>();
  return entry.leases;
}

std::uint64_t Tree::next_incarnation(const std::string& path) {
  std::lock_guard guard(mutex_);
  return ++entries_[path].incarnations;
}

void Tree::update(const ChildStatus& status) {
  {
    std::lock_guard guard(mutex_);
    Entry& entry = entries_[status.path];
    entry.status = status;
    entry.reported = true;
  }
  if (observer_) observer_(status);
}

void Tree::abandon_leases(const std::string& path) {
  std::lock_guard guard(mutex_);
  for (auto i = entries_.lower_bound(path); i != entries_.end() && i->first.starts_with(path);
       ++i) {
    bool inside = i->first.size() == path.size() || i->first[path.size()] == '/';
    if (!inside || !i->second.leases) continue;
    const std::string& role = i->second.status.role;
    tell_holder_lost(*i->second.leases, role.empty() ? i->first : role);
  }
}

std::vector<ChildStatus> Tree::snapshot() const {
  std::lock_guard guard(mutex_);
  std::vector<ChildStatus> all;
  for (const auto& [path, entry] : entries_)
    if (entry.reported) all.push_back(entry.status);
  return all;
}

void tell_holder_lost(LeaseTable& leases, const std::string& role) {
  for (const Lease& lease : leases.take_all())
    caf::anon_send(lease.session, HolderLost{lease.id, lease.epoch, role, lease.accepted});
}

}  // namespace sluice
