#include "base/fault_point.h"

#include "base/philox.h"

#include <algorithm>
#include <charconv>
#include <mutex>
#include <utility>

namespace sluice {
namespace {

/// What is armed. Leaked: a thread may visit a place while the process ends.
struct Armed {
  std::mutex mutex;
  FaultPoints::Decide decide;  // none: not armed
  std::uint64_t fired = 0;
};

Armed& armed() {
  static auto* state = new Armed;
  return *state;
}

FaultPoints::Decide decide_by(std::vector<FaultPointRule> rules) {
  std::vector<std::uint64_t> visits(rules.size(), 0);
  return [rules = std::move(rules), visits = std::move(visits)](std::string_view name) mutable {
    bool fails = false;
    for (std::size_t i = 0; i < rules.size(); ++i) {
      const FaultPointRule& rule = rules[i];
      if (rule.name != name) continue;
      std::uint64_t visit = ++visits[i];
      bool now =
          rule.nth != 0 ? visit == rule.nth : philox_uniform(rule.seed, visit) < rule.probability;
      fails = fails || now;
    }
    return fails;
  };
}

Error wrong(std::string_view text, std::size_t at, std::string_view expected) {
  return {ErrorCode::invalid_argument,
          "fault point \"" + std::string(text) + "\", position " + std::to_string(at + 1) +
              ": expected " + std::string(expected)};
}

}  // namespace

Result<FaultPointRule> parse_fault_point(std::string_view text) {
  FaultPointRule rule;
  std::size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return wrong(text, equals == 0 ? 0 : text.size(), "NAME=p:0.01,seed:7 or NAME=nth:5");
  rule.name = text.substr(0, equals);
  bool has_when = false;
  for (std::size_t at = equals + 1; at <= text.size();) {
    std::size_t end = std::min(text.find(',', at), text.size());
    std::string_view part = text.substr(at, end - at);
    const char* last = part.data() + part.size();
    auto reads = [&](std::string_view key, auto& value) {
      if (!part.starts_with(key)) return false;
      auto [stop, error] = std::from_chars(part.data() + key.size(), last, value);
      return error == std::errc() && stop == last;
    };
    if (reads("p:", rule.probability) && rule.probability >= 0.0 && rule.probability <= 1.0) {
      has_when = true;
    } else if (reads("nth:", rule.nth) && rule.nth > 0) {
      has_when = true;
    } else if (!reads("seed:", rule.seed)) {
      return wrong(text, at, "p:PROBABILITY, nth:COUNT or seed:NUMBER");
    }
    at = end + 1;
  }
  if (!has_when) return wrong(text, equals + 1, "p:PROBABILITY or nth:COUNT");
  if (!is_fault_point(rule.name)) {
    std::string known;
    for (std::string_view name : kFaultPoints)
      known += (known.empty() ? "" : ", ") + std::string(name);
    return Error{ErrorCode::not_found,
                 "no fault point is called \"" + rule.name + "\"; known are " + known};
  }
  return rule;
}

FaultPoints::FaultPoints(Decide decide) {
  Armed& state = armed();
  std::lock_guard guard(state.mutex);
  CHECK(state.decide == nullptr && decide != nullptr);
  state.decide = std::move(decide);
  state.fired = 0;
  detail::fault_points_armed = true;
}

FaultPoints::FaultPoints(std::vector<FaultPointRule> rules)
    : FaultPoints(decide_by(std::move(rules))) {}

FaultPoints::~FaultPoints() {
  detail::fault_points_armed = false;
  Armed& state = armed();
  std::lock_guard guard(state.mutex);
  state.decide = nullptr;
}

std::uint64_t FaultPoints::fired() const {
  Armed& state = armed();
  std::lock_guard guard(state.mutex);
  return state.fired;
}

void detail::visit_fault_point(std::string_view name) {
  Armed& state = armed();
  {
    std::lock_guard guard(state.mutex);
    if (!state.decide || !state.decide(name)) return;
    ++state.fired;
  }
  throw FaultInjected(name);
}

}  // namespace sluice
