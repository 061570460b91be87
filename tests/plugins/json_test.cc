#include "plugins/sdk/sluice/json.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

std::string refusal(std::string_view text) {
  try {
    return "read: " + Json::parse(text).dump();
  } catch (const JsonError& error) {
    return error.what();
  }
}

TEST(SdkJson, WritesWhatItRead) {
  for (const char* text : {"null",
                           "true",
                           "-0.50e+3",
                           "123456789012345678901234567890",
                           R"("a\"\\\nb")",
                           "\"é€😀\"",
                           "[]",
                           R"([1,[2,{"a":[]}]])",
                           R"({"b":1,"a":{"c":null}})"})
    EXPECT_EQ(Json::parse(text).dump(), text);
  EXPECT_EQ(Json::parse(" [ 1 ,\t2\n] \r").dump(), "[1,2]");
  EXPECT_EQ(Json::parse(R"("\u0041\u00e9\ud83d\ude00\/\b\f\r\t")").as_string(), "Aé😀/\b\f\r\t");
  EXPECT_EQ(Json::quote(std::string_view("\0\x1f", 2)), R"("\u0000\u001f")");
}

TEST(SdkJson, RefusesWhatIsNone) {
  for (const char* text : {"",
                           "nul",
                           "01",
                           "1.",
                           "-",
                           ".5",
                           "1e",
                           "+1",
                           "[1,]",
                           "[1 2]",
                           "{\"a\"}",
                           "{a:1}",
                           "{\"a\":1,}",
                           "\"",
                           "\"\\x\"",
                           "\"\\u12\"",
                           "\"\\ud800\"",
                           "\"\\udc00\"",
                           "\"\\ud800\\u0041\"",
                           "\"\n\"",
                           "\"\xff\"",
                           "\"\xc0\x80\"",
                           "\"\xed\xa0\x80\"",
                           "\"\xe2\x82\"",
                           "1 2",
                           "[",
                           "{\"a\":"})
    EXPECT_EQ(refusal(text).find("not JSON, at byte "), 0U) << text << ": " << refusal(text);
}

TEST(SdkJson, BoundsTheDepth) {
  EXPECT_EQ(refusal(std::string(64, '[') + std::string(64, ']')).substr(0, 4), "read");
  EXPECT_EQ(refusal(std::string(100000, '[')), "not JSON, at byte 64: too deep");
}

TEST(SdkJson, IsTakenForWhatItIs) {
  Json json = Json::parse(R"({"i": 3, "r": 3.5, "whole": 3.0, "big": 1e300, "s": "x", "i": 4})");

  EXPECT_EQ(json["i"].as_int(), 4) << "the last one counts";
  EXPECT_EQ(json["whole"].as_int(), 3);
  EXPECT_EQ(json["r"].as_double(), 3.5);
  EXPECT_EQ(json.find("none"), nullptr);
  EXPECT_THROW((void)json["none"], JsonError);
  EXPECT_THROW((void)json["r"].as_int(), JsonError);
  EXPECT_THROW((void)json["big"].as_int(), JsonError);
  EXPECT_THROW((void)json["s"].as_int(), JsonError);
  EXPECT_THROW((void)json["i"].as_string(), JsonError);
  EXPECT_THROW((void)Json::parse("1e999").as_double(), JsonError);
  EXPECT_EQ(Json::parse("-9223372036854775808").as_int(), INT64_MIN);
}

TEST(SdkJson, IsChangedInPlace) {
  Json json = Json::parse(R"([{"role": "user", "content": "a"}])");
  json.as_array()[0].set("content", "b");
  json.as_array()[0].set("n", 7);

  EXPECT_EQ(json.dump(), R"([{"role":"user","content":"b","n":7}])");
}

}  // namespace
}  // namespace sluice
