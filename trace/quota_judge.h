// Judges what tenants use: the part of the checker that replays their buckets.
#pragma once

#include "trace/run_state.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace sluice::trace {

/// Replays every bucket as a plain level in exact arithmetic, which is another way than the
/// server's, and compares what was said to each claim:
///
///   C7   what is taken is there: requests and tokens of the tenant, and requests of all
///   C8   what is kept for the core API or for better classes is left to them; in a simulation
///        (`Limits::skew` is zero) nobody is refused what is there, either. Then, too, who has had
///        its share in a second leaves the last part to those who have had less
class QuotaJudge {
 public:
  explicit QuotaJudge(Violate violate) : violate_(std::move(violate)) {}

  void on(const Limits& limits);
  ///   now  when they begin to hold
  void on(const TenantLimits& limits, TimePoint now);
  void on(const Claimed& claimed);
  void on(const Settled& settled);
  /// The run has come to rest: nothing is inside.
  void end();

  [[nodiscard]] std::size_t inside() const { return inside_.size(); }

 private:
  /// What is in a bucket, in parts of which a unit has `period` nanoseconds.
  class Level {
   public:
    void limit(const Flow& flow, TimePoint now);
    [[nodiscard]] bool holds(std::uint64_t units, std::uint64_t kept, TimePoint now);
    void take(std::uint64_t units);
    void give_back(std::uint64_t units);
    [[nodiscard]] const Flow& flow() const { return flow_; }

   private:
    __extension__ using Parts = __int128;
    [[nodiscard]] Parts parts(std::uint64_t units) const;
    void flow_in(TimePoint now);

    Flow flow_;
    Parts there_ = 0;
    TimePoint since_;
  };
  struct Tenant {
    TenantLimits limits;
    Level requests;
    Level tokens;
    std::uint32_t inside = 0;
    std::int64_t second = -2;  ///< the last in which it had something of the shared bucket
    std::uint64_t had = 0;     ///< then
    std::uint32_t weight_then = 0;
  };
  struct Inside {
    std::uint32_t tenant = 0;
    std::uint64_t tokens = 0;
  };

  [[nodiscard]] Claimed::Answer right_answer(const Claimed& claimed, Tenant* tenant);
  [[nodiscard]] std::uint64_t left_to_others(const Tenant& tenant, TimePoint now) const;

  Violate violate_;
  bool is_exact_ = false;  ///< nothing happens between a decision and its event
  std::uint64_t core_kept_ = 0;
  std::uint64_t low_kept_ = 0;
  std::uint64_t share_kept_ = 0;
  Level shared_;
  std::map<std::uint32_t, Tenant> tenants_;
  std::map<RequestNumber, Inside> inside_;
};

}  // namespace sluice::trace
