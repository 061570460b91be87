// What the degradation ladder does to a request that has been read.
#pragma once

#include "actors/front.h"
#include "api/request.h"

#include <memory>
#include <optional>
#include <string>

namespace sluice {

/// Refuses a request, or writes into it what its plan has to keep to (`GenerationRequest::
/// degradation`), and may put the cheaper model in the place of `model`. Once for each, before its
/// prompts become tokens: these are of a model. Any thread.
///   tenant  null: nobody who is known
/// The error is what the client sees.
std::optional<ApiError> degrade(Front& front,
                                std::shared_ptr<ServedModel>& model,
                                GenerationRequest& request,
                                const std::shared_ptr<const Tenant>& tenant);

/// The name of the model that the client asked for, whether it or a cheaper one answers.
std::string asked_model(const Front& front,
                        const GenerationRequest& request,
                        const ServedModel& answers);

/// What is certain before a body is read: whether no request of this tenant is let in at this
/// level.
Decision decide_by_level(Front& front, const std::shared_ptr<const Tenant>& tenant);

}  // namespace sluice
