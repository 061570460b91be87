#include "bench/overload/statistics.h"

#include <gtest/gtest.h>

namespace sluice::overload {
namespace {

using std::chrono::milliseconds;

TEST(Statistics, AddUpBySecondAndByKind) {
  Statistics statistics(3, 2);
  statistics.at(milliseconds(999), 0).offered = 1;
  statistics.at(milliseconds(1000), 0).offered = 2;
  statistics.at(milliseconds(1500), 1).offered = 4;
  statistics.at(milliseconds(1500), 1).answered.record(milliseconds(3));

  EXPECT_EQ(statistics.of_second(1).offered, 6U);
  EXPECT_EQ(statistics.of_second(1).answered.count(), 1U);
  EXPECT_EQ(statistics.of_kind(0).offered, 3U);
  EXPECT_EQ(statistics.of_kind(1).offered, 4U);
}

TEST(Statistics, LeaveOutTheBeginning) {
  Statistics statistics(3, 1);
  for (int second = 0; second < 3; ++second)
    statistics.at(std::chrono::seconds(second), 0).offered = 1;

  EXPECT_EQ(statistics.of_kind(0, 1).offered, 2U);
  EXPECT_EQ(statistics.of_kind(0, 9).offered, 0U);
}

TEST(Statistics, PutWhatComesLateIntoTheLastSecond) {
  Statistics statistics(3, 1);

  statistics.at(milliseconds(60'000), 0).retries = 1;

  EXPECT_EQ(statistics.of_second(2).retries, 1U);
}

TEST(ReasonTable, NumbersReasonsAsTheyCome) {
  ReasonTable reasons;

  EXPECT_EQ(reasons.number_of(429, "overloaded"), 1U);
  EXPECT_EQ(reasons.number_of(503, ""), 2U);
  EXPECT_EQ(reasons.number_of(429, "overloaded"), 1U);
  EXPECT_EQ(reasons.names()[1], "429 overloaded");
  EXPECT_EQ(reasons.names()[2], "503");
}

TEST(ReasonTable, HasABound) {
  ReasonTable reasons;
  for (int status = 400; status < 600; ++status)
    reasons.number_of(status, "");

  EXPECT_EQ(reasons.names().size(), ReasonTable::kMax);
  EXPECT_EQ(reasons.number_of(599, ""), 0U);
  EXPECT_EQ(reasons.names()[0], "other");
}

}  // namespace
}  // namespace sluice::overload
