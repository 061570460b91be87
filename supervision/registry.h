// Who plays which role right now: actors find each other here and never hold a handle across a
// restart.
#pragma once

#include <caf/actor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// One incarnation that serves.
struct Peer {
  caf::actor handle;
  std::uint64_t incarnation = 0;
};

/// Roles and their current players, kept by supervisors. Thread-safe; nothing blocks but a short
/// mutex. Subscribers are held weakly: one that is gone needs no farewell.
class Registry {
 public:
  /// `who` gets PeerUp and PeerDown of `role` from now on, and PeerUp at once if somebody plays it.
  /// Subscribing twice changes nothing but repeats that first PeerUp.
  void subscribe(std::string_view role, const caf::actor& who);
  void unsubscribe(std::string_view role, const caf::actor& who);
  /// Who plays the role now. The handle is good for this incarnation only.
  [[nodiscard]] std::optional<Peer> find(std::string_view role) const;

  /// For supervisors: the role's new player serves.
  void announce_up(std::string_view role, std::uint64_t incarnation, const caf::actor& handle);
  /// For supervisors: that player serves no longer; `final`: no other will follow. A stale
  /// incarnation changes nothing.
  void announce_down(std::string_view role,
                     std::uint64_t incarnation,
                     bool final,
                     const std::string& reason);

 private:
  struct Role {
    std::optional<Peer> peer;
    std::vector<caf::weak_actor_ptr> subscribers;  // in order of subscription
    std::size_t purge_at = 16;                     // when the gone ones are looked for next
  };
  mutable std::mutex mutex_;
  std::map<std::string, Role, std::less<>> roles_;
};

}  // namespace sluice
