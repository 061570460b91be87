#include "server/option_values.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(OptionValues, ReadIntegersOfSixtyFourBits) {
  EXPECT_EQ(*parse_integer("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(*parse_integer("9223372036854775807"), INT64_MAX);
  for (const char* text : {"9223372036854775808", "-9223372036854775809", "", "-", "1.5", "7x"}) {
    auto number = parse_integer(text);
    ASSERT_FALSE(number) << text;
    EXPECT_EQ(number.error().message,
              std::string(text) +
                  " is not a whole number from -9223372036854775808 to 9223372036854775807");
  }
}

TEST(OptionValues, ReadNumbersThatAreOnes) {
  EXPECT_EQ(*parse_number("0", 0, 2), 0);
  EXPECT_EQ(*parse_number("2", 0, 2), 2);
  EXPECT_EQ(*parse_number("2.5e-1", 0, 2), 0.25);
  for (const char* text : {"nan", "-nan", "inf", "-0.1", "2.01", "", "1x", "1e999"}) {
    auto number = parse_number(text, 0, 2);
    ASSERT_FALSE(number) << text;
    EXPECT_EQ(number.error().message, std::string(text) + " is not a number from 0 to 2");
  }
}

TEST(OptionValues, ReadTimesWithTheirUnit) {
  auto time = [](const char* text) { return *parse_duration(text, seconds(0), hours(1)); };

  EXPECT_EQ(time("0s"), seconds(0));
  EXPECT_EQ(time("250ms"), milliseconds(250));
  EXPECT_EQ(time("2s"), seconds(2));
  EXPECT_EQ(time("5m"), minutes(5));
  EXPECT_EQ(time("1h"), hours(1));
}

TEST(OptionValues, RefuseTimesWithASentence) {
  for (const char* text : {"-5s",
                           "5",
                           "",
                           "s",
                           "1.5s",
                           "5 s",
                           "5sec",
                           "61m",
                           "99999999999999999999s",
                           "9999999999h"}) {
    auto time = parse_duration(text, seconds(0), hours(1));
    ASSERT_FALSE(time) << text;
    EXPECT_EQ(time.error().message,
              std::string(text) + " is not a time from 0s to 1h, such as 250ms, 2s or 5m");
  }
  EXPECT_FALSE(parse_duration("999ms", seconds(1), hours(1)));
}

TEST(OptionValues, ReadSizesWithAndWithoutUnit) {
  auto size = [](const char* text) { return *parse_size(text, 0, std::uint64_t{1} << 40); };

  EXPECT_EQ(size("512"), 512U);
  EXPECT_EQ(size("3MiB"), 3U << 20);
  EXPECT_EQ(size("2GB"), 2'000'000'000U);
  EXPECT_EQ(size("4GiB"), std::uint64_t{4} << 30);
}

TEST(OptionValues, RefuseSizesWithASentence) {
  for (const char* text : {"4GiB", "-1", "2XB", "", "MiB", "1023", "99999999999999999999GiB"}) {
    auto size = parse_size(text, 1 << 10, 1 << 30);
    ASSERT_FALSE(size) << text;
    EXPECT_EQ(size.error().message,
              std::string(text) + " is not a size from 1KiB to 1GiB, such as 512KiB, 8MiB or 1GB");
  }
}

TEST(OptionValues, RefuseCountsWithASentence) {
  EXPECT_EQ(*parse_count("64", 1, 64), 64U);
  for (const char* text :
       {"0", "65", "-1", "+1", "many", "", "1.0", "1e1", "18446744073709551616"}) {
    auto count = parse_count(text, 1, 64);
    ASSERT_FALSE(count) << text;
    EXPECT_EQ(count.error().message, std::string(text) + " is not a whole number from 1 to 64");
  }
  EXPECT_LT(parse_count(std::string(1000, '9'), 1, 64).error().message.size(), 100U);
}

TEST(OptionValues, ShowTimesInTheirLargestUnit) {
  EXPECT_EQ(to_string(seconds(0)), "0s");
  EXPECT_EQ(to_string(milliseconds(1500)), "1500ms");
  EXPECT_EQ(to_string(seconds(90)), "90s");
  EXPECT_EQ(to_string(seconds(120)), "2m");
  EXPECT_EQ(to_string(hours(168)), "168h");
}

}  // namespace
}  // namespace sluice
