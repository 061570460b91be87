#include "server/heap.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice {
namespace {

TEST(Heap, CountsWhatIsAllocated) {
  constexpr std::uint64_t kBytes = std::uint64_t{8} << 20;
  std::uint64_t before = allocated_bytes();
  {
    std::vector<char> block(kBytes, 'x');
    EXPECT_GE(allocated_bytes(), before + kBytes);
  }
  let_go_of_old_memory();
  give_memory_back();
  EXPECT_LT(allocated_bytes(), before + kBytes);
}

}  // namespace
}  // namespace sluice
