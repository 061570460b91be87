// Simulates seeds, repeats one, and shrinks what fails.
//
//   sim --seed N [--faults a,b] [--requests N] [--models N] [--lanes N] [--millis N] [--trace FILE]
//       [--verbose]
//   sim --seeds A..B [--jobs J] [--faults a,b]
//   exit code: 0 all is well, 1 a run failed or something rare was never seen, 2 wrong usage
#include "tests/sim/run.h"
#include "tests/sim/runner.h"

#include <spdlog/spdlog.h>

#include <charconv>
#include <cstdio>
#include <string_view>

namespace sluice::sim {
namespace {

int usage() {
  std::fprintf(stderr,
               "usage: sim --seed N | --seeds A..B\n"
               "  --jobs J        processes at once (with --seeds)\n"
               "  --faults a,b    only these kinds of faults; all, none\n"
               "  --requests N    at most so many requests\n"
               "  --models N      so many models\n"
               "  --lanes N       so many lanes\n"
               "  --millis N      faults for so many milliseconds\n"
               "  --trace FILE    write the trace of the run\n"
               "  --show N        at most so many failures\n"
               "  --until-first   stop at the first failure\n"
               "  --no-shrink     do not look for a smaller failing run\n"
               "  --verbose       tell of faults as they strike, and what is logged\n");
  return 2;
}

template <class Number>
bool read(std::string_view text, Number& number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

int main_of(int argc, char** argv) {
  RunOptions options;
  SeedRange range;
  bool many = false;
  bool one = false;
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (name == "--verbose") {
      options.verbose = true;
      continue;
    }
    if (name == "--until-first") {
      range.until_first = true;
      continue;
    }
    if (name == "--no-shrink") {
      range.shrink = false;
      continue;
    }
    if (i + 1 == argc) return usage();
    std::string_view value = argv[++i];
    std::uint32_t number = 0;
    if (name == "--seed") {
      if (!read(value, options.seed)) return usage();
      one = true;
    } else if (name == "--seeds") {
      auto dots = value.find("..");
      if (dots == std::string_view::npos || !read(value.substr(0, dots), range.first) ||
          !read(value.substr(dots + 2), range.last))
        return usage();
      many = true;
    } else if (name == "--faults") {
      auto faults = FaultSet::parse(value);
      if (!faults) return usage();
      options.faults = *faults;
    } else if (name == "--trace") {
      options.trace_file = value;
    } else if (name == "--jobs" && read(value, number)) {
      range.jobs = number;
    } else if (name == "--show" && read(value, number)) {
      range.show = number;
    } else if (name == "--requests" && read(value, number)) {
      options.requests = number;
    } else if (name == "--models" && read(value, number) && number > 0) {
      options.models = number;
    } else if (name == "--lanes" && read(value, number)) {
      options.lanes = number;
    } else if (name == "--millis" && read(value, number)) {
      options.fault_time = std::chrono::milliseconds(number);
    } else {
      return usage();
    }
  }
  if (one == many) return usage();
  prepare_runs();
  spdlog::set_level(options.verbose ? spdlog::level::debug : spdlog::level::off);
  return many ? run_many(range, options) : run_one(options, range.shrink);
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  return sluice::sim::main_of(argc, argv);
}
