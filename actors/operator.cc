#include "actors/operator.h"

#include "actors/lane_messages.h"
#include "api/errors.h"
#include "api/operator_request.h"
#include "base/check.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

namespace sluice {
namespace {

std::string_view name_of(Route order) {
  switch (order) {
    case Route::restart_worker:
      return "restart";
    case Route::revive_worker:
      return "revive";
    case Route::force_breaker_open:
      return "force-open";
    case Route::reset_breaker:
      return "reset";
    default:
      return "nothing";
  }
}

std::optional<LaneStatus> find_lane(const Front& front, std::string_view id) {
  std::uint32_t number = 0;
  auto [end, failed] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (failed != std::errc() || end != id.data() + id.size()) return std::nullopt;
  for (LaneStatus& lane : front.lanes.snapshot())
    if (lane.lane.value == number) return std::move(lane);
  return std::nullopt;
}

/// Gives the order. Otherwise why the lane's state does not allow it.
std::optional<std::string> give(const Front& front,
                                Route order,
                                const LaneStatus& lane,
                                const OperatorRequest& request) {
  std::string name = "Lane " + std::to_string(lane.lane.value);
  std::string state(to_string(lane.breaker.state));
  const std::string& executor = front.executors.at(lane.lane).role;
  switch (order) {
    case Route::restart_worker:
      if (lane.in_quarantine())
        return name + " is in quarantine: it has no worker to restart, but it can be revived.";
      if (lane.pid == 0) return name + " has no worker at present; the next one is on its way.";
      front.tell(executor, RestartGently{request.reason});
      return std::nullopt;
    case Route::revive_worker:
      if (!lane.in_quarantine()) return name + " is not in quarantine.";
      if (lane.parked_until)
        front.tell(Front::kRootRole, Revive{lane_path(lane.lane)});
      else if (!lane.quarantine.rests())
        return name + " is on trial already.";
      else
        front.tell(executor, ReviveLane{request.reason});
      return std::nullopt;
    case Route::force_breaker_open:
      front.tell(Front::breaker_role(lane.lane), ForceOpen{request.reason, request.lasts});
      return std::nullopt;
    case Route::reset_breaker:
      if (!lane.breaker.held && lane.in_quarantine())
        return name + " is in quarantine: its worker has to be revived.";
      if (!lane.breaker.held && lane.breaker.state != CircuitBreaker::State::open)
        return "The breaker of lane " + std::to_string(lane.lane.value) + " is " + state +
               ": there is nothing to reset.";
      front.tell(Front::breaker_role(lane.lane), ResetBreaker{});
      return std::nullopt;
    default:
      CHECK(false);
  }
  return std::nullopt;
}

}  // namespace

HttpResponse Operator::act(Route order,
                           std::string_view lane_text,
                           std::string_view body,
                           const std::string& request_id) const {
  auto lane = find_lane(*front_, lane_text);
  if (!lane) {
    auto count = std::to_string(front_->executors.size());
    return to_response(errors::unknown_url("There is no such lane; this server has " + count +
                                           ", numbered from 0."),
                       request_id);
  }
  auto parsed = parse_operator_request(body);
  if (auto* error = std::get_if<ApiError>(&parsed)) return to_response(*error, request_id);
  const auto& request = std::get<OperatorRequest>(parsed);
  if (auto refused = give(*front_, order, *lane, request))
    return to_response(errors::conflict(*refused), request_id);
  std::string_view deed = name_of(order);
  spdlog::warn("lane {} of model {}: an operator orders {}: {}",
               lane->lane.value,
               lane->model,
               deed,
               request.reason);
  return json_response(
      202,
      "{\"lane\":" + std::to_string(lane->lane.value) + ",\"order\":\"" + std::string(deed) + "\"}",
      request_id);
}

}  // namespace sluice
