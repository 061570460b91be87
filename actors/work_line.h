// Work that waits, in order, of which any can be found.
#pragma once

#include "actors/messages.h"
#include "base/check.h"

#include <cstdint>
#include <iterator>
#include <list>
#include <unordered_map>
#include <utility>

namespace sluice {

/// A first-in, first-out line of sequences. All calls cost O(1). Owner: an actor.
class WorkLine {
 public:
  struct Waiting {
    Work work;
    std::uint32_t passed = 0;  ///< by how many, since it stands first but does not fit
  };
  using Iterator = std::list<Waiting>::iterator;

  /// Adds at the end. Its id must not wait here already.
  void push_back(Work work) {
    SequenceId id = work.id;
    line_.push_back({std::move(work)});
    CHECK(index_.emplace(id, std::prev(line_.end())).second);
  }
  /// The entry of a sequence; null: it does not wait here.
  [[nodiscard]] const Work* find(SequenceId id) const {
    auto found = index_.find(id);
    return found == index_.end() ? nullptr : &found->second->work;
  }
  [[nodiscard]] bool contains(SequenceId id) const { return index_.contains(id); }
  /// Takes a sequence out, wherever it stands. False: it does not wait here.
  bool remove(SequenceId id) {
    auto found = index_.find(id);
    if (found == index_.end()) return false;
    line_.erase(found->second);
    index_.erase(found);
    return true;
  }
  /// Takes the entry out and returns its work; `entry` moves on to the next one.
  Work take(Iterator& entry) {
    Work work = std::move(entry->work);
    index_.erase(work.id);
    entry = line_.erase(entry);
    return work;
  }
  void clear() {
    line_.clear();
    index_.clear();
  }

  [[nodiscard]] Iterator begin() { return line_.begin(); }
  [[nodiscard]] Iterator end() { return line_.end(); }
  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] bool empty() const { return index_.empty(); }

 private:
  std::list<Waiting> line_;
  std::unordered_map<SequenceId, Iterator> index_;
};

}  // namespace sluice
