// Fault points: silent unless armed, exact when armed, and the same again for the same seed.
#include "base/fault_point.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

void enqueue() {
  FAULT_POINT("queue.enqueue");
}

/// Which of so many visits failed, counted from 1.
std::vector<int> failing_of(int visits) {
  std::vector<int> failed;
  for (int visit = 1; visit <= visits; ++visit) {
    try {
      enqueue();
    } catch (const FaultInjected&) {
      failed.push_back(visit);
    }
  }
  return failed;
}

FaultPointRule rule(std::string_view text) {
  auto parsed = parse_fault_point(text);
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message;
    return {};
  }
  return *parsed;
}

TEST(FaultPoint, RefusesANameThatNoPlaceHas) {
  auto parsed = parse_fault_point("queue.enqeue=nth:5");

  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().code, ErrorCode::not_found);
  EXPECT_NE(parsed.error().message.find("no fault point is called \"queue.enqeue\"; known are "),
            std::string::npos);
  EXPECT_NE(parsed.error().message.find("queue.enqueue"), std::string::npos);
}

TEST(FaultPoint, DoesNothingUnlessArmed) {
  EXPECT_TRUE(failing_of(1000).empty());
}

TEST(FaultPoint, FailsAtTheNthVisitOnly) {
  FaultPoints points({rule("queue.enqueue=nth:5"), rule("queue.handed_over=nth:1")});

  EXPECT_EQ(failing_of(20), std::vector<int>{5});
  EXPECT_EQ(points.fired(), 1U);
}

TEST(FaultPoint, FailsAtTheSameVisitsForTheSameSeed) {
  auto run = [](std::string_view text) {
    FaultPoints points({rule(text)});
    return failing_of(10'000);
  };
  auto first = run("queue.enqueue=p:0.01,seed:7");

  EXPECT_GT(first.size(), 60U);
  EXPECT_LT(first.size(), 140U);
  EXPECT_EQ(run("queue.enqueue=p:0.01,seed:7"), first);
  EXPECT_NE(run("queue.enqueue=p:0.01,seed:8"), first);
  EXPECT_TRUE(failing_of(100).empty()) << "disarmed with the object";
}

TEST(FaultPoint, AsksTheDecisionOfASimulatorAndTellsWhereItFailed) {
  std::vector<std::string> visited;
  FaultPoints points([&](std::string_view name) {
    visited.emplace_back(name);
    return visited.size() == 2;
  });
  enqueue();

  try {
    enqueue();
    FAIL() << "the second visit fails";
  } catch (const FaultInjected& fault) {
    EXPECT_STREQ(fault.what(), "fault injected at queue.enqueue");
  }
  EXPECT_EQ(visited, (std::vector<std::string>{"queue.enqueue", "queue.enqueue"}));
}

TEST(FaultPoint, RefusesABadRuleWithThePlaceAndWhatWasExpected) {
  auto why = [](std::string_view text) {
    auto parsed = parse_fault_point(text);
    return parsed ? "none" : parsed.error().message;
  };
  EXPECT_EQ(why("queue"),
            "fault point \"queue\", position 6: expected NAME=p:0.01,seed:7 or NAME=nth:5");
  EXPECT_EQ(why("q=p:2"),
            "fault point \"q=p:2\", position 3: expected p:PROBABILITY, nth:COUNT or seed:NUMBER");
  EXPECT_EQ(why("q=p:0.5,sed:1"),
            "fault point \"q=p:0.5,sed:1\", position 9: expected p:PROBABILITY, nth:COUNT or "
            "seed:NUMBER");
  EXPECT_EQ(why("q=seed:1"),
            "fault point \"q=seed:1\", position 3: expected p:PROBABILITY or nth:COUNT");
  EXPECT_NE(why("=nth:1"), "none");
  EXPECT_NE(why("q=nth:0"), "none");
  EXPECT_NE(why("q="), "none");
}

}  // namespace
}  // namespace sluice
