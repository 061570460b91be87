// CHECK: an invariant of ours. Its failure ends the process, in every build.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace sluice::detail {

[[noreturn]] inline void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace sluice::detail

#define CHECK(condition) \
  ((condition) ? void(0) : ::sluice::detail::check_failed(#condition, __FILE__, __LINE__))
