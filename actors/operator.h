// What an operator may do to lanes and their breakers, over the management port.
#pragma once

#include "actors/front.h"
#include "api/router.h"
#include "net/http.h"

#include <memory>
#include <string>
#include <string_view>

namespace sluice {

/// POST /admin/v1/workers/{lane}/restart      another worker, when what runs there has ended
///      /admin/v1/workers/{lane}/revive       a trial now, of a lane in quarantine
///      /admin/v1/breakers/{lane}/force-open  nothing passes until it is reset
///      /admin/v1/breakers/{lane}/reset       the lane is probed again at once
///
/// Bodies are those of `OperatorRequest`. An order is handed to the lane's actors: 202 says that it
/// was given, GET /admin/v1/workers and /breakers what came of it. 404: there is no such lane; 409:
/// the state of the lane does not allow it. Thread-safe; asks no actor.
class Operator {
 public:
  explicit Operator(std::shared_ptr<Front> front) : front_(std::move(front)) {}

  /// Does what one of these routes says.
  ///   lane_text  as the path names the lane; it need not exist
  [[nodiscard]] HttpResponse act(Route order,
                                 std::string_view lane_text,
                                 std::string_view body,
                                 const std::string& request_id) const;

 private:
  std::shared_ptr<Front> front_;
};

}  // namespace sluice
