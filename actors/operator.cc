#include "actors/operator.h"

#include "actors/messages.h"
#include "api/errors.h"
#include "api/operator_request.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <system_error>
#include <utility>
#include <variant>

namespace sluice {
namespace {

enum class Deed : std::uint8_t { restart, revive, force_open, reset };

struct Order {
  std::string_view prefix;
  std::string_view suffix;
  Deed deed;
};
constexpr Order kOrders[] = {
    {"/admin/v1/workers/", "/restart", Deed::restart},
    {"/admin/v1/workers/", "/revive", Deed::revive},
    {"/admin/v1/breakers/", "/force-open", Deed::force_open},
    {"/admin/v1/breakers/", "/reset", Deed::reset},
};

/// The order that a path gives, and what stands in place of its lane.
std::optional<std::pair<const Order*, std::string_view>> find(std::string_view path) {
  for (const Order& order : kOrders) {
    if (!path.starts_with(order.prefix) || !path.ends_with(order.suffix)) continue;
    if (path.size() <= order.prefix.size() + order.suffix.size()) continue;
    std::string_view id = path.substr(order.prefix.size());
    id.remove_suffix(order.suffix.size());
    if (id.find('/') == std::string_view::npos) return std::pair(&order, id);
  }
  return std::nullopt;
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
                                 Deed deed,
                                 const LaneStatus& lane,
                                 const OperatorRequest& request) {
  std::string name = "Lane " + std::to_string(lane.lane.value);
  std::string state(to_string(lane.breaker.state));
  const std::string& executor = front.executors.at(lane.lane).role;
  switch (deed) {
    case Deed::restart:
      if (lane.in_quarantine())
        return name + " is in quarantine: it has no worker to restart, but it can be revived.";
      if (lane.pid == 0) return name + " has no worker at present; the next one is on its way.";
      front.tell(executor, RestartGently{request.reason});
      return std::nullopt;
    case Deed::revive:
      if (!lane.in_quarantine()) return name + " is not in quarantine.";
      if (lane.parked_until)
        front.tell(Front::kRootRole, Revive{lane_path(lane.lane)});
      else if (!lane.quarantine.rests())
        return name + " is on trial already.";
      else
        front.tell(executor, ReviveLane{request.reason});
      return std::nullopt;
    case Deed::force_open:
      front.tell(Front::breaker_role(lane.lane), ForceOpen{request.reason, request.lasts});
      return std::nullopt;
    case Deed::reset:
      if (!lane.breaker.held && lane.in_quarantine())
        return name + " is in quarantine: its worker has to be revived.";
      if (!lane.breaker.held && lane.breaker.state != CircuitBreaker::State::open)
        return "The breaker of lane " + std::to_string(lane.lane.value) + " is " + state +
               ": there is nothing to reset.";
      front.tell(Front::breaker_role(lane.lane), ResetBreaker{});
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

bool Operator::owns(std::string_view path) {
  return find(path).has_value();
}

HttpResponse Operator::act(std::string_view path,
                           std::string_view body,
                           const std::string& request_id) const {
  auto [order, id] = find(path).value();
  auto lane = find_lane(*front_, id);
  if (!lane) {
    auto count = std::to_string(front_->executors.size());
    return to_response(errors::unknown_url("There is no such lane; this server has " + count +
                                           ", numbered from 0."),
                       request_id);
  }
  auto parsed = parse_operator_request(body);
  if (auto* error = std::get_if<ApiError>(&parsed)) return to_response(*error, request_id);
  const auto& request = std::get<OperatorRequest>(parsed);
  if (auto refused = give(*front_, order->deed, *lane, request))
    return to_response(errors::conflict(*refused), request_id);
  std::string_view deed = order->suffix.substr(1);
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
