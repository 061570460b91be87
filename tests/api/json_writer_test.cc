#include "api/json_writer.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>

namespace sluice {
namespace {

std::string string_of(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string float_of(float number) {
  std::string out;
  append_json_float(out, number);
  return out;
}

TEST(JsonString, EscapesWhatJsonForbidsAndNothingElse) {
  EXPECT_EQ(string_of(""), R"("")");
  EXPECT_EQ(string_of("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(string_of("\b\f\n\r\t"), R"("\b\f\n\r\t")");
  EXPECT_EQ(string_of(std::string("\0\x01\x1f\x7f", 4)), "\"\\u0000\\u0001\\u001f\x7f\"");
  EXPECT_EQ(string_of("生成 😀 \u2028\u2029"), "\"生成 😀 \u2028\u2029\"");
}

TEST(JsonString, ReplacesIllFormedBytes) {
  EXPECT_EQ(string_of("a\xff\"b\xe7\x94"), "\"a\xEF\xBF\xBD\\\"b\xEF\xBF\xBD\"");
}

TEST(JsonString, GivesValidJsonForAnyBytes) {
  std::mt19937 random(7);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 24, ' ');
    for (char& c : bytes)
      c = static_cast<char>(random());
    boost::json::error_code code;
    auto value = boost::json::parse(string_of(bytes), code);
    ASSERT_FALSE(code) << i;
    ASSERT_TRUE(value.is_string());
  }
}

TEST(JsonFloat, IsShortestAndAlwaysAFraction) {
  EXPECT_EQ(float_of(0.0F), "0.0");
  EXPECT_EQ(float_of(-1.0F), "-1.0");
  EXPECT_EQ(float_of(0.1F), "0.1");
  EXPECT_EQ(float_of(-2.302585F), "-2.302585");
  EXPECT_EQ(float_of(1e-45F), "1e-45");
  EXPECT_EQ(float_of(-9999.0F), "-9999.0");
}

TEST(JsonFloat, ReadsBackAsTheSameFloat) {
  std::mt19937 random(11);
  for (int i = 0; i < 20000; ++i) {
    auto bits = static_cast<std::uint32_t>(random());
    float number = 0;
    std::memcpy(&number, &bits, sizeof number);
    if (!(number - number == 0)) continue;
    float back = std::strtof(float_of(number).c_str(), nullptr);
    ASSERT_EQ(std::memcmp(&back, &number, sizeof back), 0) << float_of(number);
  }
}

TEST(JsonFloat, HasNoInfinityAndNoNan) {
  EXPECT_EQ(float_of(-std::numeric_limits<float>::infinity()), "-9999.0");
  EXPECT_EQ(float_of(std::numeric_limits<float>::infinity()), "-9999.0");
  EXPECT_EQ(float_of(std::numeric_limits<float>::quiet_NaN()), "-9999.0");
}

TEST(JsonInt, ReachesTheEndsOfItsTypes) {
  std::string out;
  append_json_int(out, std::numeric_limits<std::int64_t>::min());
  out += ' ';
  append_json_int(out, std::numeric_limits<std::uint64_t>::max());

  EXPECT_EQ(out, "-9223372036854775808 18446744073709551615");
}

}  // namespace
}  // namespace sluice
