#include "server/chat_templates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kModels = {"m", "org/n"};

TEST(ChatTemplateOption, NamesAModelOrAllOfThem) {
  EXPECT_EQ(parse_chat_template_option("chatml", kModels).model, "");
  EXPECT_EQ(parse_chat_template_option("chatml", kModels).source, "chatml");
  EXPECT_EQ(parse_chat_template_option("m=chatml", kModels).model, "m");
  EXPECT_EQ(parse_chat_template_option("org/n=a=b.jinja", kModels).source, "a=b.jinja");
  EXPECT_EQ(parse_chat_template_option("a=b.jinja", kModels).model, "");
  EXPECT_EQ(parse_chat_template_option("a=b.jinja", kModels).source, "a=b.jinja");
}

/// A file of its own in the folder of temporary files; goes with the test.
class TemplateFile {
 public:
  explicit TemplateFile(const std::string& text)
      : path_(std::filesystem::path(::testing::TempDir()) /
              (std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()) +
               ".jinja")) {
    std::ofstream(path_) << text;
  }
  ~TemplateFile() { std::filesystem::remove(path_); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(OpenChatTemplate, KnowsBuiltInOnesAndFiles) {
  auto builtin = open_chat_template("chatml");
  ASSERT_TRUE(builtin) << builtin.error().message;
  EXPECT_EQ((*builtin)->name(), "chatml");
  TemplateFile file("{{ messages[0].content }}");
  auto loaded = open_chat_template(file.path());
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ((*loaded)->name(), file.path());
}

TEST(OpenChatTemplate, SaysWhatIsWrong) {
  auto nothing = open_chat_template("no-such-template");
  ASSERT_FALSE(nothing);
  EXPECT_THAT(nothing.error().message, HasSubstr("'no-such-template' is neither a file nor"));
  EXPECT_THAT(nothing.error().message, HasSubstr("chatml, llama2"));
  TemplateFile damaged("line\n{% if %}");
  auto wrong = open_chat_template(damaged.path());
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("line 2"));
}

}  // namespace
}  // namespace sluice
