// Requests that a client may send again under one Idempotency-Key: they are executed once, and who
// comes while that runs, or soon after, gets the same answer.
#pragma once

#include "api/keys.h"
#include "api/request.h"
#include "base/clock.h"
#include "base/hash.h"
#include "net/http.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace sluice {

/// The longest key, in characters.
inline constexpr std::size_t kIdempotencyKeyMax = 128;

/// The key a request was sent under, as it stands there, quotes included; none: it has none.
/// Errors: 400 `invalid_header` if it is not 1 to 128 printable characters of ASCII.
[[nodiscard]] std::variant<std::optional<std::string>, ApiError> read_idempotency_key(
    const HttpRequest& request);
/// What is wrong with a key, as the end of a sentence; none: nothing.
[[nodiscard]] std::optional<std::string> fault_of_idempotency_key(std::string_view key);

/// What a table knows a request by: who asks, where, and the key. A tenant's keys are all its
/// clients'; those of clients without a tenant's key count for their address alone, so that nobody
/// can take a key away from a stranger by guessing it.
///   path     of HTTP, whichever wire the request came by
///   address  of the client, without its port
[[nodiscard]] std::string idempotency_name(const Client& client,
                                           std::string_view path,
                                           std::string_view address,
                                           std::string_view key);
[[nodiscard]] std::string idempotency_name(const Client& client,
                                           const HttpRequest& request,
                                           std::string_view key);

/// The answer to a request for which another was executed: `first` with an X-Request-Id of its own
/// and Idempotent-Replayed.
[[nodiscard]] HttpResponse replayed_response(const HttpResponse& first,
                                             std::string_view request_id);

/// The keys of requests that run, and of answers that are kept.
///
/// A request under a key that is free is executed. One with the same body that comes meanwhile
/// waits for the answer of the first, unless that is a stream. An execution ends when the last who
/// wanted it has gone, whoever that is. Bodies are compared by their hash and not kept; headers are
/// not compared.
///
/// Kept is what an execution has made: answers of 2xx that are not streams. A retry after any other
/// answer is executed: 429 and 5xx are why clients try again, and a 400 costs little to find once
/// more, while kept it would refuse a body that was put right since. (As Stripe does for what fails
/// validation; other than there no 5xx is kept, for here a request that failed has changed
/// nothing.)
///
/// Bounds: answers are forgotten after `ttl`, and the oldest first when there are too many or too
/// large ones; an answer of more than a sixteenth of the memory is not kept. What runs is bounded
/// by the connections that wait for it.
///
/// Thread-safe: one lock, never held while somebody is called. Owns no timer: old answers go when
/// it is next used.
///   Source: draft-ietf-httpapi-idempotency-key-header-06, and Stripe's API.
class IdempotencyTable : public std::enable_shared_from_this<IdempotencyTable> {
 public:
  struct Options {
    Duration ttl = std::chrono::minutes(10);
    std::uint64_t bytes_max = std::uint64_t{64} << 20;  ///< 0: no answer is kept
    std::size_t answers_max = 65'536;
  };

  /// Somebody who joined an execution. Called once at the most, on any thread; destroyed without a
  /// call if there will be no answer.
  class Waiter {
   public:
    virtual ~Waiter() = default;
    virtual void answer(const HttpResponse& response) = 0;
    /// It has turned out to be a stream, which cannot be shared.
    virtual void refuse_stream() = 0;
  };

  class Execution;

  enum class Entry : std::uint8_t {
    first,      ///< execute it
    joined,     ///< the waiter will hear
    replayed,   ///< there is the answer
    streams,    ///< refuse: a stream under that key still runs
    different,  ///< refuse: the key was used with another body
  };
  struct Entered {
    Entry entry = Entry::first;
    std::shared_ptr<Execution> execution;  ///< if first or joined
    /// If replayed; with the headers of the first, its X-Request-Id included.
    std::shared_ptr<const HttpResponse> answer;
  };
  struct Stats {
    std::uint64_t bytes = 0;  ///< of kept answers, and of what it costs to know them
    std::size_t answers = 0;
    std::size_t running = 0;
  };

  static std::shared_ptr<IdempotencyTable> create(Options options);
  static std::shared_ptr<IdempotencyTable> create() { return create(Options()); }

  /// A request has come.
  ///   name    of `idempotency_name`
  ///   body    its hash
  ///   waiter  who is to hear if it joins another; not kept otherwise
  Entered enter(const std::string& name,
                const Hash128& body,
                std::shared_ptr<Waiter> waiter,
                TimePoint now);
  /// Whether something of that name runs or is kept: a request that asks for it again costs
  /// nothing.
  [[nodiscard]] bool knows(const std::string& name, TimePoint now);
  /// Forgets what is old, too.
  [[nodiscard]] Stats stats(TimePoint now);

 private:
  struct Known {
    Hash128 body;
    std::shared_ptr<Execution> execution;        ///< null: it has ended
    std::shared_ptr<const HttpResponse> answer;  ///< null: it runs
    std::uint64_t bytes = 0;
    TimePoint expires;
    std::list<const std::string*>::iterator place;  ///< in `kept_`
  };
  // Ordered: what a hash table costs at worst, a client that chooses its keys could bring about.
  using Names = std::map<std::string, Known>;

  explicit IdempotencyTable(Options options) : options_(options) {}

  void keep(Names::iterator known, const HttpResponse& answer, TimePoint now);
  void forget(Names::iterator known);
  void forget_expired(TimePoint now);

  const Options options_;
  std::mutex mutex_;
  Names names_;
  std::list<const std::string*> kept_;  ///< the oldest first, which expires first
  std::uint64_t bytes_ = 0;
};

/// One request that is executed, and all who want its answer. Thread-safe.
class IdempotencyTable::Execution {
 public:
  Execution(std::shared_ptr<IdempotencyTable> table, std::string name)
      : table_(std::move(table)), name_(std::move(name)) {}

  /// Its answer will be a stream: nobody can join any more, and who has is told.
  void streams();
  /// It has its answer: those who joined hear it, and it is kept if it may be.
  void answered(const HttpResponse& response, TimePoint now);
  /// The first client's stream is over, or there will be no answer.
  void ended();
  /// A client does not wait any more: the first, or one who joined.
  void first_left();
  void left(const Waiter* waiter);
  /// Called once, when the last client has left before the end; at once if that has been.
  void on_cancelled(std::function<void()> cancelled);

 private:
  friend class IdempotencyTable;

  void leave(const Waiter* waiter);

  const std::shared_ptr<IdempotencyTable> table_;
  const std::string name_;

  // Under the table's lock.
  bool first_waits_ = true;
  bool streams_ = false;
  bool over_ = false;       ///< the table does not know it any more
  bool cancelled_ = false;  ///< for the last has left
  std::vector<std::shared_ptr<Waiter>> waiters_;
  std::function<void()> on_cancelled_;
};

}  // namespace sluice
