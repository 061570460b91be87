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
  /// `who` gets PeerUp and PeerDown of `role` from now on, and at once PeerUp if somebody plays it,
  /// or PeerDown if nobody will. Subscribing twice changes nothing but repeats that first message.
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
  /// For supervisors: nobody plays the role, and nobody will before it is announced again. Those
  /// who have heard so already are not told twice.
  void announce_final(std::string_view role, const std::string& reason);

 private:
  struct Role {
    std::optional<Peer> peer;
    bool final = false;                            // no other player follows
    std::string reason;                            // of that
    std::vector<caf::weak_actor_ptr> subscribers;  // in order of subscription
    std::size_t purge_at = 16;                     // when the gone ones are looked for next
  };
  mutable std::mutex mutex_;
  std::map<std::string, Role, std::less<>> roles_;
};

}  // namespace sluice
