#include "admission/degradation_ladder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kTick = milliseconds(100);
constexpr std::uint32_t kSurvival = DegradationLadder::kSurvival;

/// A ladder and the time it is looked at.
struct Climber {
  DegradationLadder ladder;
  TimePoint now = TimePoint(seconds(1000));
  int changes = 0;

  /// Looks for so long, every tenth of a second.
  void look(const DegradationSignals& signals, Duration time, bool no_lane = false) {
    for (TimePoint end = now + time; now < end; now += kTick)
      if (ladder.look(signals, no_lane, now)) ++changes;
  }
  void press(double pressure, Duration time) { look({.ttft = pressure}, time); }
  [[nodiscard]] std::uint32_t level() const { return ladder.level(); }
};

TEST(DegradationLadder, EntersEachLevelAtItsThresholdAfterItsTime) {
  for (std::uint32_t level = 1; level < kSurvival; ++level) {
    const auto& step = DegradationLadder::kSteps[level];
    Climber climber;
    // A little more than the level below would need, and not enough for this one.
    climber.press(step.enter - 0.001, seconds(30));
    EXPECT_LT(climber.level(), level);

    Climber higher;
    higher.press(step.enter + 0.001, step.enter_after);
    EXPECT_LT(higher.level(), level) << "not for long enough";
    higher.press(step.enter + 0.001, kTick);
    EXPECT_EQ(higher.level(), level);
    EXPECT_EQ(higher.ladder.term(), DegradationTerm::ttft);
  }
}

TEST(DegradationLadder, ForeseesWhenItIsBack) {
  Climber climber;
  climber.press(1.3, seconds(3));
  ASSERT_EQ(climber.level(), 5U);
  climber.press(0, seconds(4));
  TimePoint normal = climber.ladder.reaches(0);
  TimePoint three = climber.ladder.reaches(3);
  EXPECT_EQ(climber.ladder.reaches(5), climber.now - kTick) << "it is there";

  while (climber.level() > 3)
    climber.press(0, kTick);
  EXPECT_LE(abs(climber.now - three), 5 * kTick);
  while (climber.level() > 0)
    climber.press(0, kTick);
  EXPECT_LE(abs(climber.now - normal), 5 * kTick);
}

TEST(DegradationLadder, LeavesEachLevelBelowItsOtherThresholdAfterItsTime) {
  for (std::uint32_t level = 1; level < kSurvival; ++level) {
    const auto& step = DegradationLadder::kSteps[level];
    Climber climber;
    climber.press(step.enter + 0.001, seconds(5));
    ASSERT_EQ(climber.level(), level);
    climber.press(step.leave + 0.001, seconds(120));
    EXPECT_EQ(climber.level(), level) << "between its thresholds it stays";

    climber.press(step.leave - 0.01, step.leave_after);
    EXPECT_EQ(climber.level(), level) << "not for long enough";
    climber.press(step.leave - 0.01, milliseconds(1200));
    EXPECT_EQ(climber.level(), level - 1);
  }
}

TEST(DegradationLadder, SkipsLevelsUpAndNoneDown) {
  Climber climber;
  climber.press(2.0, seconds(1) + kTick);
  EXPECT_EQ(climber.level(), 5U) << "from 0, for its time is the shortest";
  EXPECT_EQ(climber.changes, 1);

  std::vector<std::pair<std::uint32_t, TimePoint>> steps;
  while (climber.level() > 0 && climber.now < TimePoint(seconds(1200))) {
    std::uint32_t before = climber.level();
    climber.press(0, kTick);
    if (climber.level() != before) steps.emplace_back(climber.level(), climber.now);
  }
  ASSERT_EQ(steps.size(), 5U);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].first, 4 - i);
    if (i == 0) continue;
    EXPECT_EQ(steps[i].second - steps[i - 1].second, DegradationLadder::kDwell);
  }
}

TEST(DegradationLadder, GoesIntoSurvivalForMemoryOrForWantOfLanes) {
  Climber climber;
  climber.look({.host_memory = DegradationLadder::kMemoryDanger - 0.001}, seconds(10));
  EXPECT_EQ(climber.level(), 4U);
  climber.look({.host_memory = DegradationLadder::kMemoryDanger + 0.001}, milliseconds(1200));
  EXPECT_EQ(climber.level(), kSurvival);
  EXPECT_EQ(climber.ladder.reason(), DegradationTerm::host_memory);
  climber.look({}, seconds(10));
  EXPECT_EQ(climber.level(), kSurvival);
  climber.look({}, kTick);
  EXPECT_EQ(climber.level(), 5U);
  EXPECT_TRUE(climber.ladder.left(kSurvival));

  Climber dark;
  dark.look({}, kTick, true);
  EXPECT_EQ(dark.level(), kSurvival);
  EXPECT_EQ(dark.ladder.reason(), DegradationTerm::capacity);
  dark.look({}, seconds(10) + kTick, false);
  EXPECT_EQ(dark.level(), 5U);
  EXPECT_FALSE(dark.ladder.left(kSurvival)) << "it refused nobody who would return";
}

TEST(DegradationLadder, AveragesOverASecondAndNamesWhatDominates) {
  Climber climber;
  climber.look({.wait = 0.3, .host_memory = 0.5}, seconds(1));
  EXPECT_DOUBLE_EQ(climber.ladder.pressure(), 0.5);
  EXPECT_EQ(climber.ladder.term(), DegradationTerm::host_memory);

  climber.look({.capacity = 1.0}, milliseconds(500));

  EXPECT_NEAR(climber.ladder.signals().host_memory, 0.25, 1e-9);
  EXPECT_NEAR(climber.ladder.signals().capacity, 0.5, 1e-9);
  EXPECT_EQ(climber.ladder.term(), DegradationTerm::capacity);
}

TEST(DegradationLadder, NamesOfThoseThatPressAlikeTheGreatest) {
  Climber climber;
  climber.look({.itl = 1.1, .wait = 1.4, .kv = 1.0}, kTick);
  EXPECT_EQ(climber.ladder.term(), DegradationTerm::wait);
}

TEST(DegradationLadder, GoesNoFurtherThanTheThirdLevelForWhatOthersHoldAtItsBound) {
  for (double DegradationSignals::*held :
       {&DegradationSignals::wait, &DegradationSignals::kv, &DegradationSignals::itl}) {
    Climber climber;
    DegradationSignals signals;
    signals.*held = 50;
    climber.look(signals, seconds(60));
    EXPECT_EQ(climber.level(), 3U);
    EXPECT_GT(climber.ladder.signals().*held, 49) << "it is told as it is";
    EXPECT_EQ(climber.ladder.pressure(), DegradationLadder::kHeldMost);
  }
}

TEST(DegradationLadder, DoesNotCountWhatWasLongAgo) {
  Climber climber;
  climber.press(0.9, milliseconds(900));
  climber.now += seconds(30);  // nobody looked
  climber.press(0.9, milliseconds(900));
  EXPECT_EQ(climber.level(), 0U);
  climber.press(0.9, milliseconds(200));
  EXPECT_EQ(climber.level(), 2U);
}

TEST(DegradationLadder, ChangesAtMostOnceInTenSecondsUnderASquareWave) {
  for (std::int64_t period_ms : {200, 1000, 2000, 5000, 20'000}) {
    for (auto [low, high] : {std::pair(0.95, 1.05), {0.0, 2.0}, {0.6, 0.85}}) {
      Climber climber;
      climber.press(high, seconds(3));  // it gets to its level
      climber.changes = 0;
      constexpr int kSeconds = 400;
      for (int i = 0; i < kSeconds * 1000 / period_ms; ++i) {
        climber.press(low, milliseconds(period_ms / 2));
        climber.press(high, milliseconds(period_ms / 2));
      }
      EXPECT_LE(climber.changes, kSeconds / 10) << period_ms << " ms, " << low << " to " << high;
    }
  }
}

TEST(DegradationLadder, LetsReturnATenthMoreEachSecond) {
  EXPECT_EQ(DegradationLadder::share(Duration::zero()), 0);
  EXPECT_DOUBLE_EQ(DegradationLadder::share(seconds(3)), 0.3);
  EXPECT_EQ(DegradationLadder::share(seconds(11)), 1);

  Climber climber;
  climber.press(1.0, seconds(3));
  ASSERT_EQ(climber.level(), 4U);
  EXPECT_FALSE(climber.ladder.left(4));
  climber.press(0, seconds(21));
  ASSERT_EQ(climber.level(), 2U);
  EXPECT_TRUE(climber.ladder.left(4));
  EXPECT_FALSE(climber.ladder.left(3)) << "what trims has refused nobody";
  climber.press(1.0, seconds(4));
  EXPECT_FALSE(climber.ladder.left(4)) << "it is entered again";
}

TEST(DegradationLadder, GoesOnWhereAnotherHasEnded) {
  TimePoint now(seconds(50));
  DegradationLadder ladder(4, DegradationTerm::kv, now);
  EXPECT_EQ(ladder.level(), 4U);
  EXPECT_EQ(ladder.reason(), DegradationTerm::kv);
  for (int i = 0; i <= 149; ++i)
    EXPECT_FALSE(ladder.look({}, false, now + i * kTick));
  EXPECT_TRUE(ladder.look({}, false, now + 150 * kTick));
}

/// The same from the words of the table, with all that has ever been seen.
class Naive {
 public:
  std::uint32_t look(double ttft, double wait, double memory, bool no_lane, TimePoint now) {
    seen_.push_back({now, ttft, wait, memory, 0, no_lane});
    Seen& last = seen_.back();
    double count = 0;
    double ttft_sum = 0;
    double wait_sum = 0;
    double memory_sum = 0;
    for (auto seen = seen_.rbegin(); seen != seen_.rend() && now - seen->at < seconds(1); ++seen) {
      count += 1;
      ttft_sum += seen->ttft;
      wait_sum += seen->wait;
      memory_sum += seen->memory;
    }
    last.pressure =
        std::max({ttft_sum / count, std::min(0.99, wait_sum / count), memory_sum / count});
    last.danger = no_lane || memory_sum / count >= 0.95 / 0.85;
    for (std::uint32_t to = 6; to > level_; --to) {
      if (!held(now, enter_s_[to], [&](const Seen& seen) {
            return to == 6 ? seen.danger : seen.pressure >= enter_[to];
          }))
        continue;
      level_ = to;
      since_ = now;
      return level_;
    }
    if (level_ > 0 && now - since_ >= seconds(5) &&
        held(now, leave_s_[level_], [&](const Seen& seen) {
          return level_ == 6 ? !seen.danger : seen.pressure <= leave_[level_];
        })) {
      --level_;
      since_ = now;
    }
    return level_;
  }

 private:
  struct Seen {
    TimePoint at;
    double ttft;
    double wait;
    double memory;
    double pressure;
    bool danger;
  };

  template <class Holds>
  [[nodiscard]] bool held(TimePoint now, int for_s, Holds holds) const {
    for (auto seen = seen_.rbegin(); seen != seen_.rend(); ++seen) {
      if (!holds(*seen)) return false;
      if (now - seen->at >= seconds(for_s)) return true;
    }
    return false;
  }

  std::vector<double> enter_{0, 0.80, 0.90, 0.97, 1.00, 1.25, 0};
  std::vector<double> leave_{0, 0.65, 0.72, 0.78, 0.80, 0.90, 0};
  std::vector<int> enter_s_{0, 1, 1, 2, 2, 1, 0};
  std::vector<int> leave_s_{0, 10, 10, 15, 15, 20, 10};
  std::vector<Seen> seen_;
  std::uint32_t level_ = 0;
  TimePoint since_{};
};

TEST(DegradationLadder, AgreesWithASlowModelOverRandomSignals) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937 random(seed);
    auto between = [&random](double from, double to) {
      return std::uniform_real_distribution<double>(from, to)(random);
    };
    DegradationLadder ladder;
    Naive naive;
    TimePoint now(seconds(10));
    int highest = 0;
    for (int phase = 0; phase < 25; ++phase) {
      double top = between(0, 1) < 0.5 ? between(0, 0.7) : between(0.6, 1.5);
      bool no_lane = between(0, 1) < 0.05;
      int ticks = static_cast<int>(between(1, 250));
      for (int i = 0; i < ticks; ++i, now += kTick) {
        double ttft = between(top - 0.1, top + 0.1);
        double wait = between(0, 2) * top;
        double memory = between(0.3, 0.3 + top);
        ladder.look({.ttft = ttft, .wait = wait, .host_memory = memory}, no_lane, now);
        ASSERT_EQ(ladder.level(), naive.look(ttft, wait, memory, no_lane, now))
            << "seed " << seed << ", after " << i << " looks of phase " << phase;
        highest = std::max(highest, static_cast<int>(ladder.level()));
      }
    }
    EXPECT_GE(highest, 3) << "seed " << seed;
  }
}

}  // namespace
}  // namespace sluice
