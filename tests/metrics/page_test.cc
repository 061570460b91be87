#include "metrics/page.h"

#include "metrics/families.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr std::array kBounds{0.1, 1.0, 960.0};
constexpr Family kThings{"things_total", MetricType::counter, {"kind", "where"}, "Things."};
constexpr Family kTimes{"times_seconds", MetricType::histogram, {"kind"}, "Times.", kBounds};

TEST(MetricsPage, WritesHelpAndTypeOnceBeforeTheSeriesOfAFamily) {
  MetricsPage page;

  page.begin(kThings);
  page.add({"a", "here"}, std::uint64_t{3});
  page.add({"b", "there"}, std::uint64_t{0});

  EXPECT_EQ(page.text(),
            "# HELP things_total Things.\n"
            "# TYPE things_total counter\n"
            "things_total{kind=\"a\",where=\"here\"} 3\n"
            "things_total{kind=\"b\",where=\"there\"} 0\n");
}

TEST(MetricsPage, WritesNoBracesWithoutLabels) {
  MetricsPage page;

  page.begin("up", MetricType::gauge, "Up.");
  page.add(std::span<const MetricsPage::Label>(), std::int64_t{-1});

  EXPECT_TRUE(page.text().ends_with("\nup -1\n")) << page.text();
}

TEST(MetricsPage, EscapesTheValuesOfLabels) {
  std::string escaped;

  append_label_value(escaped, "a\"b\\c\nd");

  EXPECT_EQ(escaped, R"(a\"b\\c\nd)");
}

TEST(MetricsPage, RepairsValuesThatAreNoUtf8) {
  std::string escaped;

  append_label_value(escaped, "\xff\"");

  EXPECT_EQ(escaped, "\xef\xbf\xbd\\\"");
}

TEST(MetricsPage, EscapesHelpTexts) {
  MetricsPage page;

  page.begin("up", MetricType::gauge, "one\ntwo \\ \"three\"");

  EXPECT_TRUE(page.text().starts_with("# HELP up one\\ntwo \\\\ \"three\"\n")) << page.text();
}

TEST(MetricsPage, CountsTheBucketsOfAHistogramUpToInfinity) {
  MetricsPage page;
  std::vector<std::uint64_t> counts{2, 0, 3, 1};
  std::vector<MetricsPage::Label> labels{{"kind", "a"}};

  page.begin(kTimes);
  page.add_histogram(labels, kBounds, counts, 12.5);

  EXPECT_EQ(page.text(),
            "# HELP times_seconds Times.\n"
            "# TYPE times_seconds histogram\n"
            "times_seconds_bucket{kind=\"a\",le=\"0.1\"} 2\n"
            "times_seconds_bucket{kind=\"a\",le=\"1\"} 2\n"
            "times_seconds_bucket{kind=\"a\",le=\"960\"} 5\n"
            "times_seconds_bucket{kind=\"a\",le=\"+Inf\"} 6\n"
            "times_seconds_sum{kind=\"a\"} 12.5\n"
            "times_seconds_count{kind=\"a\"} 6\n");
}

TEST(MetricsPage, WritesInfinityOnceIfItIsABoundAlready) {
  MetricsPage page;
  std::vector<double> bounds{1, std::numeric_limits<double>::infinity()};
  std::vector<std::uint64_t> counts{2, 1};

  page.begin("times", MetricType::histogram, "Times.");
  page.add_histogram({}, bounds, counts, 4);

  EXPECT_NE(page.text().find("times_bucket{le=\"1\"} 2\ntimes_bucket{le=\"+Inf\"} 3\ntimes_sum 4"),
            std::string::npos)
      << page.text();
}

TEST(MetricsPage, WritesNumbersThatAreReadBackAsTheyAre) {
  auto written = [](double value) {
    MetricsPage page;
    page.begin("x", MetricType::gauge, "X.");
    page.add(std::span<const MetricsPage::Label>(), value);
    std::string line = page.text().substr(page.text().rfind("\nx ") + 3);
    return line.substr(0, line.size() - 1);
  };

  EXPECT_EQ(written(0.1), "0.1");
  EXPECT_EQ(written(1e15), "1000000000000000");
  EXPECT_EQ(std::stod(written(1.0 / 3)), 1.0 / 3);
  EXPECT_EQ(std::stod(written(1e-7)), 1e-7);
  EXPECT_EQ(written(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(written(-std::numeric_limits<double>::infinity()), "-Inf");
  EXPECT_EQ(written(std::numeric_limits<double>::quiet_NaN()), "NaN");
}

TEST(MetricsPage, LeavesOutSeriesBeyondTheLimitOfAFamilyAndCountsThem) {
  MetricsPage page;

  page.begin(kThings);
  for (std::size_t i = 0; i < MetricsPage::kSeriesMax + 5; ++i)
    page.add({std::to_string(i), ""}, std::uint64_t{1});
  page.begin("others", MetricType::gauge, "Others.");
  page.add(std::span<const MetricsPage::Label>(), std::int64_t{1});

  EXPECT_EQ(page.dropped(), 5U);
  EXPECT_EQ(page.text().find("{kind=\"2000\""), std::string::npos);
  EXPECT_TRUE(page.text().ends_with("\nothers 1\n"));
}

}  // namespace
}  // namespace sluice
