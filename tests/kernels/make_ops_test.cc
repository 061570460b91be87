// Which level a name means on which machine.
#include "kernels/cpu/cpu_features.h"
#include "tests/kernels/tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(MakeOps, GivesEveryLevelOfThisMachineUnderItsName) {
  HostDevice device;
  std::vector<std::string> levels = vector_levels();
  levels.emplace_back("reference");

  for (const std::string& level : levels) {
    auto ops = make_ops(device, level, 2);

    ASSERT_TRUE(ops) << level;
    EXPECT_EQ((*ops)->level(), level);
    EXPECT_EQ(&(*ops)->device(), &device);
  }
}

TEST(MakeOps, AutoIsTheBestOfThisMachine) {
  HostDevice device;

  EXPECT_EQ((*make_ops(device, "auto", 1))->level(), vector_levels().front());
}

TEST(MakeOps, AnswersNotFoundForAnUnknownLevel) {
  HostDevice device;

  for (const char* name : {"", "AVX2", "avx", "amx", "best"})
    EXPECT_EQ(make_ops(device, name, 1).error().code, ErrorCode::not_found) << name;
}

TEST(MakeOps, RefusesToComputeWithoutThreads) {
  HostDevice device;

  EXPECT_EQ(make_ops(device, "auto", 0).error().code, ErrorCode::invalid_argument);
}

TEST(ChooseLevel, AnswersUnavailableForWhatTheMachineLacks) {
  CpuFeatures old{.avx2 = true};

  auto refused = choose_level("avx512", old);

  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("avx512"));
  EXPECT_THAT(refused.error().message, HasSubstr("its best is avx2"));
  EXPECT_EQ(choose_level("avx512bf16", old).error().code, ErrorCode::unavailable);
  EXPECT_EQ(choose_level("avx2", CpuFeatures{}).error().code, ErrorCode::unavailable);
}

TEST(ChooseLevel, TakesTheBestForAuto) {
  EXPECT_EQ(*choose_level("auto", CpuFeatures{}), "portable");
  EXPECT_EQ(*choose_level("auto", CpuFeatures{.avx2 = true}), "avx2");
  EXPECT_EQ(*choose_level("auto", CpuFeatures{.avx2 = true, .avx512 = true}), "avx512");
  EXPECT_EQ(*choose_level("auto", CpuFeatures{true, true, true}), "avx512bf16");
}

TEST(ChooseLevel, AWeakerLevelMayBeAskedFor) {
  CpuFeatures all{true, true, true};

  EXPECT_THAT(usable_levels(all), ElementsAre("avx512bf16", "avx512", "avx2", "portable"));
  for (const char* level : {"reference", "portable", "avx2", "avx512", "avx512bf16"})
    EXPECT_EQ(*choose_level(level, all), level);
}

}  // namespace
}  // namespace sluice
