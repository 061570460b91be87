// What a supervisor is told about its children: the tree is data, in OTP's words. START HERE.
#pragma once

#include "base/clock.h"
#include "supervision/backoff.h"
#include "supervision/lease_table.h"
#include "supervision/quarantine.h"
#include "supervision/restart_intensity.h"

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

class Tree;

/// Which children a supervisor restarts when one of them ends.
enum class Strategy : std::uint8_t {
  one_for_one,   ///< that child alone
  one_for_all,   ///< all of them
  rest_for_one,  ///< that child and those to its right (started after it, so they may lean on it)
};

/// Whether a child is started again after it ended by itself. A child that its supervisor stopped
/// because of a sibling comes back unless it is temporary.
enum class Restart : std::uint8_t {
  permanent,  ///< always
  transient,  ///< only after an abnormal end: a reason other than none, normal and user_shutdown
  temporary,  ///< never
};

/// What happens when a budget of restarts is used up.
enum class OnExhausted : std::uint8_t {
  escalate,  ///< the supervisor stops its children and ends; its own parent decides
  /// The child, and those its strategy ties to it, stay down until a trial; the others go on.
  quarantine,
  disable,  ///< the whole branch is stopped and stays off
};

/// How many restarts are borne, and what follows the one too many.
struct Budget {
  std::uint32_t restarts = 5;
  Duration period = std::chrono::seconds(60);
  OnExhausted on_exhausted = OnExhausted::escalate;
  QuarantineOptions quarantine = {};  ///< when its trials are
};

/// One life of a child: what its factory is given.
struct Incarnation {
  std::uint64_t number = 0;  ///< 1, 2, ... for the life of the tree; later ones are larger
  std::string path;          ///< "root/lanes/lane0/executor"
  /// The leases its predecessor held, if the child asked for a table. The first act of an
  /// incarnation is to tell their sessions (tell_holder_lost), which also empties the table.
  std::shared_ptr<LeaseTable> leases;
  std::shared_ptr<Tree> tree;  ///< registry of roles, random numbers
};

/// Spawns one incarnation. Runs on the supervisor's thread and must not block. A throw or an empty
/// handle is a failed start.
using Factory = std::function<caf::actor(caf::actor_system& system, const Incarnation& life)>;

struct SupervisorSpec;

/// One child: an actor that `start` spawns, or a supervisor of its own.
struct ChildSpec {
  /// No limit; for supervisors, whose children have limits of their own.
  static constexpr Duration kUnlimited = Duration::max();

  std::string id;                                    ///< unique among its siblings, without '/'
  Factory start;                                     ///< or
  std::shared_ptr<const SupervisorSpec> supervisor;  ///< exactly one of the two
  Restart restart = Restart::permanent;
  std::string role = {};       ///< name in the registry; empty: nobody needs to find it
  bool holds_leases = false;   ///< gives it a lease table that outlives it
  bool answers_ready = false;  ///< it is up when it has answered ReadyCheck, not when spawned
  Duration start_time = std::chrono::seconds(5);     ///< for the answer to ReadyCheck
  Duration shutdown_time = std::chrono::seconds(5);  ///< between the request to end and the kill
  BackoffOptions backoff = {};
  std::shared_ptr<const Budget> budget = nullptr;  ///< its own; without one, its supervisor's
  std::shared_ptr<StartBucket> bucket = nullptr;   ///< shared by all that must not start together
};

/// A supervisor and its children, in the order of starting; stopping goes the other way.
struct SupervisorSpec {
  Strategy strategy = Strategy::one_for_one;
  Budget budget = {};
  std::vector<ChildSpec> children;
};

/// A child that is an actor.
inline ChildSpec actor_child(std::string id, Factory start) {
  return ChildSpec{.id = std::move(id), .start = std::move(start), .supervisor = nullptr};
}

/// A child that is a supervisor. It is waited for until its own children have been started.
inline ChildSpec supervisor_child(std::string id, SupervisorSpec spec) {
  return ChildSpec{.id = std::move(id),
                   .start = nullptr,
                   .supervisor = std::make_shared<const SupervisorSpec>(std::move(spec)),
                   .answers_ready = true,
                   .start_time = ChildSpec::kUnlimited,
                   .shutdown_time = ChildSpec::kUnlimited};
}

}  // namespace sluice
