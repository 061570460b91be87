// The main of tests that run the front's actors.
#include "actors/application.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

int main(int argc, char** argv) {
  sluice::make_actor_config(1);  // CAF has to know the message types first
  spdlog::set_level(spdlog::level::off);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
