// The memory that request bodies and prompts may have together, and who gives way when it is used
// up.
#pragma once

#include "base/clock.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace sluice {

/// Counts the bytes of all requests from the first byte of a body until nothing of its prompts is
/// left. Bytes are counted as they come, not as they are announced: a body of 8 MiB that trickles
/// takes no room from others before it is there.
///
/// The last eighth is for small bodies: what a request has beyond `small` must leave it free. When
/// seven eighths of its room are used, whoever needs more makes others give way, so that there is
/// room again before it is gone: the address that holds the most in unfinished bodies loses its
/// oldest one, unless the one that asks would then hold more itself. An address takes from its own
/// unfinished bodies only if they began earlier by `grace`. Whoever finds no room is refused.
///
/// A request whose body is complete is never taken away.
///
/// Thread-safe. `give_way` is called without a lock held, on the thread of whoever needed the room.
class ByteBudget : public std::enable_shared_from_this<ByteBudget> {
 public:
  struct Options {
    std::uint64_t total = std::uint64_t{96} << 20;
    std::uint64_t small = std::uint64_t{64} << 10;
    Duration grace = std::chrono::seconds(2);
  };

  class Share;

  static std::shared_ptr<ByteBudget> create(Options options);

  /// A share for a request that begins, without any bytes so far.
  ///   address   who asks; bodies of one address are counted together
  ///   expected  bytes of its body, as far as it is known; 0: not known
  ///   give_way  the body is to be given up, for others need its room; called at most once, and
  ///             possibly when it no longer matters
  /// Null: there is no room for so much now.
  [[nodiscard]] std::unique_ptr<Share> open(std::string address,
                                            std::uint64_t expected,
                                            std::function<void()> give_way,
                                            TimePoint now);

  /// The most a single request can ever have.
  [[nodiscard]] std::uint64_t largest() const { return limit_of(options_.small + 1); }
  [[nodiscard]] std::uint64_t total() const { return options_.total; }
  [[nodiscard]] std::uint64_t used() const;
  /// Requests that were refused for want of room, and bodies that had to give way.
  [[nodiscard]] std::uint64_t refused() const;
  [[nodiscard]] std::uint64_t gave_way() const;

 private:
  struct Entry {
    std::string address;
    std::uint64_t bytes = 0;
    TimePoint begun;
    std::list<Entry*>::iterator place;  ///< among the bodies of its address
    std::function<void()> give_way;
    bool unfinished = true;
    bool leaving = false;  ///< it was told to give way
  };
  /// What one address holds in bodies that are not complete, the oldest first.
  struct Address {
    std::uint64_t bytes = 0;  ///< without those that are leaving
    std::list<Entry*> bodies;
  };
  using Calls = std::vector<std::function<void()>>;

  explicit ByteBudget(Options options) : options_(options) {}

  bool resize(Entry& entry, std::uint64_t bytes);
  void complete(Entry& entry);
  void close(Entry& entry);

  [[nodiscard]] std::uint64_t limit_of(std::uint64_t bytes) const;
  bool make_room(const Entry& entry, std::uint64_t bytes, Calls& calls);
  Entry* find_victim(const Entry& wanting, std::uint64_t more) const;
  static Entry* oldest_of(const Address& address, const Entry* but_not);
  void leave_address(Entry& entry);
  void forget_body(Entry& entry);

  const Options options_;
  mutable std::mutex mutex_;
  std::map<std::string, Address> addresses_;  ///< those with unfinished bodies
  std::uint64_t used_ = 0;
  std::uint64_t leaving_ = 0;  ///< of `used_`, of those that were told to give way
  std::uint64_t refused_ = 0;
  std::uint64_t gave_way_ = 0;
};

/// What one request holds; it returns when this is destroyed. One thread at a time.
class ByteBudget::Share {
 public:
  Share(std::shared_ptr<ByteBudget> budget, std::unique_ptr<Entry> entry)
      : budget_(std::move(budget)), entry_(std::move(entry)) {}
  ~Share() { budget_->close(*entry_); }
  Share(const Share&) = delete;
  Share& operator=(const Share&) = delete;

  /// It holds so much from now on. False: there is no room for more, nothing has changed.
  [[nodiscard]] bool resize(std::uint64_t bytes) { return budget_->resize(*entry_, bytes); }
  /// The body is complete: from now on nobody takes its bytes away.
  void complete() { budget_->complete(*entry_); }

 private:
  std::shared_ptr<ByteBudget> budget_;
  std::unique_ptr<Entry> entry_;
};

}  // namespace sluice
