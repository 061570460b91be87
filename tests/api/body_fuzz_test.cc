// Bodies that went wrong on the way: whatever comes, there is a request or an error one can read.
#include "tests/api/bodies.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
#include <random>
#include <string>
#include <string_view>

namespace sluice {
namespace {

constexpr std::string_view kSeeds[] = {
    R"({"prompt": "\u751f\u6210\ud83d\ude00", "max_tokens": 512})",
    R"({"model":"m","prompt":["a","b"],"n":2,"best_of":2,"stream":true,)"
    R"("stream_options":{"include_usage":true,"continuous_usage_stats":false}})",
    R"({"prompt":[[1,2,3],[4]],"temperature":0.7,"top_p":0.9,"top_k":40,"min_p":0.05,"seed":-7})",
    R"({"prompt":[1,2,3],"stop":["\n","END"],"logprobs":5,"echo":true,"presence_penalty":-1.5,)"
    R"("frequency_penalty":2,"logit_bias":{"5":-100,"17":3.25}})",
    R"({"prompt":"x","user":"u","service_tier":"flex","priority":3,"metadata":{"a":"b"},)"
    R"("response_format":{"type":"text"},"suffix":null,"unknown":[{"deep":[[]]}],"tools":[]})",
    R"({"repetition_penalty":1.1,"typical_p":0.5,"min_tokens":1,"max_completion_tokens":9,)"
    R"("stop_token_ids":[1],"ignore_eos":false,"truncate_prompt_tokens":3,"stream_interval":2})",
};

/// Pieces that are likely to turn one document into another.
constexpr std::string_view kPieces[] = {"{",
                                        "}",
                                        "[",
                                        "]",
                                        "\"",
                                        ",",
                                        ":",
                                        "\\",
                                        "\\u",
                                        "\\ud83d",
                                        "null",
                                        "true",
                                        "-",
                                        "1e999",
                                        "0.",
                                        "-1",
                                        "99999999999999999999",
                                        "\xff",
                                        "\xc3",
                                        "\xEF\xBB\xBF",
                                        "\"n\":1,",
                                        "\"prompt\":",
                                        " ",
                                        "/*",
                                        "\n",
                                        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
                                        "3",
                                        "\"stop\":\"\","};

std::string mutated(std::mt19937& random) {
  std::string body(kSeeds[random() % std::size(kSeeds)]);
  for (unsigned i = 0, count = 1 + random() % 4; i < count; ++i) {
    std::size_t at = random() % (body.size() + 1);
    std::size_t length = std::min<std::size_t>(random() % 8, body.size() - at);
    switch (random() % 4) {
      case 0:
        body.erase(at, length);
        break;
      case 1:
        body.insert(at, kPieces[random() % std::size(kPieces)]);
        break;
      case 2:
        if (at < body.size()) body[at] = static_cast<char>(random());
        break;
      default:
        body.insert(random() % (body.size() + 1), body.substr(at, length));
    }
  }
  return body;
}

TEST(BodyFuzz, AlwaysGivesARequestOrAReadableError) {
  std::mt19937 random(20240607);
  testing::Body parser;
  int requests = 0;
  int refusals = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string body = mutated(random);
    parser.context.strict = random() % 4 == 0;
    auto result = parser.parse(body);
    if (auto* request = std::get_if<OpenAiRequest>(&result)) {
      ++requests;
      ASSERT_FALSE(request->prompts.empty()) << body;
      ASSERT_GE(request->n, 1U) << body;
      ASSERT_LE(request->n, 16U) << body;
      const SamplingParams& sampling = request->sampling;
      ASSERT_TRUE(sampling.temperature >= 0 && sampling.temperature <= 2) << body;
      ASSERT_TRUE(sampling.top_p > 0 && sampling.top_p <= 1) << body;
      ASSERT_TRUE(std::isfinite(sampling.repetition_penalty)) << body;
      ASSERT_EQ(request->form.ignored_params.find_first_of("\r\n"), std::string::npos) << body;
    } else {
      ++refusals;
      const auto& error = std::get<ApiError>(result);
      ASSERT_EQ(error.status, 400) << body;
      boost::json::error_code code;
      auto json = boost::json::parse(error_json(error), code);
      ASSERT_FALSE(code) << body;
      ASSERT_EQ(json.at("error").as_object().size(), 4U) << body;
    }
  }
  // Both ways are walked, or the mutations are too tame or too wild.
  EXPECT_GT(requests, 1000);
  EXPECT_GT(refusals, 1000);
}

}  // namespace
}  // namespace sluice
