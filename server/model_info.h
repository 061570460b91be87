// `sluice model info`: a model on one page, for people.
#pragma once

#include "models/model_report.h"
#include "server/options.h"

#include <string>

namespace sluice {

/// A line for each thing that is known; sizes in bytes and in words.
std::string format_model_info(const ModelReport& report, const ModelInfoOptions& options);

/// Prints it. The exit code says whether the model could be served.
int run_model_info(const ModelInfoOptions& options);

}  // namespace sluice
