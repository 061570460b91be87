#include "admission/host_memory.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice {
namespace {

using Files = std::map<std::string, std::string>;

double used(const std::string& cgroups, const Files& files) {
  return memory_used({cgroups, [&files](const std::string& path) -> std::optional<std::string> {
                        auto file = files.find(path);
                        return file == files.end() ? std::nullopt : std::optional(file->second);
                      }});
}

TEST(HostMemory, CountsAGroupOfTheSecondVersionWithoutPagesOfFiles) {
  const std::string group = "0::/system.slice/sluice\n";
  const std::string folder = "/sys/fs/cgroup/system.slice/sluice";
  Files files{
      {folder + "/memory.current", "900\n"},
      {folder + "/memory.max", "1000\n"},
      {folder + "/memory.high", "max\n"},
      {folder + "/memory.stat", "anon 500\nfile 400\ninactive_file 100\nactive_file 200\n"}};

  EXPECT_DOUBLE_EQ(used(group, files), 0.6);

  files[folder + "/memory.high"] = "800\n";
  EXPECT_DOUBLE_EQ(used(group, files), 0.75) << "above it the kernel slows us down";
  files.erase(folder + "/memory.stat");
  EXPECT_DOUBLE_EQ(used(group, files), 1.0) << "more than the limit is all of it";
}

TEST(HostMemory, TakesTheGroupThatIsClosestToItsLimit) {
  Files files{{"/sys/fs/cgroup/a/b/memory.current", "100"},
              {"/sys/fs/cgroup/a/b/memory.max", "1000"},
              {"/sys/fs/cgroup/a/memory.current", "700"},
              {"/sys/fs/cgroup/a/memory.max", "1000"},
              {"/sys/fs/cgroup/memory.current", "10"}};

  EXPECT_DOUBLE_EQ(used("0::/a/b\n", files), 0.7);
  EXPECT_DOUBLE_EQ(used("0::/a/b/../..\n", files), 0.7) << "whatever is not there is passed over";
}

TEST(HostMemory, CountsAGroupOfTheFirstVersion) {
  const std::string groups = "5:cpu,cpuacct:/x\n4:memory:/docker/1\n0::/\n";
  const std::string folder = "/sys/fs/cgroup/memory";  // of the container: the path is the host's
  Files files{{folder + "/memory.usage_in_bytes", "950\n"},
              {folder + "/memory.limit_in_bytes", "1000\n"},
              {folder + "/memory.stat", "cache 9\ntotal_inactive_file 40\ntotal_active_file 10\n"}};

  EXPECT_DOUBLE_EQ(used(groups, files), 0.9);

  files[folder + "/memory.limit_in_bytes"] = "9223372036854771712\n";
  EXPECT_EQ(used(groups, files), 0) << "no limit";
}

TEST(HostMemory, SaysNothingWithoutALimitOrWithoutAGroup) {
  Files files{{"/sys/fs/cgroup/a/memory.current", "900"},
              {"/sys/fs/cgroup/a/memory.max", "max"},
              {"/sys/fs/cgroup/a/memory.pressure", "some avg10=90.0 avg60=1 avg300=1 total=1\n"}};

  EXPECT_EQ(used("0::/a\n", files), 0);
  EXPECT_EQ(used("", files), 0);
  EXPECT_EQ(used("nonsense\n:\n::\n", files), 0);
}

TEST(HostMemory, CountsTasksThatStandStillForMemory) {
  Files files{{"/sys/fs/cgroup/memory.current", "500"},
              {"/sys/fs/cgroup/memory.max", "1000"},
              {"/sys/fs/cgroup/memory.pressure",
               "some avg10=9.99 avg60=0.00 avg300=0.00 total=1\n"
               "full avg10=80.00 avg60=0.00 avg300=0.00 total=1\n"}};
  EXPECT_DOUBLE_EQ(used("0::/\n", files), 0.5);

  files["/sys/fs/cgroup/memory.pressure"] = "some avg10=10.00 avg60=0.00 avg300=0.00 total=1\n";
  EXPECT_DOUBLE_EQ(used("0::/\n", files), 0.85);
  files["/sys/fs/cgroup/memory.pressure"] = "some avg10=80.00 avg60=0.00 avg300=0.00 total=1\n";
  EXPECT_DOUBLE_EQ(used("0::/\n", files), 0.9) << "of itself it is no danger";
}

TEST(HostMemory, ReadsTheFilesOfTheKernel) {
  EXPECT_EQ(pressure_some_avg10("some avg10=12.50 avg60=3 avg300=1 total=7\n"), 12.5);
  EXPECT_EQ(pressure_some_avg10("full avg10=12.50 avg60=3 avg300=1 total=7\n"), 0);
  EXPECT_EQ(pressure_some_avg10(""), 0);
  EXPECT_EQ(field_of("inactive_file_x 1\ninactive_file 23\n", "inactive_file"), 23);
  EXPECT_FALSE(field_of("inactive_file\n", "inactive_file"));
  EXPECT_FALSE(field_of("inactive_file x\n", "inactive_file"));
}

}  // namespace
}  // namespace sluice
