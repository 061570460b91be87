#include "trace/checker.h"

#include "trace/lane_judge.h"
#include "trace/order_judge.h"
#include "trace/output_judge.h"
#include "trace/poison_judge.h"
#include "trace/quota_judge.h"
#include "trace/request_judge.h"
#include "trace/sentences.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice::trace {
namespace {

constexpr std::size_t kViolationsKept = 100;
/// A front that lives writes something at least so often; what is longer was not its own time.
constexpr Duration kSilenceMax = std::chrono::milliseconds(100);

}  // namespace

std::string to_string(const Violation& violation) {
  return violation.invariant + " at " + seconds(violation.at.time_since_epoch()) + ", event " +
         number(violation.event) + ": " + violation.what;
}

/// Gives each event to the judges whose business it is, in the order of `judges_`.
class Checker::Impl {
 public:
  explicit Impl(const Reference* reference)
      : judges_(run_, run_, OutputJudge(run_, reference), run_, run_.violate, run_.violate) {}

  void take(const Event& event) {
    ++run_.events;
    if (run_.events > 1 && run_.now - event.at > run_.limits.skew)
      run_.violate("C1",
                   "the trace goes back in time by " + seconds(run_.now - event.at) +
                       ", so its order cannot be trusted");
    // A front that was stopped says nothing meanwhile, and has had no time for anything.
    run_.awake += std::clamp(event.at - run_.now, Duration::zero(), kSilenceMax);
    run_.now = std::max(run_.now, event.at);
    std::visit([this](const auto& body) { give(body); }, event.body);
  }

  std::vector<Violation> violations;
  std::uint64_t violations_in_all = 0;

  [[nodiscard]] std::uint64_t events() const { return run_.events; }
  [[nodiscard]] std::size_t remembered() const {
    return run_.requests.size() + run_.sequences.size() + run_.lanes.size() +
           std::get<QuotaJudge>(judges_).inside();
  }
  [[nodiscard]] const OrderChoices& choices() const {
    return std::get<OrderJudge>(judges_).choices();
  }

 private:
  template <class Body>
  void give(const Body& body) {
    if constexpr (requires { on(body); }) on(body);
    std::apply([&body](auto&... judges) { (give_to(judges, body), ...); }, judges_);
  }
  template <class Judge, class Body>
  static void give_to(Judge& judge, const Body& body) {
    if constexpr (requires { judge.on(body); }) judge.on(body);
  }

  void on(const Limits& limits) {
    if (run_.events > 1) run_.violate("C1", "the limits come after the first event");
    run_.limits = limits;
  }

  void on(const TenantLimits& limits) { std::get<QuotaJudge>(judges_).on(limits, run_.now); }

  void on(const Ladder& ladder) {
    if (ladder.level < level_) {
      if (level_ - ladder.level > 1)
        run_.violate("C14",
                     "the ladder goes down from " + number(level_) + " to " + number(ladder.level) +
                         " at once");
      if (run_.now - level_since_ < run_.limits.ladder_dwell)
        run_.violate("C14",
                     "the ladder leaves level " + number(level_) + " after " +
                         seconds(run_.now - level_since_) + ", it has to rest " +
                         seconds(run_.limits.ladder_dwell));
    }
    level_ = ladder.level;
    level_since_ = run_.now;
  }

  void on(const End& end) {
    if (!end.settled) return;
    std::apply([](auto&... judges) { (end_of(judges), ...); }, judges_);
    if (level_ != 0) run_.violate("C14", "the ladder stands on level " + number(level_));
  }
  template <class Judge>
  static void end_of(Judge& judge) {
    if constexpr (requires { judge.end(); }) judge.end();
  }

  void violate(const char* invariant, std::string what) {
    ++violations_in_all;
    if (violations.size() < kViolationsKept)
      violations.push_back({invariant, run_.now, run_.events, std::move(what)});
  }

  RunState run_{
      [this](const char* invariant, std::string what) { violate(invariant, std::move(what)); }};
  std::tuple<RequestJudge, LaneJudge, OutputJudge, PoisonJudge, QuotaJudge, OrderJudge> judges_;
  std::uint32_t level_ = 0;
  TimePoint level_since_;
};

Checker::Checker(const Reference* reference) : impl_(std::make_unique<Impl>(reference)) {}
Checker::~Checker() = default;

void Checker::on(const Event& event) {
  impl_->take(event);
}

const std::vector<Violation>& Checker::violations() const {
  return impl_->violations;
}

std::uint64_t Checker::violations_in_all() const {
  return impl_->violations_in_all;
}

std::uint64_t Checker::events() const {
  return impl_->events();
}

std::size_t Checker::remembered() const {
  return impl_->remembered();
}

const OrderChoices& Checker::choices() const {
  return impl_->choices();
}

}  // namespace sluice::trace
