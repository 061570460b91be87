// Which model may answer for which under pressure: the values of --cheaper.
#pragma once

#include "base/result.h"

#include <string>
#include <utility>
#include <vector>

namespace sluice {

/// MODEL=OTHER of each text, in their order.
///   served  names of the models that are served
/// Errors: invalid_argument, one sentence: it is written otherwise, a model is not served, is its
/// own, or is given twice.
Result<std::vector<std::pair<std::string, std::string>>> parse_cheaper(
    const std::vector<std::string>& texts, const std::vector<std::string>& served);

}  // namespace sluice
