#include "supervision/tree.h"

#include "base/yield_point.h"
#include "supervision/messages.h"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

void tell(const std::vector<Lease>& lost, const std::string& role) {
  for (const Lease& lease : lost) {
    YIELD_POINT("supervision.lost");
    caf::anon_send(lease.session, HolderLost{lease.id, lease.epoch, role, lease.accepted});
  }
}

}  // namespace

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
  Entry& entry = entries_[path];
  if (entry.leases) entry.leases->open();
  if (entry.incarnations == 0) entry.incarnations = forgotten_lives_;
  return ++entry.incarnations;
}

void Tree::born(const std::string& path, const caf::actor& handle) {
  std::lock_guard guard(mutex_);
  entries_[path].last_born = caf::actor_cast<caf::weak_actor_ptr>(handle);
}

std::pair<caf::actor, ChildStatus> Tree::last_born(const std::string& path) const {
  std::lock_guard guard(mutex_);
  auto found = entries_.find(path);
  if (found == entries_.end()) return {};
  const Entry& entry = found->second;
  return {caf::actor_cast<caf::actor>(entry.last_born.lock()), entry.status};
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
  std::vector<std::pair<std::string, std::vector<Lease>>> lost;  // by role, or path
  {
    std::lock_guard guard(mutex_);
    for (auto i = entries_.lower_bound(path); i != entries_.end() && i->first.starts_with(path);
         ++i) {
      bool inside = i->first.size() == path.size() || i->first[path.size()] == '/';
      if (!inside || !i->second.leases) continue;
      const std::string& role = i->second.status.role;
      lost.emplace_back(role.empty() ? i->first : role, i->second.leases->abandon());
    }
  }
  for (const auto& [role, leases] : lost)
    tell(leases, role);
}

std::vector<ChildStatus> Tree::snapshot() const {
  std::lock_guard guard(mutex_);
  std::vector<ChildStatus> all;
  for (const auto& [path, entry] : entries_)
    if (entry.reported) all.push_back(entry.status);
  return all;
}

std::vector<ChildSpec> Tree::added_children(const std::string& path) const {
  std::lock_guard guard(mutex_);
  auto found = changes_.find(path);
  return found != changes_.end() ? found->second.added : std::vector<ChildSpec>();
}

bool Tree::is_deleted(const std::string& path) const {
  std::lock_guard guard(mutex_);
  const std::size_t slash = path.rfind('/');
  auto found = changes_.find(path.substr(0, slash));
  return found != changes_.end() && found->second.deleted.contains(path.substr(slash + 1));
}

void Tree::add_child(const std::string& supervisor, const ChildSpec& child) {
  std::lock_guard guard(mutex_);
  changes_[supervisor].added.push_back(child);
}

void Tree::delete_child(const std::string& supervisor, const std::string& id) {
  std::lock_guard guard(mutex_);
  Changes& changes = changes_[supervisor];
  if (std::erase_if(changes.added, [&](const ChildSpec& child) { return child.id == id; }) == 0)
    changes.deleted.insert(id);
  const std::string path = supervisor + "/" + id;
  auto is_inside = [&](const std::string& other) {
    return other.starts_with(path) && (other.size() == path.size() || other[path.size()] == '/');
  };
  for (auto i = entries_.lower_bound(path); i != entries_.end() && i->first.starts_with(path);) {
    if (is_inside(i->first)) {
      forgotten_lives_ = std::max(forgotten_lives_, i->second.incarnations);
      i = entries_.erase(i);
    } else {
      ++i;
    }
  }
  std::erase_if(changes_, [&](const auto& change) { return is_inside(change.first); });
}

void tell_holder_lost(LeaseTable& leases, const std::string& role) {
  tell(leases.take_all(), role);
  YIELD_POINT("supervision.told");
}

}  // namespace sluice
