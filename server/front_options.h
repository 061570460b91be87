// What the options of a server mean to its front.
#pragma once

#include "actors/front.h"
#include "server/options.h"

namespace sluice {

Front::Options front_options(const ServeOptions& options);

}  // namespace sluice
