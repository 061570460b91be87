#include "base/control_groups.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Folders = std::vector<std::string>;

Folders folders(const std::string& memberships, bool v2) {
  Folders folders;
  for (const ControlGroup& group : control_groups(memberships, "cpu", {"cpu", "cpu,cpuacct"}))
    if (group.v2 == v2) folders.push_back(group.folder);
  return folders;
}

TEST(ControlGroups, AreTheOwnAndThoseAroundIt) {
  EXPECT_EQ(folders("0::/a/b\n", true),
            (Folders{"/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"}));
  EXPECT_EQ(folders("0::/\n", true), Folders{"/sys/fs/cgroup"});
}

TEST(ControlGroups, OfVersionOneAreThoseOfTheController) {
  const std::string memberships = "4:memory:/m\n3:cpuset:/s\n2:cpu,cpuacct:/c\n0::/x\n";
  EXPECT_EQ(folders(memberships, false),
            (Folders{"/sys/fs/cgroup/cpu/c",
                     "/sys/fs/cgroup/cpu",
                     "/sys/fs/cgroup/cpu,cpuacct/c",
                     "/sys/fs/cgroup/cpu,cpuacct"}));
  EXPECT_EQ(folders(memberships, true), (Folders{"/sys/fs/cgroup/x", "/sys/fs/cgroup"}));
}

TEST(ControlGroups, PassOverWhatIsNoMembership) {
  EXPECT_TRUE(control_groups("", "cpu", {"cpu"}).empty());
  EXPECT_TRUE(control_groups("nonsense\n1:cpu\n", "cpu", {"cpu"}).empty());
}

}  // namespace
}  // namespace sluice
