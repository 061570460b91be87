// The ladder in the whole front: when it looks, what it sees, and what becomes of requests.
#include "actors/degradation.h"

#include "actors/admission_page.h"
#include "actors/degrade.h"
#include "actors/front_metrics.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

class Levels final : public trace::Sink {
 public:
  void record(trace::Event event) override {
    if (const auto* ladder = std::get_if<trace::Ladder>(&event.body)) seen.push_back(ladder->level);
  }
  std::vector<std::uint32_t> seen;
};

class CountingMemory final : public HostMemory {
 public:
  double used() override {
    ++looks;
    return share;
  }
  double share = 0;
  int looks = 0;
};

Front::Options with_ladder() {
  Front::Options options;
  options.degradation = true;
  return options;
}

class DegradationTest : public FrontWorld {
 protected:
  DegradationTest() : FrontWorld(1, with_ladder()) {
    front->host_memory = memory_;
    front->trace = levels_;
  }

  [[nodiscard]] std::uint32_t level() const { return front->degradation.level(); }
  /// What the door says to a request.
  std::optional<ApiError> at_the_door(OpenAiRequest& request,
                                      const std::shared_ptr<const Tenant>& tenant = nullptr) {
    auto served = model;
    return degrade(*front, served, request, tenant);
  }

  std::shared_ptr<CountingMemory> memory_ = std::make_shared<CountingMemory>();
  std::shared_ptr<Levels> levels_ = std::make_shared<Levels>();
};

TEST_F(DegradationTest, LooksOnlyWhileRequestsAreInside) {
  bring_up();
  memory_->share = 0.5;
  advance(seconds(10));
  EXPECT_EQ(memory_->looks, 0) << "an idle server does nothing";

  auto client = ask(completion("ab", 5));
  advance(seconds(1));
  EXPECT_NEAR(memory_->looks, 10, 1);
  EXPECT_NEAR(front->degradation.signal(DegradationTerm::host_memory), 0.5 / 0.85, 1e-9);

  run_to_end();
  ASSERT_TRUE(client->ended);
  advance(seconds(1));
  int looks = memory_->looks;
  advance(seconds(10));
  EXPECT_EQ(memory_->looks, looks);
  EXPECT_EQ(front->degradation.pressure(), 0) << "nobody looks, nothing is said";
}

TEST_F(DegradationTest, ClimbsForMemoryAndComesBackThoughNobodyIsInside) {
  bring_up();
  memory_->share = 0.97;
  auto client = ask(completion("ab", 5));
  advance(milliseconds(300));
  EXPECT_EQ(level(), 6U);
  EXPECT_EQ(front->degradation.reason(), DegradationTerm::host_memory);
  auto request = completion("ab", 1);
  auto refused = at_the_door(request);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 429);
  EXPECT_THAT(refused->message, HasSubstr("degradation level 6, host_memory"));
  DecisionLog::Entry entry = front->decisions.last().front();
  EXPECT_EQ(entry.level, 6U);
  EXPECT_EQ(entry.model, "hash");
  EXPECT_EQ(decide_by_level(*front, nullptr).refused, Refusal::degraded);

  run_to_end();
  EXPECT_EQ(client->answer.status, 200) << "who is inside is not touched";
  memory_->share = 0.1;
  advance(seconds(60));

  EXPECT_EQ(level(), 0U);
  EXPECT_EQ(levels_->seen, (std::vector<std::uint32_t>{6, 5, 4, 3, 2, 1, 0}));
  EXPECT_FALSE(at_the_door(request));
  int looks = memory_->looks;
  advance(seconds(10));
  EXPECT_EQ(memory_->looks, looks);
}

TEST_F(DegradationTest, GoesOnAtItsLevelWhenItsActorEnds) {
  bring_up();
  memory_->share = 0.80;  // 0.94
  ask(completion("ab", 5));
  advance(milliseconds(1500));
  ASSERT_EQ(level(), 2U);

  run_to_end();
  caf::anon_send_exit(peer(std::string(Front::kDegradationRole)), caf::exit_reason::kill);
  advance(seconds(1));
  EXPECT_EQ(level(), 2U);
  memory_->share = 0;
  advance(seconds(30));

  EXPECT_EQ(level(), 0U);
  EXPECT_EQ(levels_->seen, (std::vector<std::uint32_t>{2, 1, 0}));
}

TEST_F(DegradationTest, TrimsAndLabelsOrRefusesWhoWantsNoLesserAnswer) {
  bring_up();
  memory_->share = 0.80;
  ask(completion("ab", 5));
  advance(milliseconds(1500));
  ASSERT_EQ(level(), 2U);

  auto request = completion("ab", 9);
  request.priority_class = PriorityClass::batch;
  ASSERT_FALSE(at_the_door(request));
  auto client = ask(request);
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
  EXPECT_THAT(client->answer.headers,
              ::testing::Contains(std::pair<std::string, std::string>(
                  "x-sluice-degraded", "level=2;reason=host_memory;trimmed")));
  EXPECT_THAT(client->answer.body, HasSubstr(R"("degraded":{"level":2,"reason":"host_memory"})"));
  EXPECT_THAT(client->answer.body, HasSubstr(R"("finish_reason":"length")"));
  EXPECT_THAT(client->answer.body, HasSubstr(R"("completion_tokens":5)"));
  EXPECT_THAT(std::get<std::string>(admission_page(*front, "")),
              HasSubstr(R"("level":2,"tokens":7,"decision":"admitted","degraded":"trimmed"})"));
  EXPECT_EQ(model->metrics->lessened[0]->value(), 1) << "trimmed";
  EXPECT_EQ(model->metrics->lessened[1]->value(), 0) << "window";
  EXPECT_EQ(model->metrics->lessened[2]->value(), 0) << "cheaper";

  request.allow_degraded = false;
  ASSERT_FALSE(at_the_door(request)) << "only its plan shows that it would be trimmed";
  auto refused = ask(request);
  EXPECT_EQ(refused->answer.status, 429);
  EXPECT_THAT(refused->answer.body, HasSubstr("answers are trimmed"));

  auto never = std::make_shared<Tenant>();
  never->policy.may_be_degraded = false;
  request.allow_degraded = true;
  ASSERT_FALSE(at_the_door(request, never));
  EXPECT_FALSE(request.allow_degraded);
  request.n = 2;
  EXPECT_TRUE(at_the_door(request));
}

TEST_F(DegradationTest, RemembersTheModelThatWasAskedForThoughACheaperOneAnswers) {
  ServedModel small;
  small.name = "small";
  auto request = completion("ab", 1);
  EXPECT_EQ(asked_model(*front, request, small), "small");
  request.degradation.cheaper = true;
  EXPECT_EQ(asked_model(*front, request, small), "hash") << "it is the default one";
  request.model = "hash";
  EXPECT_EQ(asked_model(*front, request, small), "hash");
}

TEST_F(DegradationTest, CountsOnlyLanesThatAreLostForLongerThanAPause) {
  bring_up();
  model->queued = 1;
  EXPECT_EQ(gather_signals(*front, now()).capacity, 0);

  BreakerStatus shut;
  shut.weight = 0;
  shut.shut_since = now();
  front->lanes.update_breaker(LaneId{0}, shut, now());
  Duration patience = front->options.outage_patience;
  EXPECT_EQ(gather_signals(*front, now() + patience - milliseconds(1)).capacity, 0);
  EXPECT_FALSE(has_no_lane(*front, now() + patience - milliseconds(1)));
  EXPECT_EQ(gather_signals(*front, now() + patience).capacity, 1);
  EXPECT_TRUE(has_no_lane(*front, now() + patience));

  model->queued = 0;
  EXPECT_EQ(gather_signals(*front, now() + patience).capacity, 0) << "nobody needs it";
}

TEST_F(DegradationTest, MeasuresWaitsKvAndTheTimeToTheFirstToken) {
  bring_up();
  model->waits.set_pace({}, 2.0);
  model->waits.enter(0, 1, 1, milliseconds(400), now());
  EXPECT_NEAR(gather_signals(*front, now()).wait, 0.8, 1e-9) << "200 ms of half of 500";

  LaneStatus lane = front->lanes.snapshot().front();
  lane.blocks = 100;
  lane.blocks_free = 55;
  front->lanes.update(lane);
  EXPECT_NEAR(gather_signals(*front, now()).kv, 0.5, 1e-9);

  for (int i = 0; i < 20; ++i) {
    front->first_tokens.add(0.7, now());
    front->steps.add(0.9, now());
  }
  EXPECT_EQ(gather_signals(*front, now()).ttft, 0.7);
  EXPECT_EQ(gather_signals(*front, now()).itl, 0.9);
}

TEST(Degradation, DoesNothingWhereItIsSwitchedOff) {
  Front front;
  front.clock = std::make_shared<SystemClock>();
  front.degradation.publish(DegradationLadder(6, DegradationTerm::host_memory, TimePoint()));
  EXPECT_TRUE(decide_by_level(front, nullptr).admitted());
}

}  // namespace
}  // namespace sluice::testing
