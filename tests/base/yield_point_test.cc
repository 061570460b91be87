#include "base/yield_point.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using ::testing::ElementsAre;

void visit_two() {
  YIELD_POINT("test.first");
  YIELD_POINT("test.second");
}

TEST(YieldPoint, IsNothingUntilItIsMadeToYield) {
  visit_two();
}

TEST(YieldPoint, TellsWhereItIs) {
  std::vector<std::string> visits;
  {
    YieldPoints points([&](std::string_view name) { visits.emplace_back(name); });
    visit_two();
  }

  visit_two();

  EXPECT_THAT(visits, ElementsAre("test.first", "test.second"));
}

TEST(YieldPoint, MayBeVisitedWhileAnotherOneYields) {
  std::vector<std::string> visits;
  YieldPoints points([&](std::string_view name) {
    visits.emplace_back(name);
    if (visits.size() == 1) visit_two();
  });

  YIELD_POINT("test.outer");

  EXPECT_THAT(visits, ElementsAre("test.outer", "test.first", "test.second"));
}

}  // namespace
}  // namespace sluice
