// The main of the worker's tests: the launcher starts this binary again, as `worker <mode>`.
#include "tests/worker/child_modes.h"

#include <gtest/gtest.h>

#include <string_view>

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[1]) == "worker")
    sluice::testing::run_child(std::vector<std::string>(argv + 2, argv + argc));
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
