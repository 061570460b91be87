#include "models/checkpoint/model_files.h"

#include "models/checkpoint/chat_template.h"
#include "models/checkpoint/model_path.h"
#include "tests/models/checkpoint/gguf_bytes.h"
#include "tests/models/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace sluice {
namespace {

namespace fs = std::filesystem;
using testing::GgufBytes;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

class ModelPathTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name) {
    fs::create_directories(fs::path(folder_.path() + "/" + name).parent_path());
    return folder_.write(name, "");
  }
  void expect(const std::string& path, WeightsFormat format, const std::string& found) {
    auto model = find_model(path);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ(model->format, format);
    EXPECT_EQ(model->path, found);
  }

  TemporaryFolder folder_;
};

TEST_F(ModelPathTest, IsAFolderWithSafetensors) {
  write("model.safetensors");
  write("also.gguf");
  expect(folder_.path(), WeightsFormat::safetensors, folder_.path());
}

TEST_F(ModelPathTest, IsAFolderThatLacksEverything) {
  expect(folder_.path(), WeightsFormat::safetensors, folder_.path());
}

TEST_F(ModelPathTest, IsAFileOfAnyName) {
  std::string file = write("weights.bin");
  expect(file, WeightsFormat::gguf, file);

  auto absent = find_model(folder_.path() + "/absent.gguf");

  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
  EXPECT_EQ(absent.error().message, folder_.path() + "/absent.gguf: No such file or directory");
}

TEST_F(ModelPathTest, IsTheOnlyGgufFileOfAFolder) {
  write("config.json");
  std::string file = write("model.Q4_K_M.gguf");
  expect(folder_.path(), WeightsFormat::gguf, file);
  write("another.gguf");

  auto several = find_model(folder_.path());

  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(
      several.error().message,
      folder_.path() + ": has 2 GGUF files (another.gguf, model.Q4_K_M.gguf); name one of them");
}

TEST_F(ModelPathTest, IsTheMainSnapshotOfAFolderOfTheCache) {
  std::string name = "models--org--name";
  std::string folder = folder_.path() + "/" + name;
  std::string snapshot = folder + "/snapshots/0123abc";
  std::string blob = write(name + "/blobs/77");
  write(name + "/snapshots/0123abc/config.json");
  fs::create_symlink(blob, snapshot + "/model.safetensors");

  auto without = find_model(folder);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().code, ErrorCode::not_found);
  EXPECT_THAT(without.error().message, HasSubstr("refs/main: No such file"));

  write(name + "/refs/main");
  auto empty = find_model(folder);
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("refs/main: does not name a revision"));

  folder_.write(name + "/refs/main", "0123abc");
  expect(folder, WeightsFormat::safetensors, snapshot);
  expect(folder + "/", WeightsFormat::safetensors, folder + "//snapshots/0123abc");
  expect(snapshot, WeightsFormat::safetensors, snapshot);

  for (const char* wrong : {"../other", "..", "a b", "refs/pr/1"}) {
    folder_.write(name + "/refs/main", wrong);
    EXPECT_FALSE(find_model(folder)) << wrong;
  }
  folder_.write(name + "/refs/main", "ffff");
  auto gone = find_model(folder);
  ASSERT_FALSE(gone);
  EXPECT_THAT(gone.error().message, HasSubstr("snapshots/ffff: is not there, but refs/main"));
}

class ChatTemplateFile : public ::testing::Test {
 protected:
  std::optional<std::string> load() {
    auto text = load_chat_template(folder_.path());
    EXPECT_TRUE(text) << text.error().message;
    return text ? *text : std::nullopt;
  }
  std::string refusal() {
    auto text = load_chat_template(folder_.path());
    EXPECT_FALSE(text);
    return text ? "" : text.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(ChatTemplateFile, IsSoughtInThreePlaces) {
  EXPECT_EQ(load(), std::nullopt);
  folder_.write("chat_template.json", R"({"chat_template": "third"})");
  EXPECT_EQ(load(), "third");
  folder_.write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(load(), "third");
  folder_.write("tokenizer_config.json", R"({"chat_template": "second"})");
  EXPECT_EQ(load(), "second");
  folder_.write("chat_template.jinja", "first\n");
  EXPECT_EQ(load(), "first\n");
}

TEST_F(ChatTemplateFile, MayBeOneOfSeveralWithNames) {
  folder_.write("tokenizer_config.json",
                R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                      {"name": "default", "template": "plain"}]})");
  EXPECT_EQ(load(), "plain");
  folder_.write("tokenizer_config.json",
                R"({"chat_template": [{"name": "tool_use", "template": "tools"}]})");
  EXPECT_EQ(load(), std::nullopt);
}

TEST_F(ChatTemplateFile, IsRefusedWhenItIsNoText) {
  folder_.write("tokenizer_config.json", R"({"chat_template": 7})");
  EXPECT_EQ(refusal(),
            "tokenizer_config.json: chat_template is 7, must be a string or a list of named ones");
  folder_.write("tokenizer_config.json", R"({"chat_template": ["x"]})");
  EXPECT_THAT(refusal(), HasSubstr("holds \"x\", not an object with name and template"));
  folder_.write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  EXPECT_THAT(refusal(), HasSubstr("chat_template: template is missing"));
  folder_.write("tokenizer_config.json",
                R"({"chat_template": ")" + std::string((1 << 20) + 1, 'x') + "\"}");
  EXPECT_THAT(refusal(), HasSubstr("has 1048577 bytes, the limit is 1048576"));
  folder_.write("chat_template.jinja", "a\xFF");
  EXPECT_EQ(refusal(), "chat_template.jinja: is not UTF-8 at byte 1");
}

TEST(ModelFilesTest, OpenAFolder) {
  TemporaryFolder folder;
  folder.copy_from(SLUICE_SOURCE_DIR "/models/shipped/brook");
  folder.write("chat_template.jinja", "{{ messages }}");

  auto files = ModelFiles::open(folder.path());

  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->format(), WeightsFormat::safetensors);
  EXPECT_EQ(files->gguf(), nullptr);
  ASSERT_TRUE(files->config());
  EXPECT_EQ(files->config()->architecture, "llama");
  EXPECT_NE(files->config_hash(), 0U);
  EXPECT_EQ(*files->chat_template(), "{{ messages }}");
  EXPECT_TRUE(files->tokenizer());
  EXPECT_EQ(files->tokenizer_hash(), hash_tokenizer(folder.path()));
  auto weights = files->take_weights();
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_NE(weights->find("model.norm.weight"), nullptr);
  EXPECT_EQ(weights->spelling("model.norm.weight"), "model.norm.weight");
}

TEST(ModelFilesTest, OpenAGgufFile) {
  auto files = ModelFiles::open(SLUICE_SOURCE_DIR "/tests/golden/gguf/qwen2.gguf");

  ASSERT_TRUE(files) << files.error().message;
  EXPECT_EQ(files->format(), WeightsFormat::gguf);
  ASSERT_NE(files->gguf(), nullptr);
  ASSERT_TRUE(files->config()) << files->config().error().message;
  EXPECT_EQ(files->config()->architecture, "qwen2");
  EXPECT_EQ(*files->chat_template(), std::nullopt);
  auto weights = files->take_weights();
  ASSERT_TRUE(weights);
  EXPECT_EQ(weights->main_file(), "qwen2.gguf");
  EXPECT_EQ(weights->spelling("model.layers.2.self_attn.k_proj.bias"), "blk.2.attn_k.bias");
  const StoredTensor* key = weights->find("model.layers.2.self_attn.k_proj.weight");
  ASSERT_NE(key, nullptr);
  EXPECT_EQ(key->name, "blk.2.attn_k.weight");
  EXPECT_EQ(key->shape, (std::vector<std::int64_t>{32, 64}));
  EXPECT_EQ(key->dtype, DType::bf16);
  EXPECT_EQ(weights->find("model.layers.3.self_attn.k_proj.weight"), nullptr);
  EXPECT_EQ(weights->find("other"), nullptr);
}

TEST(ModelFilesTest, SayWhenAFileIsNoGguf) {
  TemporaryFolder folder;
  std::string file = folder.write("model.bin", std::string(100, 'x'));

  auto files = ModelFiles::open(file);

  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().message,
            "model.bin: is no GGUF file: it begins with 'xxxx' instead of 'GGUF'");
  auto absent = ModelFiles::open(folder.path() + "/absent.gguf");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace sluice
