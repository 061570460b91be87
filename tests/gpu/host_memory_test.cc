// The machine's account of memory, read from made-up /proc and /sys trees.
#include "gpu/host_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace sluice {
namespace {

class HostMemoryTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "host_memory_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& text) {
    std::filesystem::path file = root_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  std::string root_;
};

TEST_F(HostMemoryTest, WithoutAnyAccountThereIsNoLimit) {
  EXPECT_EQ(available_host_bytes(root_), std::numeric_limits<std::size_t>::max());
}

TEST_F(HostMemoryTest, TakesWhatTheKernelCallsAvailable) {
  write("/proc/meminfo", "MemTotal:  2000 kB\nMemFree:  10 kB\nMemAvailable:  1000 kB\n");

  EXPECT_EQ(available_host_bytes(root_), 1000U * 1024);
}

TEST_F(HostMemoryTest, TakesTheTightestGroupOfVersion2) {
  write("/proc/meminfo", "MemAvailable: 1000 kB\n");
  write("/proc/self/cgroup", "0::/outer/inner\n");
  write("/sys/fs/cgroup/outer/memory.max", "100000\n");
  write("/sys/fs/cgroup/outer/memory.current", "70000\n");
  write("/sys/fs/cgroup/outer/inner/memory.max", "max\n");
  write("/sys/fs/cgroup/outer/inner/memory.current", "5000\n");

  EXPECT_EQ(available_host_bytes(root_), 30000U);
}

TEST_F(HostMemoryTest, CountsDroppableFileCacheAsFree) {
  write("/proc/self/cgroup", "0::/\n");
  write("/sys/fs/cgroup/memory.max", "100000\n");
  write("/sys/fs/cgroup/memory.current", "70000\n");
  write("/sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 50000\nactive_file 9\n");

  EXPECT_EQ(available_host_bytes(root_), 80000U);
}

TEST_F(HostMemoryTest, ReadsVersion1EvenWhereTheGroupIsTheRootOfTheMount) {
  write("/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/docker/abc\n");
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "50000\n");
  write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "20000\n");
  write("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 4000\n");

  EXPECT_EQ(available_host_bytes(root_), 34000U);
}

TEST_F(HostMemoryTest, AGroupOverItsLimitLeavesNothing) {
  write("/proc/self/cgroup", "0::/a\n");
  write("/sys/fs/cgroup/a/memory.max", "1000\n");
  write("/sys/fs/cgroup/a/memory.current", "3000\n");

  EXPECT_EQ(available_host_bytes(root_), 0U);
}

}  // namespace
}  // namespace sluice
