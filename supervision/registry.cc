#include "supervision/registry.h"

#include "supervision/messages.h"

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

#include <algorithm>

namespace sluice {
namespace {

void tell(const caf::weak_actor_ptr& who, const auto& message) {
  if (auto strong = who.lock()) caf::anon_send(caf::actor_cast<caf::actor>(strong), message);
}

}  // namespace

void Registry::subscribe(std::string_view role, const caf::actor& who) {
  std::lock_guard guard(mutex_);
  Role& entry = roles_[std::string(role)];
  auto weak = caf::actor_cast<caf::weak_actor_ptr>(who);
  auto& subscribers = entry.subscribers;
  if (std::find(subscribers.begin(), subscribers.end(), weak) == subscribers.end()) {
    if (subscribers.size() >= entry.purge_at) {
      std::erase_if(subscribers, [](const auto& other) { return other.lock() == nullptr; });
      entry.purge_at = std::max<std::size_t>(16, 2 * subscribers.size());
    }
    subscribers.push_back(weak);
  }
  if (entry.peer)
    caf::anon_send(who, PeerUp{std::string(role), entry.peer->incarnation, entry.peer->handle});
  else if (entry.final)
    caf::anon_send(who, PeerDown{std::string(role), 0, true, entry.reason});
}

void Registry::unsubscribe(std::string_view role, const caf::actor& who) {
  std::lock_guard guard(mutex_);
  auto found = roles_.find(role);
  if (found == roles_.end()) return;
  std::erase(found->second.subscribers, caf::actor_cast<caf::weak_actor_ptr>(who));
}

std::optional<Peer> Registry::find(std::string_view role) const {
  std::lock_guard guard(mutex_);
  auto found = roles_.find(role);
  return found == roles_.end() ? std::nullopt : found->second.peer;
}

void Registry::announce_up(std::string_view role,
                           std::uint64_t incarnation,
                           const caf::actor& handle) {
  std::lock_guard guard(mutex_);
  Role& entry = roles_[std::string(role)];
  entry.peer = Peer{handle, incarnation};
  entry.final = false;
  for (const auto& subscriber : entry.subscribers)
    tell(subscriber, PeerUp{std::string(role), incarnation, handle});
}

void Registry::announce_down(std::string_view role,
                             std::uint64_t incarnation,
                             bool final,
                             const std::string& reason) {
  std::lock_guard guard(mutex_);
  auto found = roles_.find(role);
  if (found == roles_.end()) return;
  Role& entry = found->second;
  if (!entry.peer || entry.peer->incarnation != incarnation) return;
  entry.peer.reset();
  entry.final = final;
  entry.reason = reason;
  for (const auto& subscriber : entry.subscribers)
    tell(subscriber, PeerDown{std::string(role), incarnation, final, reason});
}

void Registry::announce_final(std::string_view role, const std::string& reason) {
  std::lock_guard guard(mutex_);
  Role& entry = roles_[std::string(role)];
  if (entry.final) return;
  std::uint64_t incarnation = entry.peer ? entry.peer->incarnation : 0;
  entry.peer.reset();
  entry.final = true;
  entry.reason = reason;
  for (const auto& subscriber : entry.subscribers)
    tell(subscriber, PeerDown{std::string(role), incarnation, true, reason});
}

}  // namespace sluice
