#include "server/resource_limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>

namespace sluice {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kStack = std::uint64_t{8} << 20;

TEST(ResourceLimits, AreRefusedBelowWhatAServerNeeds) {
  auto why = refuse_limits({32, kStack}, {.lanes = 2, .connections = 2048});
  ASSERT_TRUE(why);
  EXPECT_THAT(*why, HasSubstr("32 files open (ulimit -n)"));
  EXPECT_THAT(*why, HasSubstr("needs 92"));
  EXPECT_TRUE(refuse_limits({91, kStack}, {.lanes = 2}));
  EXPECT_FALSE(refuse_limits({92, kStack}, {.lanes = 2}));
  EXPECT_TRUE(refuse_limits({92, kStack}, {.lanes = 3}));

  why = refuse_limits({1024, 65536}, {});
  ASSERT_TRUE(why);
  EXPECT_THAT(*why, HasSubstr("65536 bytes (ulimit -s)"));
}

TEST(ResourceLimits, AreDoubtedWhereTheyAreTooSmallForAllClients) {
  auto why = doubt_limits({1000, kStack}, {.lanes = 1, .connections = 2048});
  ASSERT_TRUE(why);
  EXPECT_THAT(*why, HasSubstr("about 830 connections, --max-connections is 2048"));
  EXPECT_FALSE(doubt_limits({1000, kStack}, {.lanes = 1, .connections = 830}));
  EXPECT_TRUE(doubt_limits({1, kStack}, {.lanes = 1, .connections = 1}));
  EXPECT_FALSE(doubt_limits({RLIM_INFINITY, kStack}, {.lanes = 64, .connections = 1 << 20}));
}

TEST(ResourceLimits, LetAFewThreadsStart) {
  EXPECT_TRUE(may_start_threads(0));
  EXPECT_TRUE(may_start_threads(8));
}

TEST(ResourceLimits, AreTakenAsFarAsTheHardOneAllows) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low{std::min<rlim_t>(before.rlim_max, 100), before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);

  EXPECT_EQ(take_limits().open_files, before.rlim_max);

  ::setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace sluice
