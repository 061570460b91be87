#include "server/model_paths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;

std::vector<std::string> names(const ServeOptions& options) {
  auto models = model_paths(options, "/nowhere/sluice");
  if (!models) return {"error: " + models.error().message};
  std::vector<std::string> all;
  for (const NamedPath& model : *models)
    all.push_back(model.name + " at " + model.path);
  return all;
}

TEST(ModelName, IsThatOfTheFileOrFolder) {
  EXPECT_EQ(model_name_of("/a/SmolLM2-135M.Q4_1.gguf"), "SmolLM2-135M.Q4_1");
  EXPECT_EQ(model_name_of("models/Qwen2.5-0.5B"), "Qwen2.5-0.5B");
  EXPECT_EQ(model_name_of("models/Qwen2.5-0.5B/"), "Qwen2.5-0.5B");
  EXPECT_EQ(model_name_of("./m.gguf"), "m");
  EXPECT_EQ(model_name_of("/cache/models--org--some-name"), "org/some-name");
  EXPECT_EQ(model_name_of("/cache/models--org--a--b/"), "org/a--b");
  EXPECT_EQ(model_name_of("/cache/models--org--name/snapshots/0123abcd/"), "org/name");
  EXPECT_EQ(model_name_of("/cache/models--org--name/snapshots/0123abcd/x-Q8_0.gguf"), "x-Q8_0");
}

TEST(ModelPaths, SayThatTheServerDoesNotDownload) {
  ServeOptions path;
  path.paths = {"hf:org/name"};
  EXPECT_THAT(names(path).at(0), HasSubstr("run sluice pull hf:org/name first"));
  for (const char* text : {"hf:org/name", "mine=hf:org/name"}) {
    ServeOptions named;
    named.models = {text};
    EXPECT_THAT(names(named).at(0), HasSubstr("run sluice pull hf:org/name first"));
  }
}

TEST(ModelPaths, TakesPathsBeforeNamedModels) {
  ServeOptions options;
  options.paths = {"/a/x.gguf", "/b/y"};
  options.models = {"z=/c"};
  EXPECT_EQ(names(options), (std::vector<std::string>{"x at /a/x.gguf", "y at /b/y", "z at /c"}));
}

TEST(ModelPaths, CallsTheOnlyPathAsItIsTold) {
  ServeOptions options;
  options.paths = {"/a/x.gguf"};
  options.served_model_name = "mine";
  EXPECT_EQ(names(options), std::vector<std::string>{"mine at /a/x.gguf"});
  options.paths.emplace_back("/b");
  EXPECT_THAT(names(options).at(0), HasSubstr("there are 2"));
}

TEST(ModelPaths, RefusesANameTwiceAndAModelWithoutOne) {
  ServeOptions options;
  options.paths = {"/a/x.gguf", "/b/x"};
  EXPECT_THAT(names(options).at(0), HasSubstr("/a/x.gguf and /b/x have the same name x"));
  options.paths.clear();
  options.models = {"=/c"};
  EXPECT_THAT(names(options).at(0), HasSubstr("--model =/c: expected NAME=PATH"));
  options.models.clear();
  EXPECT_THAT(names(options).at(0),
              HasSubstr("the shipped model models/shipped/brook is not near"));
}

}  // namespace
}  // namespace sluice
