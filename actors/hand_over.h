// How work goes from hand to hand without a moment in which nobody is answerable for it.
//
// The giver writes the lease into the receiver's table, then sends, and only then drops its own
// lease. So a message that dies with the receiver's mailbox leaves a lease behind, and the next
// incarnation tells the session. For its part a receiver
//   1. tells the sessions of all leases it finds when it is born,
//   2. does so once more, for those it does not know, when it hears that it has been announced, and
//   3. takes work only if the lease still stands and the session still wants it.
// The giver looks at the registry again after sending: if the receiver changed meanwhile, both
// sweeps may have come too early, and it gives once more what is still leased. Two holders of one
// sequence can result for a moment; epochs make that harmless.
//
// A giver may be held up between any two of these steps, for as long as it takes the receiver to
// end, to start again, and the session to offer the sequence anew. So an older lease never replaces
// a newer one, and work that nobody wants any more goes no further. And as its session may have
// said so while it was on its way, the giver says it again, behind the work.
#pragma once

#include "actors/work.h"
#include "base/yield_point.h"
#include "supervision/lease_table.h"
#include "supervision/messages.h"
#include "supervision/registry.h"

#include <caf/send.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// A role and the table of its leases.
struct Holder {
  std::string role;
  std::shared_ptr<LeaseTable> leases;
};

/// Writes the leases of `works` and takes those out that are not to be given, which it returns:
/// nobody wants them, or no holder will come. Of the latter the sessions are told.
std::vector<Work> write_leases(const Holder& to, std::vector<Work>& works);
/// Takes those out that are leased no longer: whoever took the lease away has passed the work on,
/// or told its session.
void forget_passed_on(const Holder& to, std::vector<Work>& works);
/// Tells the receiver of those that are not wanted any more: when their sessions said so, they were
/// on their way.
void repeat_drops(const Holder& to,
                  const std::optional<Peer>& peer,
                  const std::vector<Work>& works);

/// Gives `works` to whoever plays the role, or leaves the leases for the next incarnation if nobody
/// does. Returns those that were not given, of which nobody will speak any more; the giver drops
/// its leases of these like those of the others.
///   message_of  makes the message from the works that are given: Enqueue, Batch, Assign or Submit
template <class MessageOf>
std::vector<Work> hand_over(Registry& registry,
                            const Holder& to,
                            std::vector<Work> works,
                            MessageOf message_of) {
  std::optional<Peer> peer = registry.find(to.role);
  YIELD_POINT("hand_over.found");
  std::vector<Work> kept = write_leases(to, works);
  while (!works.empty()) {
    YIELD_POINT("hand_over.leased");
    if (peer) caf::anon_send(peer->handle, message_of(works));
    YIELD_POINT("hand_over.sent");
    auto now = registry.find(to.role);
    std::uint64_t before_number = peer ? peer->incarnation : 0;
    std::uint64_t after_number = now ? now->incarnation : 0;
    if (before_number == after_number) break;
    peer = std::move(now);
    forget_passed_on(to, works);
  }
  repeat_drops(to, peer, works);
  return kept;
}

/// Tells the session of every lease in the table that `known` does not claim that its holder was
/// lost.
template <class Known>
void sweep(LeaseTable& leases, const std::string& role, Known known) {
  for (const Lease& lease : leases.entries()) {
    if (known(lease.id)) continue;
    YIELD_POINT("hand_over.sweep");
    // Whoever took the lease away meanwhile answers for the sequence, too.
    if (!leases.remove(lease.id, lease.epoch)) continue;
    caf::anon_send(lease.session, HolderLost{lease.id, lease.epoch, role, lease.accepted});
  }
}

}  // namespace sluice
