// The arena of activations.
#include "gpu/arena.h"

#include "gpu/host_device.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

namespace sluice {
namespace {

class ArenaTest : public testing::Test {
 protected:
  HostDevice device_;
};

TEST_F(ArenaTest, HandsOutAlignedPiecesThatDoNotOverlap) {
  Arena arena = *Arena::create(device_, 4096);

  TensorView a = *arena.allocate(DType::bf16, {3, 5});
  TensorView b = *arena.allocate(DType::f32, {2, 2, 2});

  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(a.data) % Arena::kAlignment, 0U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(b.data) % Arena::kAlignment, 0U);
  EXPECT_GE(static_cast<char*>(b.data), static_cast<char*>(a.data) + a.bytes());
  EXPECT_EQ(b.rank, 3);
  EXPECT_EQ(b.dim(2), 2);
  EXPECT_EQ(b.dtype, DType::f32);
  std::memset(a.data, 1, a.bytes());
  std::memset(b.data, 2, b.bytes());
  EXPECT_EQ(static_cast<char*>(a.data)[a.bytes() - 1], 1);
}

TEST_F(ArenaTest, RefusesMoreThanItsCapacityAndSaysTheNumbers) {
  Arena arena = *Arena::create(device_, 1024);
  ASSERT_TRUE(arena.allocate(DType::u8, {300}));

  auto refused = arena.allocate(DType::f32, {129});

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
  EXPECT_EQ(refused.error().message, "arena: 516 bytes wanted, 512 of 1024 used");
  EXPECT_EQ(arena.used_bytes(), 512U);
  EXPECT_TRUE(arena.allocate(DType::f32, {128}));
}

TEST_F(ArenaTest, RefusesShapesWhoseSizeOverflows) {
  Arena arena = *Arena::create(device_, 1024);

  auto refused = arena.allocate(DType::f32, {std::int64_t{1} << 40, std::int64_t{1} << 40});

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::resource_exhausted);
}

TEST_F(ArenaTest, UsesItsLastByteEvenIfThatIsNotAligned) {
  Arena arena = *Arena::create(device_, 300);

  EXPECT_TRUE(arena.allocate(DType::u8, {256}));
  EXPECT_TRUE(arena.allocate(DType::u8, {44}));
  EXPECT_FALSE(arena.allocate(DType::u8, {1}));
  EXPECT_EQ(arena.used_bytes(), 300U);
}

TEST_F(ArenaTest, ResetGivesTheSamePlacesAgainAndKeepsThePeak) {
  Arena arena = *Arena::create(device_, 4096);
  TensorView first = *arena.allocate(DType::f32, {8});
  ASSERT_TRUE(arena.allocate(DType::f32, {500}));
  std::size_t peak = arena.used_bytes();

  arena.reset();
  TensorView again = *arena.allocate(DType::f32, {16});

  EXPECT_EQ(again.data, first.data);
  EXPECT_EQ(arena.used_bytes(), 256U);
  EXPECT_EQ(arena.peak_bytes(), peak);
}

TEST_F(ArenaTest, GivesEmptyTensorsNoBytes) {
  Arena arena = *Arena::create(device_, 256);

  TensorView none = *arena.allocate(DType::f32, {0, 7});

  EXPECT_EQ(none.elements(), 0);
  EXPECT_EQ(arena.used_bytes(), 0U);
}

TEST(Arena, PassesOnTheRefusalOfTheDevice) {
  HostDevice small([] { return std::size_t{1000}; });

  auto arena = Arena::create(small, 2000);

  ASSERT_FALSE(arena);
  EXPECT_EQ(arena.error().code, ErrorCode::resource_exhausted);
}

}  // namespace
}  // namespace sluice
