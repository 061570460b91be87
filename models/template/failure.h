// How rendering a chat template stops early. Thrown inside models/template only; ChatTemplate
// catches it at its doors and returns an Error.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace sluice::jinja {

struct TemplateFailure {
  ErrorCode code = ErrorCode::internal;
  std::string message;
  std::uint32_t line = 0;    ///< of the template, from 1; 0: not known yet
  bool is_verbatim = false;  ///< the message is raise_exception's and is shown as it is
};

[[noreturn]] inline void fail(std::string message) {
  throw TemplateFailure{ErrorCode::internal, std::move(message)};
}

/// A bound was reached.
[[noreturn]] inline void fail_bound(std::string message) {
  throw TemplateFailure{ErrorCode::resource_exhausted, std::move(message)};
}

}  // namespace sluice::jinja
