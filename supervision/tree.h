// What outlives every supervisor: lease tables, incarnation numbers, roles, and how each child is.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "supervision/child_spec.h"
#include "supervision/lease_table.h"
#include "supervision/registry.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

enum class ChildState : std::uint8_t {
  down,         ///< not started yet, or stopped
  starting,     ///< spawned, has not answered ReadyCheck
  up,           ///< serves
  waiting,      ///< ended; its back-off runs
  stopping,     ///< asked to end
  finished,     ///< ended for good, as its restart type says
  quarantined,  ///< its budget is used up; the others go on, and it is tried again later
  disabled,     ///< its whole branch is off
};
std::string_view to_string(ChildState state);

/// How one child is.
struct ChildStatus {
  std::string path;  ///< "root/lanes/lane0/executor"
  std::string role;
  bool is_supervisor = false;
  ChildState state = ChildState::down;
  std::uint64_t incarnation = 0;  ///< of the current or last life; 0: never started
  std::uint64_t restarts = 0;
  std::string last_reason;  ///< why the last life ended; empty: none has
  TimePoint since;          ///< when the state was entered
  /// While waiting the back-off chosen; while quarantined the time until the trial, zero: none.
  Duration delay = Duration::zero();
};

/// The ledger shared by all supervisors of one tree. Thread-safe; no call blocks.
class Tree {
 public:
  /// Hears every change of a child's state, on the thread of its supervisor, for logs, metrics and
  /// alarms. Must not block and must not call the tree.
  using Observer = std::function<void(const ChildStatus&)>;

  explicit Tree(std::shared_ptr<Random> random, Observer observer = nullptr);

  [[nodiscard]] Registry& registry() { return registry_; }
  [[nodiscard]] Random& random() { return *random_; }
  /// The lease table of a path; the same one for the life of the tree.
  std::shared_ptr<LeaseTable> leases(const std::string& path);
  /// Counts the lives of a path: 1, 2, ... Its lease table is open again, if it was abandoned.
  std::uint64_t next_incarnation(const std::string& path);
  /// Who lives at `path` now, in the life that was counted last.
  void born(const std::string& path, const caf::actor& handle);
  /// Who was born there last, and how it is as far as anybody knows. No handle: it is gone, or
  /// nobody ever was.
  [[nodiscard]] std::pair<caf::actor, ChildStatus> last_born(const std::string& path) const;
  void update(const ChildStatus& status);
  /// No incarnation will follow at `path` nor below it: tells the sessions of all lease tables
  /// there, which take no more until one follows after all.
  void abandon_leases(const std::string& path);
  /// All children that ever were and have not been deleted, ordered by path.
  [[nodiscard]] std::vector<ChildStatus> snapshot() const;

  // --- children that come and go -----------------------------------------------------------------

  /// A supervisor's children besides those that it was made with, in the order in which they were
  /// added: its next life has them, too.
  ///   path  of the supervisor
  [[nodiscard]] std::vector<ChildSpec> added_children(const std::string& path) const;
  /// Whether it was made with a child that has been deleted.
  [[nodiscard]] bool is_deleted(const std::string& path) const;
  void add_child(const std::string& supervisor, const ChildSpec& child);
  /// It will not come back. Its numbers of lives stay used, so that a child that is added in its
  /// place later is not mistaken for it.
  void delete_child(const std::string& supervisor, const std::string& id);

 private:
  /// What was changed of a supervisor's children.
  struct Changes {
    std::vector<ChildSpec> added;
    std::set<std::string> deleted;  // ids, of those that it was made with
  };
  struct Entry {
    std::uint64_t incarnations = 0;
    std::shared_ptr<LeaseTable> leases;
    caf::weak_actor_ptr last_born;
    ChildStatus status;
    bool reported = false;
  };
  std::shared_ptr<Random> random_;
  Observer observer_;
  Registry registry_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, Changes> changes_;  // by the supervisor's path
  std::uint64_t forgotten_lives_ = 0;       // the most that a deleted child has had
};

/// Tells every session in the table that its holder is gone, and empties the table. The first act
/// of a holder's new incarnation, and of an executor whose worker died.
///   role  of the holder
void tell_holder_lost(LeaseTable& leases, const std::string& role);

}  // namespace sluice
