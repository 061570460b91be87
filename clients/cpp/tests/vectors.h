// The golden frames that every implementation reads and writes.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace sluice::client {

inline std::string vector_of(const std::string& name) {
  std::ifstream file(std::string(SLUICE_VECTORS) + "/" + name + ".bin", std::ios::binary);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace sluice::client
