#include "plugins/loader.h"

#include "net/digest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace sluice {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// A directory of our own with a copy of a working plugin in it.
class PluginFiles : public ::testing::Test {
 protected:
  PluginFiles() {
    std::string pattern = (fs::temp_directory_path() / "sluice_plugins_XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    fs::create_directories(root_ / "dir" / "below");
    place("dir/good.so");
  }
  ~PluginFiles() override { fs::remove_all(root_); }

  static std::string module(const std::string& name) {
    return std::string(SLUICE_PLUGIN_DIR) + "/" + name + ".so";
  }

  /// A new file with the plugin in it.
  void place(const std::string& name) {
    fs::copy_file(module("admission_tokens"), root_ / name);
    ::chmod((root_ / name).c_str(), 0644);
  }

  [[nodiscard]] std::string at(const std::string& name) const { return (root_ / name).string(); }

  [[nodiscard]] Result<std::shared_ptr<const PluginLibrary>> open(
      const std::string& path, const std::string& pin = "") const {
    return PluginLibrary::open({at("dir"), path, pin});
  }

  [[nodiscard]] std::string refusal(const std::string& path, const std::string& pin = "") const {
    auto opened = open(path, pin);
    return opened ? "opened" : opened.error().message;
  }

  [[nodiscard]] std::string digest(const std::string& name) const {
    std::ifstream file(root_ / name, std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    ContentDigest digest = ContentDigest::sha256();
    digest.add(bytes);
    return digest.hex();
  }

  fs::path root_;
};

std::string refusal_of_module(const std::string& name) {
  auto opened = PluginLibrary::open({"", std::string(SLUICE_PLUGIN_DIR) + "/" + name + ".so", ""});
  return opened ? "opened" : opened.error().message;
}

TEST_F(PluginFiles, AreOpenedByAbsoluteAndByRelativePath) {
  auto absolute = open(at("dir/good.so"));
  ASSERT_TRUE(absolute) << absolute.error().message;
  EXPECT_EQ((*absolute)->path(), at("dir/good.so"));
  EXPECT_EQ((*absolute)->table().hooks, SLUICE_HOOK_ADMISSION);
  EXPECT_NE((*absolute)->table().on_admission, nullptr);

  place("dir/below/good.so");
  auto relative = open("below/good.so");
  ASSERT_TRUE(relative) << relative.error().message;
  EXPECT_EQ((*relative)->path(), at("dir/below/good.so"));
}

TEST_F(PluginFiles, ThatAreNotThereAreNotFound) {
  for (const char* path : {"missing.so", "missing/good.so"}) {
    auto opened = open(path);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::not_found);
    EXPECT_THAT(opened.error().message, HasSubstr(at("dir/missing")));
  }
}

TEST_F(PluginFiles, DoNotEscapeTheirDirectory) {
  place("outside.so");
  EXPECT_THAT(refusal("../outside.so"), HasSubstr("leads out of the directory"));
  EXPECT_THAT(refusal("below/../../outside.so"), HasSubstr("leads out of the directory"));

  fs::create_symlink(at("outside.so"), at("dir/link.so"));
  EXPECT_THAT(refusal("link.so"), AllOf(HasSubstr(at("dir/link.so")), HasSubstr("symbolic link")));
  fs::create_directory_symlink(root_, at("dir/up"));
  EXPECT_THAT(refusal("up/outside.so"), AllOf(HasSubstr(at("dir/up")), HasSubstr("symbolic link")));
  EXPECT_THAT(refusal(at("dir/link.so")), HasSubstr("symbolic link"));
}

TEST_F(PluginFiles, HaveToBeRegularFilesWithALibraryInThem) {
  EXPECT_THAT(refusal("below"), HasSubstr("is not a regular file"));
  EXPECT_THAT(refusal("below/"), HasSubstr("is not the path of a file"));
  EXPECT_THAT(refusal(""), HasSubstr("is not the path of a file"));
  EXPECT_THAT(refusal("good.so/x.so"), HasSubstr("is no directory"));
  ASSERT_EQ(::mkfifo(at("dir/pipe.so").c_str(), 0600), 0);
  EXPECT_THAT(refusal("pipe.so"), HasSubstr("is not a regular file"));
  std::ofstream(root_ / "dir/text.so") << "not a library";
  EXPECT_THAT(refusal("text.so"),
              AllOf(HasSubstr(at("dir/text.so")), HasSubstr("cannot be loaded")));
}

TEST_F(PluginFiles, ThatOthersCouldChangeAreRefused) {
  ::chmod(at("dir/good.so").c_str(), 0646);
  EXPECT_THAT(refusal("good.so"),
              AllOf(HasSubstr(at("dir/good.so")), HasSubstr("writable for everybody (mode 0646)")));

  ::chmod(at("dir/good.so").c_str(), 0664);
  EXPECT_EQ(refusal("good.so"), "opened") << "its group is ours";
}

TEST_F(PluginFiles, InDirectoriesThatOthersCouldChangeAreRefusedUnlessSticky) {
  ::chmod(at("dir").c_str(), 0777);
  EXPECT_THAT(refusal("good.so"),
              AllOf(HasSubstr(at("dir") + ":"), HasSubstr("writable for everybody (mode 0777)")));

  ::chmod(at("dir").c_str(), 01777);
  EXPECT_EQ(refusal("good.so"), "opened");

  place("dir/below/good.so");
  ::chmod(at("dir/below").c_str(), 0777);
  EXPECT_THAT(refusal("below/good.so"), HasSubstr(at("dir/below") + ":"));
}

TEST_F(PluginFiles, OfOtherUsersAndGroupsAreRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  ASSERT_EQ(::chown(at("dir/good.so").c_str(), 12345, 0), 0);
  EXPECT_THAT(refusal("good.so"), HasSubstr("belongs to user 12345"));

  ASSERT_EQ(::chown(at("dir/good.so").c_str(), 0, 12345), 0);
  EXPECT_EQ(refusal("good.so"), "opened") << "its group cannot write";
  ::chmod(at("dir/good.so").c_str(), 0664);
  EXPECT_THAT(refusal("good.so"), HasSubstr("is writable for group 12345 (mode 0664)"));
}

TEST_F(PluginFiles, HaveTheDigestTheyArePinnedTo) {
  std::string right = digest("dir/good.so");
  std::string wrong = right;
  wrong[0] = wrong[0] == '0' ? '1' : '0';

  EXPECT_THAT(refusal("good.so", wrong),
              AllOf(HasSubstr("has the sha256 " + right), HasSubstr("wants " + wrong)));
  EXPECT_THAT(refusal("good.so", "abc"), HasSubstr("64 hexadecimal digits, not abc"));
  EXPECT_EQ(refusal("good.so", right), "opened");
}

TEST_F(PluginFiles, AreLoadedOnceAndAgainOnlyAsNewFiles) {
  auto first = open("good.so");
  auto second = open("good.so");
  ASSERT_TRUE(first && second);
  EXPECT_EQ((*first)->table().create, (*second)->table().create) << "one library, loaded once";

  // A new file under the old name is a library of its own.
  fs::rename(at("dir/good.so"), at("dir/old.so"));
  place("dir/good.so");
  auto replaced = open("good.so");
  ASSERT_TRUE(replaced) << replaced.error().message;
  EXPECT_NE((*replaced)->table().create, (*first)->table().create);

  // The old one, written to where it lies, is not what runs.
  std::ofstream(root_ / "dir/old.so", std::ios::app) << "more";
  EXPECT_THAT(refusal("old.so"), HasSubstr("was written to after it had been loaded"));
}

TEST(PluginLibrary, RefusesInterfacesThatDoNotFit) {
  EXPECT_THAT(refusal_of_module("plugin_newer_minor"),
              HasSubstr("plugin_newer_minor.so: needs plugin interface 1.1, this server has 1.0"));
  EXPECT_THAT(refusal_of_module("plugin_newer_major"),
              HasSubstr("needs plugin interface 2.0, this server has 1.0"));
  EXPECT_THAT(refusal_of_module("plugin_older_major"),
              HasSubstr("needs plugin interface 0.9, this server has 1.0"));
  EXPECT_THAT(refusal_of_module("plugin_no_get"), HasSubstr("has no symbol sluice_plugin_get"));
}

TEST(PluginLibrary, RefusesTablesThatContradictThemselves) {
  EXPECT_THAT(refusal_of_module("plugin_no_table"), HasSubstr("gave no table"));
  EXPECT_THAT(refusal_of_module("plugin_tiny_table"),
              HasSubstr("gave a table of 8 bytes, the least is 48"));
  EXPECT_THAT(refusal_of_module("plugin_other_table"),
              HasSubstr("a table of another interface than it said"));
  EXPECT_THAT(refusal_of_module("plugin_missing_hook"),
              HasSubstr("announces the hook output and has no function for it"));
  EXPECT_THAT(refusal_of_module("plugin_unknown_hook"), HasSubstr("mask 256"));
  EXPECT_THAT(refusal_of_module("plugin_other_hooks"),
              HasSubstr("manifest: hooks: wanted those of the code, admission, found none"));
  EXPECT_THAT(refusal_of_module("plugin_no_manifest"), HasSubstr("has no manifest"));
  EXPECT_THAT(refusal_of_module("plugin_no_create"), HasSubstr("cannot create"));
}

TEST(PluginLibrary, TreatsMembersBeyondAnOlderTableAsNull) {
  auto opened =
      PluginLibrary::open({"", std::string(SLUICE_PLUGIN_DIR) + "/plugin_older_table.so", ""});

  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->table().on_admission, nullptr);
}

}  // namespace
}  // namespace sluice
