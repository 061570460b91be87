#include "bench/overload/crowd_clients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::overload {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

constexpr TimePoint kDue{};

TEST(CrowdClients, CountsEachRequestByHowItEnded) {
  CrowdClients crowd(8);
  auto answered = crowd.begin(kDue);
  auto streamed = crowd.begin(kDue);
  auto refused = crowd.begin(kDue);
  auto late = crowd.begin(kDue);
  auto broken = crowd.begin(kDue);
  auto waits = crowd.begin(kDue);
  EXPECT_EQ(crowd.inside(), 6U);

  answered->respond({200, {}, "{}"});
  streamed->begin_stream({200, {}, ""});
  streamed->write(": keep-alive\n\n");
  streamed->write("data: {\"choices\":[]}\n\n");
  streamed->end_stream("data: [DONE]\n\n");
  refused->respond({429, {}, R"({"error":{"message":"no","code":"overloaded"}})"});
  late->begin_stream({200, {}, ""});
  late->write("data: {\"error\":{\"code\":\"deadline_exceeded\"}}\n\n");
  late->end_stream("data: [DONE]\n\n");
  broken->respond({500, {}, R"({"error":{"code":"internal_error"}})"});

  auto figures = crowd.tell();
  EXPECT_EQ(crowd.inside(), 1U);
  EXPECT_EQ(crowd.most_inside(), 6U);
  EXPECT_EQ(figures.of(CrowdEnd::none), 1U);
  EXPECT_EQ(figures.of(CrowdEnd::completed), 2U);
  EXPECT_EQ(figures.of(CrowdEnd::refused), 1U);
  EXPECT_EQ(figures.of(CrowdEnd::timed_out), 1U);
  EXPECT_EQ(figures.of(CrowdEnd::failed), 1U);
  EXPECT_EQ(figures.completed.count(), 2U);
  EXPECT_EQ(figures.first_piece.count(), 2U);
  EXPECT_THAT(figures.reasons,
              ElementsAre(Pair("0 ", 1),
                          Pair("200 deadline_exceeded", 1),
                          Pair("429 overloaded", 1),
                          Pair("500 internal_error", 1)));
  EXPECT_EQ(crowd.faults(), 0U);
}

TEST(CrowdClients, SeesWhoIsForgottenAndWhoIsToldTwice) {
  CrowdClients crowd(3);
  crowd.begin(kDue).reset();
  auto twice = crowd.begin(kDue);
  twice->respond({200, {}, "{}"});
  twice->respond({200, {}, "{}"});
  auto shapeless = crowd.begin(kDue);
  shapeless->end_stream("");

  EXPECT_EQ(crowd.begin(kDue), nullptr) << "three are all there are";
  EXPECT_EQ(crowd.tell().of(CrowdEnd::cut), 1U);
  EXPECT_EQ(crowd.faults(), 3U) << "an end too many, the end of no stream, and without [DONE]";
  EXPECT_EQ(crowd.ended(), 3U) << "each counts once";
}

}  // namespace
}  // namespace sluice::overload
