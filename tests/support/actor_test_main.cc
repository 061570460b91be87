// The main of tests that spawn actors: CAF has to know the message types first.
#include "supervision/messages.h"

#include <caf/init_global_meta_objects.hpp>
#include <gtest/gtest.h>

int main(int argc, char** argv) {
  caf::init_global_meta_objects<caf::id_block::sluice_supervision>();
  caf::core::init_global_meta_objects();
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
