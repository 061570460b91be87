// A real model: SmolLM2-135M-Instruct in Q4_1, of which tests/golden/gguf/smollm2.json knows every
// decoded tensor and how six chats go on. Runs where the environment variable SLUICE_SMOLLM2 names
// the file.
#include "base/hash.h"
#include "models/checkpoint/model_files.h"
#include "models/json_fields.h"
#include "models/registry.h"
#include "tests/models/model_runner.h"

#include <boost/json/array.hpp>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

namespace sluice {
namespace {

namespace json = boost::json;
using testing::ModelRunner;

class SmolLm2 : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* path = std::getenv("SLUICE_SMOLLM2");
    if (path == nullptr)
      GTEST_SKIP() << "SLUICE_SMOLLM2 does not name SmolLM2-135M-Instruct.Q4_1.gguf";
    path_ = path;
    auto golden = read_json_object(SLUICE_SOURCE_DIR "/tests/golden/gguf/smollm2.json", 1 << 20);
    ASSERT_TRUE(golden) << golden.error().message;
    golden_ = std::move(*golden);
  }

  template <class T>
  static std::vector<T> list(const json::value& values) {
    std::vector<T> numbers;
    for (const json::value& value : values.as_array())
      numbers.push_back(value.to_number<T>());
    return numbers;
  }

  std::unique_ptr<Model> load(const std::string& dtype) {
    ModelSource source;
    source.path = path_;
    source.dtype = dtype;
    source.threads = 2;
    auto model = load_model(source);
    EXPECT_TRUE(model) << model.error().message;
    if (!model) return nullptr;
    EXPECT_TRUE((*model)->allocate({kPositions / kBlockTokens, kPositions, 1, kPositions}));
    return std::move(*model);
  }

  /// Compares greedy tokens up to the first step whose margin another arithmetic may overturn.
  void expect_greedy(const std::string& dtype, double margin_min) {
    auto model = load(dtype);
    ASSERT_TRUE(model);
    auto vocabulary = static_cast<std::size_t>(model->info().vocabulary);
    int compared = 0;
    for (const json::value& chat : golden_.at("chats").as_array()) {
      auto prompt = list<TokenId>(chat.at("prompt_ids"));
      auto expected = list<TokenId>(chat.at("greedy_ids"));
      auto margins = list<double>(chat.at("margins"));
      ModelRunner runner(*model, ModelRunner::blocks_for(prompt.size() + expected.size()));
      std::vector<float> logits = runner.run(prompt, {prompt.size()});
      for (std::size_t i = 0; i < expected.size() && margins[i] >= margin_min; ++i) {
        auto last = logits.end() - static_cast<std::ptrdiff_t>(vocabulary);
        auto best = static_cast<TokenId>(std::max_element(last, logits.end()) - last);
        ASSERT_EQ(best, expected[i])
            << chat.at("name").as_string().c_str() << ", token " << i << ", margin " << margins[i];
        ++compared;
        logits.clear();
        runner.push({best}, logits);
      }
    }
    RecordProperty("compared", compared);
    std::printf("%s: %d tokens of six chats compared\n", dtype.c_str(), compared);
    EXPECT_GE(compared, 40);
  }

  static constexpr std::int32_t kPositions = 512;
  std::string path_;
  json::object golden_;
};

TEST_F(SmolLm2, IsDecodedToTheBitsOfTheGgufPackage) {
  auto files = ModelFiles::open(path_);
  ASSERT_TRUE(files) << files.error().message;
  const json::object& hashes = golden_.at("tensors").as_object();
  EXPECT_EQ(files->gguf()->tensors().size(), hashes.size());
  for (const GgufTensor& tensor : files->gguf()->tensors()) {
    const json::value* expected =
        hashes.if_contains(json::string_view(tensor.name.data(), tensor.name.size()));
    ASSERT_NE(expected, nullptr) << tensor.name;
    std::vector<float> values(tensor.data.size() / tensor.format->bytes * tensor.format->elements);
    decode_blocks(tensor.format->type, tensor.data.data(), values);
    std::uint64_t hash = hash_bytes(values.data(), values.size() * sizeof(float));
    EXPECT_EQ(hash, std::stoull(expected->as_string().c_str(), nullptr, 16)) << tensor.name;
  }
}

TEST_F(SmolLm2, GivesTheLogitsOfAnExactRunInF32) {
  auto model = load("f32");
  ASSERT_TRUE(model);
  auto prompt = list<TokenId>(golden_.at("chats").as_array().at(0).at("prompt_ids"));
  auto vocabulary = static_cast<std::size_t>(model->info().vocabulary);
  std::vector<float> logits =
      ModelRunner(*model, ModelRunner::blocks_for(prompt.size())).run(prompt, {prompt.size()});
  auto expected = list<double>(golden_.at("first_logits"));
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(logits[logits.size() - vocabulary + i], expected[i], 2e-3) << i;
}

TEST_F(SmolLm2, ContinuesChatsAsItShouldInF32) {
  expect_greedy("f32", 0.1);
}

TEST_F(SmolLm2, ContinuesChatsAsItShouldInBf16) {
  expect_greedy("bf16", 0.5);
}

}  // namespace
}  // namespace sluice
