#include "engine/block_pool.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace sluice {
namespace {

TEST(BlockPool, GivesOutEveryBlockOnce) {
  BlockPool pool(5);
  std::set<std::int32_t> blocks;
  for (int i = 0; i < 5; ++i)
    blocks.insert(*pool.allocate());

  EXPECT_EQ(blocks, (std::set<std::int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.free(), 0);
  EXPECT_EQ(pool.used(), 5);
}

TEST(BlockPool, RefusesToAllocateBeyondItsCapacity) {
  BlockPool pool(1);
  ASSERT_TRUE(pool.allocate());

  EXPECT_FALSE(pool.allocate());
  EXPECT_FALSE(BlockPool(0).allocate());
}

TEST(BlockPool, GivesOutTheBlockThatWasFreedLast) {
  BlockPool pool(4);
  std::int32_t a = *pool.allocate();
  std::int32_t b = *pool.allocate();

  pool.release(a);
  pool.release(b);

  EXPECT_EQ(pool.allocate(), b);
  EXPECT_EQ(pool.allocate(), a);
}

TEST(BlockPool, FreesASharedBlockWithItsLastReference) {
  BlockPool pool(2);
  std::int32_t block = *pool.allocate();
  pool.share(block);
  EXPECT_EQ(pool.references(block), 2);

  pool.release(block);
  EXPECT_EQ(pool.free(), 1);
  pool.release(block);

  EXPECT_EQ(pool.free(), 2);
  EXPECT_EQ(pool.references(block), 0);
}

TEST(BlockPoolDeathTest, EndsTheProcessWhenABlockIsFreedTwice) {
  BlockPool pool(2);
  std::int32_t block = *pool.allocate();
  pool.release(block);

  EXPECT_DEATH(pool.release(block), "CHECK failed");
}

TEST(BlockPoolDeathTest, EndsTheProcessWhenAFreeOrUnknownBlockIsShared) {
  BlockPool pool(2);

  EXPECT_DEATH(pool.share(0), "CHECK failed");
  EXPECT_DEATH(pool.share(2), "CHECK failed");
  EXPECT_DEATH(pool.release(-1), "CHECK failed");
}

// Tables that allocate, share their blocks with others and let go, at random: after each operation
// free + used = total, and a block's references are the tables that name it.
TEST(BlockPool, CountsEveryTableThatNamesABlockThroughARandomTrace) {
  constexpr std::int32_t kBlocks = 48;
  BlockPool pool(kBlocks);
  std::mt19937_64 random(20240607);
  std::vector<std::vector<std::int32_t>> tables(12);
  std::vector<std::int32_t> expected(kBlocks, 0);
  for (int operation = 0; operation < 1'000'000; ++operation) {
    auto& table = tables[random() % tables.size()];
    const auto& other = tables[random() % tables.size()];
    switch (random() % 4) {
      case 0:
      case 1: {
        auto block = pool.allocate();
        ASSERT_EQ(block.has_value(), std::count(expected.begin(), expected.end(), 0) > 0);
        if (!block) break;
        ASSERT_EQ(expected[static_cast<std::size_t>(*block)], 0);
        ++expected[static_cast<std::size_t>(*block)];
        table.push_back(*block);
        break;
      }
      case 2:
        if (other.empty()) break;
        table.push_back(other[random() % other.size()]);
        pool.share(table.back());
        ++expected[static_cast<std::size_t>(table.back())];
        break;
      default:
        // Tables lose their last blocks, and now and then all of them.
        for (bool all = random() % 8 == 0; !table.empty(); table.pop_back()) {
          pool.release(table.back());
          --expected[static_cast<std::size_t>(table.back())];
          if (!all) {
            table.pop_back();
            break;
          }
        }
    }
    std::int32_t used = 0;
    for (std::int32_t block = 0; block < kBlocks; ++block) {
      ASSERT_EQ(pool.references(block), expected[static_cast<std::size_t>(block)]);
      used += expected[static_cast<std::size_t>(block)] > 0;
    }
    ASSERT_EQ(pool.used(), used);
    ASSERT_EQ(pool.free(), kBlocks - used);
  }
}

}  // namespace
}  // namespace sluice
