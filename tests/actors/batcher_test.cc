// Who gets a lane when not everything fits.
#include "tests/support/front_world.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::testing {
namespace {

/// Lanes of ten blocks of sixteen tokens. Requests say how many blocks they need.
class Batching : public FrontWorld {
 protected:
  explicit Batching(std::uint32_t lanes = 1, std::uint32_t blocks = 10, std::uint32_t step_rows = 0)
      : FrontWorld(lanes), blocks_(blocks), step_rows_(step_rows) {
    start_workers();
  }

  void start_workers() {
    advance(std::chrono::seconds(2));
    for (const auto& worker : launcher->alive()) {
      worker->step_rows = step_rows_;
      worker->hello();
      worker->ready(8, blocks_);
    }
    settle();
    advance(std::chrono::milliseconds(500));
  }

  std::shared_ptr<FakeExchange> ask_for(std::size_t blocks,
                                        char letter,
                                        PriorityClass priority = PriorityClass::batch) {
    // The prompt, half of what may follow, and a token's worth of a block (Batcher::blocks).
    OpenAiRequest request = completion(std::string(16 * (blocks - 1) + 8, letter), 2);
    request.priority_class = priority;
    return ask(std::move(request));
  }

  /// How many workers run a request of that letter.
  std::size_t running(char letter) {
    std::size_t count = 0;
    for (const auto& worker : launcher->alive()) {
      worker->take_commands();
      count += worker->runs([&](const wire::Start& start) {
        return start.plan.prompt.front() == static_cast<TokenId>(letter);
      });
    }
    return count;
  }

 private:
  std::uint32_t blocks_;
  std::uint32_t step_rows_;
};

class TwoSmallLanes : public Batching {
 protected:
  TwoSmallLanes() : Batching(2) {}
};

/// A step takes 2.6 ms for 16 rows as long as nothing else is known, so 38 steps of them may wait.
class SmallSteps : public Batching {
 protected:
  SmallSteps() : Batching(1, 1000, 16) {}
  void ask_for_rows(std::size_t rows, char letter, PriorityClass priority = PriorityClass::batch) {
    OpenAiRequest request = completion(std::string(rows, letter), 4);
    request.priority_class = priority;
    ask(std::move(request));
  }
};

TEST_F(SmallSteps, LetPromptsWaitInTheQueueBeyondWhatTheLaneComputesSoon) {
  ask_for_rows(400, 'a');
  ask_for_rows(400, 'b');
  ask_for_rows(400, 'c');
  EXPECT_EQ(running('a') + running('b'), 2U);
  EXPECT_EQ(running('c'), 0U) << "though places are free";
  ask_for_rows(40, 's');
  ask_for_rows(400, 'u', PriorityClass::realtime);
  EXPECT_EQ(running('s') + running('u'), 2U) << "workers compute these before the others";

  launcher->alive().front()->step();
  settle();
  EXPECT_EQ(running('c'), 1U) << "the prompts before it are computed, the answers go on";
  EXPECT_EQ(running('a'), 1U);
  run_to_end();
  expect_idle();
}

TEST_F(SmallSteps, CountThePromptOfAllItsChoicesOnce) {
  OpenAiRequest request = completion(std::string(400, 'n'), 4);
  request.n = 5;
  request.priority_class = PriorityClass::batch;
  ask(std::move(request));
  ask_for_rows(400, 'a');
  EXPECT_EQ(running('a'), 1U);
  EXPECT_EQ(launcher->alive().front()->running(), 6U) << "the worker computes it once";
  run_to_end();
  expect_idle();
}

TEST_F(SmallSteps, StartPromptsAnewWhereALaneIsLost) {
  for (char letter : {'a', 'b', 'c'})
    ask_for_rows(400, letter);
  launcher->alive().front()->die();
  settle();
  start_workers();
  EXPECT_EQ(running('a') + running('b') + running('c'), 2U);
  run_to_end();
  expect_idle();
  for (const auto& client : clients)
    EXPECT_EQ(client->answer.status, 200);
}

TEST_F(TwoSmallLanes, GoOnBesideWorkThatFitsOnNeither) {
  ask_for(6, 'a');
  ask_for(6, 'b');
  ask_for(9, 'L');
  ask_for(2, 'c');
  ask_for(2, 'd');

  EXPECT_EQ(running('a') + running('b'), 2U);
  EXPECT_EQ(running('L'), 0U);
  EXPECT_EQ(running('c') + running('d'), 2U) << "on the lane that is not kept for the large one";
  run_to_end();
  expect_idle();
}

TEST_F(Batching, KeepTheirLaneForWorkThatDoesNotFitYet) {
  ask_for(6, 'a');
  ask_for(9, 'L');
  ask_for(2, 'c');

  EXPECT_EQ(running('c'), 0U) << "or the large one might never find room";
  run_to_end();

  expect_idle();
  for (const auto& client : clients)
    EXPECT_EQ(client->answer.status, 200);
}

TEST_F(Batching, LetsMoreUrgentWorkPassWorkThatDoesNotFitYet) {
  ask_for(6, 'a');
  ask_for(9, 'L', PriorityClass::low);
  ask_for(2, 'r', PriorityClass::realtime);
  ask_for(2, 'b', PriorityClass::low);

  EXPECT_EQ(running('L'), 0U);
  EXPECT_EQ(running('r'), 1U);
  EXPECT_EQ(running('b'), 0U);
  run_to_end();
  expect_idle();
}

TEST_F(Batching, GiveUpAKeptLaneWhenTheWorkItIsKeptForGoes) {
  ask_for(6, 'a');
  auto large = ask_for(9, 'L');
  ask_for(2, 'c');
  ASSERT_EQ(running('c'), 0U);

  large->vanish();
  settle();

  EXPECT_EQ(running('c'), 1U);
  run_to_end();
  expect_idle();
}

}  // namespace
}  // namespace sluice::testing
