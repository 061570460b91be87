// The models as clients are shown them.
#pragma once

#include "actors/front.h"
#include "api/status_bodies.h"

#include <string>

namespace sluice {

[[nodiscard]] ListedModel listing(const Front& front, const ServedModel& model);
/// The body of GET /v1/models.
[[nodiscard]] std::string list_models(const Front& front);

}  // namespace sluice
