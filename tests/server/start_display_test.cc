#include "server/start_display.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

LaneStatus lane(std::string phase, LoadProgress load = {}) {
  LaneStatus status;
  status.model = "brook";
  status.state = LaneStatus::State::starting;
  status.phase = std::move(phase);
  status.load = load;
  return status;
}

std::string text(const LaneStatus& status) {
  return start_text(status, 0, 100);
}

TEST(StartText, SaysWhichPhaseAModelIsIn) {
  EXPECT_EQ(text(lane("")), "brook: starting a worker");
  EXPECT_EQ(text(lane("hello")), "brook: starting a worker");
  EXPECT_EQ(text(lane("load")), "brook: opening its files");
  EXPECT_EQ(text(lane("warm_up")), "brook: computing a first prompt");
  EXPECT_EQ(text(lane("self_test")), "brook: testing itself");
  LaneStatus ready = lane("");
  ready.state = LaneStatus::State::ready;
  EXPECT_EQ(text(ready), "brook: about to serve");
  LaneStatus waiting = lane("");
  waiting.state = LaneStatus::State::waiting;
  EXPECT_EQ(text(waiting), "brook: its worker ended and is started again");
}

TEST(StartText, SaysHowFarLoadingIs) {
  using Work = LoadProgress::Work;
  EXPECT_EQ(text(lane("load", {Work::reading, 16'000'000, 64'000'000, 0, 0})),
            " 25% of 64.0 MB  reading and hashing files (brook)");
  EXPECT_EQ(text(lane("load", {Work::checking, 32'000'000, 64'000'000, 0, 272})),
            " 50% of 64.0 MB  checking tensor 1 of 272 (brook)");
  EXPECT_EQ(text(lane("load", {Work::converting, 48'000'000, 64'000'000, 200, 272})),
            " 75% of 64.0 MB  converting tensor 201 of 272 (brook)");
  EXPECT_EQ(text(lane("load", {Work::converting, 64'000'000, 64'000'000, 272, 272})),
            "100% of 64.0 MB  converting tensor 272 of 272 (brook)");
  EXPECT_EQ(start_text(lane("load", {Work::reading, 16'000'000, 64'000'000, 0, 0}), 1e6, 100),
            " 25% of 64.0 MB, 1.0 MB/s, 48 s left  reading and hashing files (brook)");
}

TEST(StartText, FitsTheTerminal) {
  EXPECT_EQ(start_text(lane("self_test"), 0, 10), "brook: tes");
}

}  // namespace
}  // namespace sluice
