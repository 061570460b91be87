// The messages of supervision and their CAF type ids.
#pragma once

#include "base/ids.h"
#include "supervision/child_spec.h"

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/type_id.hpp>

#include <cstdint>
#include <string>

namespace sluice {

template <class Inspector, class Tag, class Number>
bool inspect(Inspector& f, Id<Tag, Number>& x) {
  return f.object(x).fields(f.field("value", x.value));
}

/// To a child that `answers_ready`, as a request: any answer but an error says that it serves.
struct ReadyCheck {};
/// To the root, as a request: stop the tree right to left. Answered when everything is down.
struct StopTree {};
/// To the root: start a quarantined or disabled child again, with a fresh budget.
struct Revive {
  std::string path;  ///< "root/lanes/lane0"
};

/// To the root, as a request: another child for the supervisor at `supervisor`, the rightmost.
/// Answered when it is up; or with an error, and then there is no such child: its id is in use or
/// none, no such supervisor is up, or it could not be started. The supervisor's later lives have
/// it, too.
struct StartChild {
  std::string supervisor;  ///< "root/plugins"
  ChildSpec child;
};
/// To the root, as a request: stop the child at `path` and forget it. Answered when it is gone, or
/// with an error if there is none.
struct DeleteChild {
  std::string path;  ///< "root/plugins/canary"
};

/// To subscribers of a role: from now on this is who plays it.
struct PeerUp {
  std::string role;
  std::uint64_t incarnation = 0;
  caf::actor handle;
};
/// To subscribers of a role: that incarnation serves no longer.
struct PeerDown {
  std::string role;
  std::uint64_t incarnation = 0;  ///< 0: the last one was announced down before
  bool final = false;             ///< no successor follows: quarantined, disabled or stopped
  std::string reason;
};

/// To the session of a lease: its holder is gone, the work must be offered again. Counts only if
/// `role` still is the session's holder and the epoch is current.
struct HolderLost {
  SequenceId id;
  Epoch epoch = 0;
  std::string role;       ///< of the holder, or its path if it has no role
  bool accepted = false;  ///< as the lease said
};

/// A supervisor to itself: look again, something may be due.
struct Wake {};

template <class Inspector>
bool inspect(Inspector& f, ReadyCheck& x) {
  return f.object(x).fields();
}
template <class Inspector>
bool inspect(Inspector& f, StopTree& x) {
  return f.object(x).fields();
}
template <class Inspector>
bool inspect(Inspector& f, Revive& x) {
  return f.object(x).fields(f.field("path", x.path));
}
template <class Inspector>
bool inspect(Inspector& f, DeleteChild& x) {
  return f.object(x).fields(f.field("path", x.path));
}
template <class Inspector>
bool inspect(Inspector& f, PeerUp& x) {
  return f.object(x).fields(
      f.field("role", x.role), f.field("incarnation", x.incarnation), f.field("handle", x.handle));
}
template <class Inspector>
bool inspect(Inspector& f, PeerDown& x) {
  return f.object(x).fields(f.field("role", x.role),
                            f.field("incarnation", x.incarnation),
                            f.field("final", x.final),
                            f.field("reason", x.reason));
}
template <class Inspector>
bool inspect(Inspector& f, HolderLost& x) {
  return f.object(x).fields(f.field("id", x.id),
                            f.field("epoch", x.epoch),
                            f.field("role", x.role),
                            f.field("accepted", x.accepted));
}
template <class Inspector>
bool inspect(Inspector& f, Wake& x) {
  return f.object(x).fields();
}

}  // namespace sluice

// Append only: ids are positions. The next block begins at first_custom_type_id + 50.
CAF_BEGIN_TYPE_ID_BLOCK(sluice_supervision, caf::first_custom_type_id)
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::ReadyCheck))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::StopTree))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::Revive))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::PeerUp))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::PeerDown))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::HolderLost))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::Wake))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::StartChild))
  CAF_ADD_TYPE_ID(sluice_supervision, (sluice::DeleteChild))
CAF_END_TYPE_ID_BLOCK(sluice_supervision)

// Its factory is of this process.
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(sluice::StartChild)
