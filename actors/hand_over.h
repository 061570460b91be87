// How work goes from hand to hand without a moment in which nobody is answerable for it.
//
// The giver writes the lease into the receiver's table, then sends, and only then drops its own
// lease. So a message that dies with the receiver's mailbox leaves a lease behind, and the next
// incarnation tells the session. For its part a receiver
//   1. tells the sessions of all leases it finds when it is born,
//   2. does so once more, for those it does not know, when it hears that it has been announced, and
//   3. takes work only if the lease still stands.
// The giver looks at the registry again after sending: if the receiver changed meanwhile, both
// sweeps may have come too early, and it gives once more. Two holders of one sequence can result
// for a moment; epochs make that harmless.
#pragma once

#include "actors/messages.h"
#include "supervision/lease_table.h"
#include "supervision/registry.h"

#include <caf/send.hpp>

#include <memory>
#include <string>
#include <utility>

namespace sluice {

/// A role and the table of its leases.
struct Holder {
  std::string role;
  std::shared_ptr<LeaseTable> leases;
};

/// Gives `works` to whoever plays the role, or leaves the leases for the next incarnation if nobody
/// does. `Message` is Enqueue (one work), Batch or Assign (many).
template <class Message, class Works>
void hand_over(Registry& registry, const Holder& to, const Works& works, Message message) {
  for (;;) {
    auto peer = registry.find(to.role);
    for (const Work& work : works)
      to.leases->add({work.id, work.epoch, work.session});
    if (peer) caf::anon_send(peer->handle, message);
    auto now = registry.find(to.role);
    std::uint64_t before_number = peer ? peer->incarnation : 0;
    std::uint64_t after_number = now ? now->incarnation : 0;
    if (before_number == after_number) return;
  }
}

/// Tells the session of every lease in the table that `known` does not claim that its holder was
/// lost.
template <class Known>
void sweep(LeaseTable& leases, const std::string& role, Known known) {
  for (const Lease& lease : leases.entries()) {
    if (known(lease.id)) continue;
    leases.remove(lease.id, lease.epoch);
    caf::anon_send(lease.session, HolderLost{lease.id, lease.epoch, role, lease.accepted});
  }
}

}  // namespace sluice
