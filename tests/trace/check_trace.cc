// The checker as a command: reads traces that servers wrote and says which invariants they break.
//
//   check_trace FILE...        - is standard input
//   exit code: 0 nothing is broken, 1 something is, 2 a file cannot be read
#include "trace/checker.h"
#include "trace/log.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <string>

namespace sluice::trace {
namespace {

int check(const std::string& name, std::istream& in) {
  Checker checker;
  std::string line;
  for (std::uint64_t number = 1; std::getline(in, line); ++number) {
    auto event = from_line(line);
    if (!event) {
      // The last line of a server that was killed may be cut.
      bool last = in.peek() == std::istream::traits_type::eof();
      std::printf("%s:%llu: %s\n",
                  name.c_str(),
                  static_cast<unsigned long long>(number),
                  event.error().message.c_str());
      if (last) break;
      return 2;
    }
    checker.on(*event);
  }
  for (const Violation& violation : checker.violations())
    std::printf("%s: %s\n", name.c_str(), to_string(violation).c_str());
  std::printf("%s: %llu events, %llu violations\n",
              name.c_str(),
              static_cast<unsigned long long>(checker.events()),
              static_cast<unsigned long long>(checker.violations_in_all()));
  return checker.violations_in_all() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace sluice::trace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: check_trace FILE...\n");
    return 2;
  }
  int worst = 0;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    std::ifstream file;
    if (name != "-") {
      file.open(name);
      if (!file) {
        std::fprintf(stderr, "check_trace: cannot read %s\n", name.c_str());
        worst = 2;
        continue;
      }
    }
    worst = std::max(worst, sluice::trace::check(name, name == "-" ? std::cin : file));
  }
  return worst;
}
