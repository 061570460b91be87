#include "plugins/bundled/admission_business_hours/calendar.h"
#include "plugins/bundled/admission_business_hours/opening_hours.h"
#include "tests/plugins/plugin_fixture.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>

namespace sluice {
namespace {

using hours::OpeningHours;
using hours::TimeZone;

constexpr const char* kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";

/// Seconds since 1970 of a moment in UTC.
std::int64_t utc(int year, int month, int day, int hour = 0, int minute = 0, int second = 0) {
  return hours::days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
}

TEST(Calendar, CountsDays) {
  EXPECT_EQ(hours::days_of(1970, 1, 1), 0);
  EXPECT_EQ(hours::days_of(2000, 3, 1), 11017);
  EXPECT_EQ(hours::days_of(1969, 12, 31), -1);
  EXPECT_EQ(hours::weekday_of(0), 4);
  EXPECT_EQ(hours::weekday_of(-4), 0);
  EXPECT_EQ(hours::year_of(hours::days_of(2024, 12, 31)), 2024);
  EXPECT_EQ(hours::year_of(hours::days_of(1900, 1, 1)), 1900);
  EXPECT_TRUE(hours::is_leap(2000) && hours::is_leap(2024));
  EXPECT_FALSE(hours::is_leap(1900) || hours::is_leap(2023));
}

TEST(Calendar, ReadsDatesAndTimes) {
  EXPECT_EQ(hours::parse_date("2024-02-29"), hours::days_of(2024, 2, 29));
  for (const char* bad : {"2023-02-29", "2024-13-01", "2024-00-01", "2024-1-01", "24-01-01", "x"})
    EXPECT_FALSE(hours::parse_date(bad)) << bad;
  EXPECT_EQ(hours::parse_minutes("24:00"), 1440);
  for (const char* bad : {"24:01", "9:00", "09:60", "0900", "ab:cd", "-1:00"})
    EXPECT_FALSE(hours::parse_minutes(bad)) << bad;
}

TEST(TimeZone, FollowsPosixRules) {
  struct Case {
    const char* rule;
    std::int64_t at;
    std::int32_t offset;
  };
  for (auto [rule, at, offset] : {
           Case{"UTC0", utc(2026, 7, 1), 0},
           Case{"<+0530>-5:30", utc(2026, 7, 1), 19800},
           Case{kBerlin, utc(2026, 3, 29, 0, 59, 59), 3600},
           Case{kBerlin, utc(2026, 3, 29, 1), 7200},
           Case{kBerlin, utc(2026, 10, 25, 0, 59, 59), 7200},
           Case{kBerlin, utc(2026, 10, 25, 1), 3600},
           Case{kBerlin, utc(2025, 12, 31, 23, 30), 3600},
           Case{"AEST-10AEDT,M10.1.0,M4.1.0/3", utc(2026, 1, 1), 39600},  // the south
           Case{"AEST-10AEDT,M10.1.0,M4.1.0/3", utc(2026, 7, 1), 36000},
           Case{"EST5EDT4,M3.2.0/2:00:00,M11.1.0", utc(2026, 3, 8, 6, 59, 59), -18000},
           Case{"EST5EDT4,M3.2.0/2:00:00,M11.1.0", utc(2026, 3, 8, 7), -14400},
           Case{"AAA3BBB,J60/0,J300/0", utc(2024, 3, 1, 3), -7200},  // not 29 February
           Case{"AAA3BBB,J60/0,J300/0", utc(2024, 3, 1, 2, 59, 59), -10800},
           Case{"AAA3BBB,59/0,300/0", utc(2024, 2, 29, 3), -7200},               // 29 February
           Case{"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", utc(2026, 3, 29, 1), -3600},  // Nuuk
           Case{"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", utc(2026, 3, 29, 0, 59, 59), -7200},
       })
    EXPECT_EQ(TimeZone::load(rule).offset(at), offset) << rule << " at " << at;
}

TEST(TimeZone, RefusesWhatIsNone) {
  for (const char* bad : {"",
                          "Nowhere/Land",
                          "../../etc/passwd",
                          "/etc/passwd",
                          "Europe",
                          "ABC",
                          "CET-1CEST",
                          "CET-1CEST,M13.1.0,M1.1.0",
                          "CET-1CEST,M3.5.0,M10.5.0/3x",
                          "CET-25",
                          "C-1",
                          "<+01-1"})
    EXPECT_THROW((void)TimeZone::load(bad), std::runtime_error) << bad;
  EXPECT_THROW((void)TimeZone::parse("TZif"), std::runtime_error);
  EXPECT_THROW((void)TimeZone::parse("not one at all"), std::runtime_error);
}

/// A number as a TZif file has it.
std::string big_endian(std::uint64_t value, std::size_t size) {
  std::string bytes;
  for (std::size_t i = 0; i < size; ++i)
    bytes += static_cast<char>(value >> 8 * (size - 1 - i) & 0xFF);
  return bytes;
}

/// A file with two transitions, at 1000 and 2000, of +1, +2 and +3 hours, and a footer.
std::string tzif(const std::string& footer) {
  auto header = [](std::uint64_t transitions, std::uint64_t types, std::uint64_t characters) {
    return "TZif2" + std::string(15, '\0') + big_endian(0, 4) + big_endian(0, 4) +
           big_endian(0, 4) + big_endian(transitions, 4) + big_endian(types, 4) +
           big_endian(characters, 4);
  };
  auto type = [](std::uint64_t offset) { return big_endian(offset, 4) + std::string(2, '\0'); };
  return header(0, 1, 4) + type(0) + std::string("UTC\0", 4) + header(2, 3, 4) +
         big_endian(1000, 8) + big_endian(2000, 8) + "\1\2" + type(3600) + type(7200) +
         type(10800) + std::string("UTC\0", 4) + "\n" + footer + "\n";
}

TEST(TimeZone, ReadsTransitionsAndWhatFollowsThem) {
  TimeZone with_rule = TimeZone::parse(tzif("XXX-7"));
  EXPECT_EQ(with_rule.offset(-5), 3600);
  EXPECT_EQ(with_rule.offset(999), 3600);
  EXPECT_EQ(with_rule.offset(1000), 7200);
  EXPECT_EQ(with_rule.offset(1999), 7200);
  EXPECT_EQ(with_rule.offset(2000), 7 * 3600);
  EXPECT_EQ(TimeZone::parse(tzif("")).offset(2000), 10800) << "the last one goes on";

  std::string whole = tzif("XXX-7");
  for (std::size_t size = 0; size + 7 < whole.size(); ++size)
    EXPECT_THROW((void)TimeZone::parse(whole.substr(0, size)), std::runtime_error) << size;
}

TEST(TimeZone, AgreesWithTheSystemsDatabase) {
  if (!std::filesystem::exists("/usr/share/zoneinfo/Europe/Berlin"))
    GTEST_SKIP() << "there is no time zone database";
  TimeZone berlin = TimeZone::load("Europe/Berlin");
  TimeZone rule = TimeZone::load(kBerlin);

  // The rule has held since 1996, and what lies beyond the file's transitions follows it.
  for (std::int64_t at = utc(1997, 1, 1); at < utc(2060, 1, 1); at += 7919)
    ASSERT_EQ(berlin.offset(at), rule.offset(at)) << at;
  EXPECT_EQ(berlin.offset(utc(1945, 6, 1)), 10800) << "double summer time";
}

OpeningHours berlin_office() {
  OpeningHours office(TimeZone::load(kBerlin));
  for (int day = 1; day <= 5; ++day) {
    office.add(day, "09:00-12:00");
    office.add(day, "13:00-17:30");
  }
  office.add_holiday("2026-12-25");
  return office;
}

TEST(OpeningHours, AreOpenFromTheFirstToBeforeTheLastMinute) {
  OpeningHours office = berlin_office();
  // Monday, 30 November 2026, one hour ahead of UTC.
  EXPECT_FALSE(office.is_open(utc(2026, 11, 30, 7, 59, 59)));
  EXPECT_TRUE(office.is_open(utc(2026, 11, 30, 8)));
  EXPECT_TRUE(office.is_open(utc(2026, 11, 30, 10, 59, 59)));
  EXPECT_FALSE(office.is_open(utc(2026, 11, 30, 11)));
  EXPECT_TRUE(office.is_open(utc(2026, 11, 30, 16, 29, 59)));
  EXPECT_FALSE(office.is_open(utc(2026, 11, 30, 16, 30)));
  EXPECT_FALSE(office.is_open(utc(2026, 11, 29, 10))) << "Sunday";
  EXPECT_FALSE(office.is_open(utc(2026, 12, 25, 10))) << "a holiday on a Friday";
  // In summer they are two hours ahead.
  EXPECT_TRUE(office.is_open(utc(2026, 7, 1, 7)));
  EXPECT_FALSE(office.is_open(utc(2026, 7, 1, 6, 59)));
}

TEST(OpeningHours, OpenNextAfterNightsWeekendsAndHolidays) {
  OpeningHours office = berlin_office();
  EXPECT_EQ(office.next_opening(utc(2026, 11, 30, 11, 30, 20)), utc(2026, 11, 30, 12));
  EXPECT_EQ(office.next_opening(utc(2026, 11, 30, 20)), utc(2026, 12, 1, 8));
  EXPECT_EQ(office.next_opening(utc(2026, 11, 27, 20)), utc(2026, 11, 30, 8)) << "Friday night";
  EXPECT_EQ(office.next_opening(utc(2026, 12, 24, 20)), utc(2026, 12, 28, 8)) << "Christmas";
  // Over the nights in which the clocks change.
  EXPECT_EQ(office.next_opening(utc(2026, 3, 27, 20)), utc(2026, 3, 30, 7));
  EXPECT_EQ(office.next_opening(utc(2026, 10, 23, 20)), utc(2026, 10, 26, 8));
}

TEST(OpeningHours, BeginAfterTheHourThatIsMissingAndLastThroughTheOneThatIsThereTwice) {
  OpeningHours night(TimeZone::load(kBerlin));
  night.add(0, "02:30-03:30");

  // 29 March 2026: from 02:00 the clocks go to 03:00, which is 01:00 UTC.
  EXPECT_EQ(night.next_opening(utc(2026, 3, 28, 12)), utc(2026, 3, 29, 1));
  EXPECT_TRUE(night.is_open(utc(2026, 3, 29, 1, 29, 59)));
  EXPECT_FALSE(night.is_open(utc(2026, 3, 29, 1, 30)));
  // 25 October 2026: 02:30 is there twice, at 00:30 and 01:30 UTC.
  EXPECT_EQ(night.next_opening(utc(2026, 10, 24, 12)), utc(2026, 10, 25, 0, 30));
  EXPECT_TRUE(night.is_open(utc(2026, 10, 25, 0, 59)));
  EXPECT_FALSE(night.is_open(utc(2026, 10, 25, 1)));
  EXPECT_EQ(night.next_opening(utc(2026, 10, 25, 1)), utc(2026, 10, 25, 1, 30));
}

TEST(OpeningHours, EndAtMidnightAndMayNeverOpen) {
  OpeningHours always(TimeZone::load("UTC0"));
  for (int day = 0; day < 7; ++day)
    always.add(day, "00:00-24:00");
  for (std::int64_t at = utc(2026, 1, 1); at < utc(2026, 1, 3); at += 599)
    EXPECT_TRUE(always.is_open(at));

  OpeningHours never(TimeZone::load("UTC0"));
  EXPECT_EQ(never.next_opening(utc(2026, 1, 1)), std::nullopt);
}

TEST(OpeningHours, RefuseWhatIsNoInterval) {
  OpeningHours office(TimeZone::load("UTC0"));
  for (const char* bad :
       {"", "9-17", "09:00-09:00", "17:00-09:00", "09:00 17:00", "09:00-24:01", "09:00-17:00x"})
    EXPECT_THROW(office.add(1, bad), std::runtime_error) << bad;
  EXPECT_THROW(office.add_holiday("25.12."), std::runtime_error);
}

class BusinessHours : public ::testing::Test {
 protected:
  static std::shared_ptr<const PluginLibrary> library() {
    auto opened = PluginLibrary::open(
        {"", std::string(SLUICE_PLUGIN_DIR) + "/admission_business_hours.so", ""});
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }
  static std::string refusal(const std::string& config) {
    RecordingSink sink;
    testing::ManualClock clock;
    auto made = PluginInstance::create(library(), "office", config, sink, clock);
    return made ? "accepted" : made.error().message;
  }
};

TEST_F(BusinessHours, RefusesWhatComesWhileItIsClosedUntilItOpens) {
  // The manual clock says Friday, 20 December 2019, 01:00 UTC.
  PluginUnderTest plugin(library(), R"({"timezone": "CET-1CEST,M3.5.0,M10.5.0/3",
      "hours": {"friday": ["09:00-17:00"]}, "classes": ["batch"], "message": "Come at nine."})");
  HookReply refused = plugin.ask(Hook::admission, {{CallKey::priority_class, "batch"}});
  EXPECT_EQ(refused.status, HookStatus::reject);
  EXPECT_EQ(refused.detail, "Come at nine.");
  EXPECT_EQ(refused.changes.get(CallKey::code), "closed");
  EXPECT_EQ(refused.changes.get(CallKey::retry_after_ms), std::to_string(7 * 3600 * 1000));
  EXPECT_EQ(plugin.ask(Hook::admission, {{CallKey::priority_class, "realtime"}}).status,
            HookStatus::skip);
  EXPECT_EQ(plugin.instance->metrics()[0].value, 1);
  EXPECT_EQ(plugin.instance->metrics()[1].value, 0);

  plugin.clock.advance(std::chrono::hours(7));
  plugin.instance->advance(plugin.clock.now());
  EXPECT_EQ(plugin.ask(Hook::admission, {{CallKey::priority_class, "batch"}}).status,
            HookStatus::ok);
  EXPECT_EQ(plugin.instance->metrics()[1].value, 1);

  plugin.clock.advance(std::chrono::hours(8));
  EXPECT_EQ(plugin.ask(Hook::admission, {{CallKey::priority_class, "batch"}})
                .changes.get(CallKey::retry_after_ms),
            std::to_string(160LL * 3600 * 1000));
}

TEST_F(BusinessHours, NamesWhatIsWrongWithItsConfiguration) {
  EXPECT_EQ(refusal(R"({"timezone": "Nowhere/Land", "hours": {"monday": ["09:00-17:00"]}})"),
            "plugin office does not start: no time zone Nowhere/Land in /usr/share/zoneinfo");
  EXPECT_EQ(refusal(R"({"timezone": "UTC0", "hours": {}})"),
            "plugin office does not start: hours: no day has any, so that it would never be open");
  EXPECT_EQ(refusal(R"({"timezone": "UTC0", "hours": {"monday": ["9-17"]}})"),
            "plugin office does not start: wanted hours such as 09:00-17:30, found 9-17");
  EXPECT_EQ(refusal(R"({"timezone": "UTC0", "hours": {"mon": []}})").substr(0, 41),
            "plugin office: hours.mon: is not known; w");
}

}  // namespace
}  // namespace sluice
