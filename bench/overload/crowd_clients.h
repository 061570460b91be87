// Clients without sockets: what each of a crowd of requests was told, and that it was told once.
#pragma once

#include "base/clock.h"
#include "bench/overload/latency_histogram.h"
#include "net/http.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::overload {

/// How a request of a crowd ended.
enum class CrowdEnd : std::uint8_t {
  none,       ///< it has not
  completed,  ///< with its whole answer
  refused,    ///< 429 or 503, before it was let in
  timed_out,  ///< 504, or the same in its stream
  failed,     ///< any other error
  cut,        ///< nobody answers it any more, and nothing was said
};
inline constexpr std::array<std::string_view, 6> kCrowdEndNames{
    "none", "completed", "refused", "timed_out", "failed", "cut"};

/// A crowd, and what became of it. Requests are numbered from 0. Its clients read at once whatever
/// they are sent, and never go away. Thread-safe; what sums up (`tell`) is for the time when all
/// have ended.
class CrowdClients {
 public:
  /// Sums over all requests that have begun.
  struct Figures {
    std::uint64_t begun = 0;
    std::array<std::uint64_t, kCrowdEndNames.size()> ended{};
    std::map<std::string, std::uint64_t> reasons;  ///< "429 overloaded" of what did not complete
    LatencyHistogram completed;    ///< from the moment it was meant to begin to its whole answer
    LatencyHistogram first_piece;  ///< of streams: comments do not count
    LatencyHistogram refusal;      ///< from when it was given to the server to its refusal
    LatencyHistogram lateness;     ///< from when it was meant to begin to when it did
    std::uint64_t pieces = 0;      ///< of streams

    [[nodiscard]] std::uint64_t of(CrowdEnd end) const {
      return ended[static_cast<std::size_t>(end)];
    }
  };

  ///   most  requests in all; their records are made now
  explicit CrowdClients(std::size_t most);
  ~CrowdClients();
  CrowdClients(const CrowdClients&) = delete;
  CrowdClients& operator=(const CrowdClients&) = delete;

  /// The request with the next number, or null: all have begun.
  ///   due  when it was meant to begin
  std::shared_ptr<HttpExchange> begin(TimePoint due);

  [[nodiscard]] std::size_t begun() const;
  [[nodiscard]] std::size_t ended() const;
  [[nodiscard]] std::size_t inside() const;
  /// The most that were inside at one time.
  [[nodiscard]] std::size_t most_inside() const;
  /// What no client may see: told after its end, ended twice, a piece of no stream.
  [[nodiscard]] std::uint64_t faults() const;

  /// Until another request ends, or the time is over.
  void wait(Duration time);
  [[nodiscard]] Figures tell() const;
  /// Bytes of this machinery for each request inside.
  [[nodiscard]] static std::size_t bytes_each();

 private:
  struct Record;
  class Exchange;
  struct Book;

  std::shared_ptr<Book> book_;  ///< that of its exchanges, too: the last of them may outlive this
};

}  // namespace sluice::overload
