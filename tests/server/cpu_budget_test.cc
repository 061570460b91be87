// How many cores may be used, from readings of machines that are not here.
#include "server/cpu_budget.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <string>

namespace sluice {
namespace {

std::uint32_t cores(std::uint32_t affinity,
                    const std::string& cgroups,
                    const std::map<std::string, std::string>& files) {
  CpuReadings readings;
  readings.affinity = affinity;
  readings.cgroups = cgroups;
  readings.read = [&files](const std::string& path) -> std::optional<std::string> {
    auto found = files.find(path);
    return found == files.end() ? std::nullopt : std::optional(found->second);
  };
  return usable_cores(readings);
}

TEST(UsableCores, AreThoseOfTheAffinityMaskWithoutAQuota) {
  EXPECT_EQ(cores(8, "", {}), 8U);
  EXPECT_EQ(cores(8, "0::/\n", {{"/sys/fs/cgroup/cpu.max", "max 100000\n"}}), 8U);
  EXPECT_EQ(cores(0, "", {}), 1U);
}

TEST(UsableCores, AreBoundedByTheQuotaOfTheSecondVersion) {
  EXPECT_EQ(cores(8, "0::/\n", {{"/sys/fs/cgroup/cpu.max", "200000 100000\n"}}), 2U);
  EXPECT_EQ(cores(8, "0::/\n", {{"/sys/fs/cgroup/cpu.max", "350000 100000\n"}}), 3U);
  EXPECT_EQ(cores(8, "0::/\n", {{"/sys/fs/cgroup/cpu.max", "50000 100000\n"}}), 1U);
  EXPECT_EQ(cores(2, "0::/\n", {{"/sys/fs/cgroup/cpu.max", "800000 100000\n"}}), 2U);
}

TEST(UsableCores, AreBoundedByEveryGroupAround) {
  const std::map<std::string, std::string> files = {
      {"/sys/fs/cgroup/system.slice/cpu.max", "300000 100000\n"},
      {"/sys/fs/cgroup/system.slice/sluice.service/cpu.max", "max 100000\n"}};

  EXPECT_EQ(cores(8, "0::/system.slice/sluice.service\n", files), 3U);
}

TEST(UsableCores, AreBoundedByTheQuotaOfTheFirstVersion) {
  const std::string cgroups = "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/\n";

  EXPECT_EQ(cores(8,
                  cgroups,
                  {{"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "400000\n"},
                   {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}}),
            4U);
  EXPECT_EQ(cores(8,
                  cgroups,
                  {{"/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "-1\n"},
                   {"/sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "100000\n"}}),
            8U);
}

TEST(UsableCores, SurviveFilesThatMakeNoSense) {
  for (const char* text : {"", "max", "x y", "100000 0", "-5 100000", "99999999999999999999 1"})
    EXPECT_EQ(cores(8, "0::/\nnonsense\n", {{"/sys/fs/cgroup/cpu.max", text}}), 8U) << text;
}

TEST(UsableCores, AreAtLeastOneHere) {
  EXPECT_GE(usable_cores(), 1U);
}

TEST(ThreadsPerLane, ShareTheCoresAmongAllLanes) {
  EXPECT_EQ(threads_per_lane(8, 1), 8U);
  EXPECT_EQ(threads_per_lane(8, 3), 2U);
  EXPECT_EQ(threads_per_lane(2, 6), 1U);
  EXPECT_EQ(threads_per_lane(2, 0), 2U);
}

TEST(ActorThreads, LeaveRoomForTheNetwork) {
  for (auto [cores, network, actors] : {std::array{1U, 1U, 1U},
                                        {2U, 2U, 1U},
                                        {3U, 3U, 1U},
                                        {4U, 4U, 2U},
                                        {8U, 4U, 4U},
                                        {16U, 4U, 12U}}) {
    EXPECT_EQ(network_threads(cores), network) << cores;
    EXPECT_EQ(actor_threads(cores), actors) << cores;
  }
}

}  // namespace
}  // namespace sluice
