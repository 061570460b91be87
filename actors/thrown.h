// How an actor ends when one of its handlers throws: with the reason that its supervisor shows.
#pragma once

#include <caf/error.hpp>
#include <caf/sec.hpp>

#include <exception>
#include <string>

namespace sluice {

/// For `set_exception_handler`. Without it CAF writes the exception to stderr, past the log.
inline caf::error ends_by_throw(std::exception_ptr& thrown) {
  std::string what = "threw something";
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& exception) {
    what = std::string("threw: ") + exception.what();
  } catch (...) {
  }
  return caf::make_error(caf::sec::runtime_error, std::move(what));
}

}  // namespace sluice
