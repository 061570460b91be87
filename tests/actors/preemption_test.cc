// Who gives its place on a lane to whom, and what becomes of it.
#include "tests/support/front_world.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

/// One lane of eight places and a hundred blocks.
class GivingWay : public FrontWorld {
 protected:
  explicit GivingWay(const Quotas::Options& quotas = {}) : FrontWorld(1, patient(quotas)) {
    advance(2s);
    worker().hello();
    worker().ready(8, 100);
    settle();
    advance(500ms);
  }

  /// Nobody is refused for the time that he would wait.
  static Front::Options patient(const Quotas::Options& quotas) {
    Front::Options options;
    options.admission.wait_max = {};
    options.quotas = quotas;
    return options;
  }

  FakeWorker& worker() { return *launcher->alive().front(); }

  std::shared_ptr<FakeExchange> ask_for(char letter,
                                        PriorityClass priority,
                                        std::uint32_t max_tokens = 40) {
    OpenAiRequest request = completion(std::string(1, letter), max_tokens);
    request.priority_class = priority;
    return ask(std::move(request));
  }

  void fill(char letter, PriorityClass priority, std::size_t count = 8) {
    for (std::size_t i = 0; i < count; ++i)
      ask_for(letter, priority);
    worker().take_commands();
  }

  std::size_t running(char letter) {
    worker().take_commands();
    std::size_t count = 0;
    for (const wire::Start& start : worker().starts)
      count += start.plan.prompt.front() == static_cast<TokenId>(letter) &&
                       worker().runs([&](const wire::Start& other) {
                         return other.id == start.id && other.epoch == start.epoch;
                       })
                   ? 1
                   : 0;
    return count;
  }
};

TEST_F(GivingWay, LetsUrgentWorkInAfterAWhileAndLosesNothing) {
  fill('l', PriorityClass::low);
  worker().step();
  settle();
  ASSERT_EQ(running('l'), 8U);

  auto urgent = ask_for('r', PriorityClass::realtime);
  EXPECT_EQ(running('r'), 0U);
  advance(50ms);
  EXPECT_EQ(running('r'), 0U) << "a place may become free by itself";
  advance(100ms);

  EXPECT_EQ(running('r'), 1U);
  EXPECT_EQ(running('l'), 7U);
  EXPECT_EQ(worker().cancels.size(), 1U);
  run_to_end();
  for (const auto& client : clients) {
    EXPECT_EQ(client->answer.status, 200) << client->answer.body;
    if (client == urgent) continue;
    EXPECT_NE(client->answer.body.find(R"("completion_tokens":40)"), std::string::npos);
  }
  expect_idle();
}

TEST_F(GivingWay, LeavesLessUrgentWorkItsShare) {
  fill('l', PriorityClass::low);
  for (int i = 0; i < 12; ++i)
    ask_for('r', PriorityClass::realtime);
  for (int i = 0; i < 10; ++i)
    advance(100ms);

  EXPECT_EQ(running('r'), 7U);
  EXPECT_EQ(running('l'), 1U) << "15 % of eight places";
  run_to_end();
  expect_idle();
}

TEST_F(GivingWay, IsForMoreUrgentWorkOnly) {
  fill('r', PriorityClass::realtime);
  ask_for('b', PriorityClass::batch);
  ask_for('s', PriorityClass::realtime);
  advance(1s);

  EXPECT_EQ(running('r'), 8U);
  EXPECT_TRUE(worker().cancels.empty());
  run_to_end();
  expect_idle();
}

TEST_F(GivingWay, RelievesALaneWhoseBlocksRunShort) {
  fill('l', PriorityClass::low, 3);
  fill('r', PriorityClass::realtime, 1);
  worker().blocks_free = 16;
  advance(50ms);
  EXPECT_EQ(running('l'), 3U);

  worker().blocks_free = 15;
  advance(100ms);
  EXPECT_LT(running('l'), 3U);
  EXPECT_EQ(running('r'), 1U);

  advance(1s);
  EXPECT_EQ(running('l'), 0U) << "nor does it come back while they do";
  worker().blocks_free = 100;
  advance(200ms);
  EXPECT_EQ(running('l'), 3U);
  run_to_end();
  for (const auto& client : clients)
    EXPECT_EQ(client->answer.status, 200) << client->answer.body;
  expect_idle();
}

TEST_F(GivingWay, DoesNotHappenWhereOneClassIsAlone) {
  fill('l', PriorityClass::low, 4);
  worker().blocks_free = 0;
  advance(1s);

  EXPECT_EQ(running('l'), 4U);
  ask_for('l', PriorityClass::low);
  EXPECT_EQ(running('l'), 5U);
  run_to_end();
  expect_idle();
}

TEST_F(GivingWay, HappensToNobodyWhoHasDoneSoThreeTimes) {
  auto low = ask_for('l', PriorityClass::low);
  fill('r', PriorityClass::realtime, 1);
  for (int i = 0; i < 5; ++i) {
    worker().blocks_free = 0;
    advance(400ms);
    EXPECT_EQ(running('l'), i < 3 ? 0U : 1U);
    worker().blocks_free = 100;
    advance(400ms);
  }
  EXPECT_EQ(worker().cancels.size(), 3U);
  run_to_end();
  EXPECT_EQ(low->answer.status, 200) << low->answer.body;
  expect_idle();
}

// --- what is kept for the core API ---------------------------------------------------------------

class CoreApi : public GivingWay {
 protected:
  explicit CoreApi(bool lends = false) : GivingWay({.lends_to_low = lends}) {
    TenantPolicy core;
    core.name = "core";
    core.core = true;
    TenantPolicy other;
    other.name = "other";
    tenants_ = front->quotas->enroll({core, other}, front->clock->now());
  }

  std::shared_ptr<FakeExchange> ask_as(bool core, char letter, PriorityClass priority) {
    OpenAiRequest request = completion(std::string(1, letter), 40);
    request.priority_class = priority;
    return ask(std::move(request), tenants_[core ? 0 : 1]);
  }

 private:
  std::vector<std::shared_ptr<const Tenant>> tenants_;
};

class LendingCoreApi : public CoreApi {
 protected:
  LendingCoreApi() : CoreApi(true) {}
};

TEST_F(CoreApi, FindsItsPlacesFreeWhoeverFloodsTheServer) {
  for (int i = 0; i < 40; ++i)
    ask_as(false, 'o', PriorityClass::realtime);
  EXPECT_EQ(running('o'), 5U) << "30 % of eight places are kept";

  ask_as(true, 'c', PriorityClass::batch);
  ask_as(true, 'c', PriorityClass::realtime);
  ask_as(true, 'c', PriorityClass::low);
  EXPECT_EQ(running('c'), 3U) << "at once, whoever waits before them";
  run_to_end();
  expect_idle();
}

TEST_F(LendingCoreApi, IsGivenBackWhatWasLent) {
  for (int i = 0; i < 20; ++i)
    ask_as(false, 'l', PriorityClass::low);
  EXPECT_EQ(running('l'), 8U);

  ask_as(true, 'c', PriorityClass::realtime);
  advance(200ms);
  EXPECT_EQ(running('c'), 1U);
  EXPECT_EQ(running('l'), 7U);
  run_to_end();
  expect_idle();
}

// --- who would come too late ---------------------------------------------------------------------

TEST_F(GivingWay, GivesUpWhoCannotMakeItsDeadlineAnyMore) {
  fill('r', PriorityClass::realtime, 8);
  OpenAiRequest request = completion("x", 40);
  request.timeout = 1s;
  request.client_deadline = true;
  auto late = ask(std::move(request));
  advance(995ms);
  ASSERT_FALSE(late->ended);
  run_to_end();

  EXPECT_TRUE(late->ended);
  EXPECT_EQ(late->answer.status, 503) << late->answer.body;
  EXPECT_EQ(running('x'), 0U) << "no lane spent time on it";
  expect_idle();
}

}  // namespace
}  // namespace sluice::testing
