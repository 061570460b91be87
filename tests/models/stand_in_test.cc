#include "models/stand_in.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

const std::string kPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n";

TEST(StandIn, IsAGitLfsPointerOfSomeSize) {
  EXPECT_EQ(
      describe_stand_in(kPointer + "size 12345\n"),
      "is a Git LFS pointer to a file of 12345 bytes, not the file; run 'git lfs pull' in its "
      "folder");
}

TEST(StandIn, IsSaidToHaveASizeOnlyIfThatIsANumber) {
  const std::string kWithout =
      "is a Git LFS pointer to a file, not the file; run 'git lfs pull' in its folder";
  EXPECT_EQ(describe_stand_in(kPointer), kWithout);
  EXPECT_EQ(describe_stand_in(kPointer + "size \xFF\xFE\n"), kWithout);
  EXPECT_EQ(describe_stand_in(kPointer + "size "), kWithout);
}

TEST(StandIn, IsAWebPage) {
  EXPECT_EQ(describe_stand_in("\n <!DOCTYPE html>"),
            "is a web page, not the file; the download went wrong");
  EXPECT_EQ(describe_stand_in("GGUF"), "");
  EXPECT_EQ(describe_stand_in(""), "");
}

}  // namespace
}  // namespace sluice
