// Requests that end their workers: found among innocents, convicted, refused; and sequences that
// fail by themselves.
#include "actors/lane_messages.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

/// A request whose prompt ends every worker that computes a token for it.
constexpr const char* kPoison = "poison";

bool says(const wire::Start& start, const std::string& word) {
  std::string prompt;
  for (TokenId token : start.plan.prompt)
    prompt += static_cast<char>(token);
  return prompt.find(word) != std::string::npos;
}

bool is_poison(const wire::Start& start) {
  return says(start, kPoison);
}

class Poison : public FrontWorld {
 protected:
  explicit Poison(std::uint32_t lanes = 1) : FrontWorld(lanes) {}

  /// Every worker computes until nothing runs; one that runs poison dies instead.
  void run_with_poison(const std::string& why = "killed by signal 11") {
    for (int round = 0; round < 4000; ++round) {
      bool busy = false;
      for (const auto& worker : launcher->alive()) {
        worker->take_commands();
        if (worker->runs(is_poison)) {
          worker->die(why);
          busy = true;
        } else {
          busy = worker->step() || busy;
        }
      }
      settle();
      bool open = std::any_of(
          clients.begin(), clients.end(), [](const auto& client) { return !client->ended; });
      if (!busy && !open) return;
      if (!busy) bring_up();
    }
    FAIL() << "it does not come to an end";
  }
};

TEST_F(Poison, EndsThreeWorkersAtMostAndItsNeighboursGetEveryByte) {
  bring_up();
  std::vector<std::shared_ptr<FakeExchange>> innocents;
  std::shared_ptr<FakeExchange> guilty;
  for (int i = 0; i < 8; ++i) {
    if (i == 3)
      guilty = ask(completion(kPoison, 40));
    else
      innocents.push_back(ask(completion("innocent " + std::to_string(i), 60)));
  }

  run_with_poison();

  EXPECT_EQ(guilty->answer.status, 500);
  EXPECT_THAT(guilty->answer.body, HasSubstr("\"code\":\"poison_request\""));
  int number = 0;
  for (const auto& innocent : innocents) {
    if (number == 3) ++number;
    EXPECT_EQ(innocent->answer.status, 200);
    EXPECT_THAT(innocent->answer.body,
                HasSubstr(hash_text("innocent " + std::to_string(number++), 60)));
  }
  EXPECT_EQ(launcher->workers.size(), 4U) << "three ended by it, one serves";
  expect_idle();
}

TEST_F(Poison, EndsThreeWorkersAtMostHoweverManyChoicesItAsksFor) {
  bring_up();
  OpenAiRequest many = completion(kPoison, 40);
  many.n = 6;
  auto guilty = ask(many);
  auto innocent = ask(completion("innocent", 60));

  run_with_poison();

  EXPECT_THAT(guilty->answer.body, HasSubstr("\"code\":\"poison_request\""));
  EXPECT_THAT(innocent->answer.body, HasSubstr(hash_text("innocent", 60)));
  EXPECT_EQ(launcher->workers.size(), 4U) << "three ended by it, one serves";
  expect_idle();
}

TEST_F(Poison, IsRefusedForAnHourWithoutTouchingAWorker) {
  bring_up();
  ask(completion(kPoison, 40));
  run_with_poison();
  std::size_t workers = launcher->workers.size();

  auto again = ask(completion(kPoison, 40));

  EXPECT_EQ(again->answer.status, 500);
  EXPECT_THAT(again->answer.body, HasSubstr("\"code\":\"poison_request\""));
  EXPECT_EQ(launcher->workers.size(), workers);
  EXPECT_EQ(front->decisions.last().at(0).decision.refused, Refusal::poison);

  advance(std::chrono::hours(1));
  auto later = ask(completion(kPoison, 40));
  EXPECT_THAT(later->answer.body, Not(HasSubstr("poison_request")));
  later->vanish();
  settle();
}

TEST_F(Poison, CostsTheLaneNoneOfItsRestarts) {
  bring_up();
  for (int i = 0; i < 8; ++i) {
    auto guilty = ask(completion(kPoison + std::to_string(i), 40));
    run_with_poison();
    ASSERT_THAT(guilty->answer.body, HasSubstr("\"code\":\"poison_request\"")) << i;
    // Others like it get through, so its kind is not refused.
    for (int j = 0; j < 8; ++j)
      ask(completion("of size", 5));
    run_with_poison();
  }

  auto next = ask(completion("still here", 5));
  run_with_poison();
  EXPECT_THAT(next->answer.body, HasSubstr(hash_text("still here", 5)));
}

TEST_F(Poison, NobodyIsSuspectWhenAWorkerIsShotFromOutside) {
  bring_up();
  auto client = ask(completion("a target", 30));

  // Nor does the lane wait longer each time: it did not fail.
  for (int shot = 0; shot < 4; ++shot) {
    bring_up();
    settle();
    launcher->alive().at(0)->step();
    settle();
    launcher->alive().at(0)->die();
    settle();
  }
  bring_up();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("a target", 30)));
}

TEST_F(Poison, NobodyIsSuspectWhenAWorkerIsStoppedFromOutside) {
  bring_up();
  auto client = ask(completion("a target", 30));

  for (int stop = 0; stop < 4; ++stop) {
    bring_up();
    auto worker = launcher->alive().at(0);
    worker->step();
    settle();
    worker->stopped = true;
    advance(std::chrono::milliseconds(2200));
    ASSERT_TRUE(worker->dead());
  }
  bring_up();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("a target", 30)));
}

class PoisonOnTwoLanes : public Poison {
 protected:
  PoisonOnTwoLanes() : Poison(2) {
    TenantPolicy guilty;
    guilty.name = "guilty";
    TenantPolicy innocent;
    innocent.name = "innocent";
    auto tenants = front->quotas->enroll({guilty, innocent}, front->clock->now());
    guilty_ = tenants[0];
    innocent_ = tenants[1];
  }

  std::shared_ptr<const Tenant> guilty_;
  std::shared_ptr<const Tenant> innocent_;
};

TEST_F(PoisonOnTwoLanes, LeavesTheOtherLaneToTheOthers) {
  bring_up();
  auto guilty = ask(completion(kPoison, 40));
  std::vector<std::shared_ptr<FakeExchange>> innocents;
  for (int i = 0; i < 12; ++i)
    innocents.push_back(ask(completion("innocent " + std::to_string(i), 50)));

  run_with_poison();

  EXPECT_THAT(guilty->answer.body, HasSubstr("\"code\":\"poison_request\""));
  for (int i = 0; i < 12; ++i) {
    EXPECT_THAT(innocents[static_cast<std::size_t>(i)]->answer.body,
                HasSubstr(hash_text("innocent " + std::to_string(i), 50)));
  }
  EXPECT_LE(launcher->workers.size(), 5U);
  expect_idle();
}

/// One tenant sends nothing but poison, each time another one.
class FloodOfPoison : public PoisonOnTwoLanes {
 protected:
  FloodOfPoison() {
    bring_up();
    convict();
    // Three workers have ended in a row: in such a storm the next one's trials speak against its
    // kind.
    auto next = ask_for_poison();
    run_with_poison();
    EXPECT_THAT(next->answer.body, HasSubstr("\"code\":\"poison_kind\""));
  }

  std::shared_ptr<FakeExchange> ask_for_poison() {
    return ask(completion(kPoison + std::to_string(number_++), 40), guilty_);
  }
  void convict() {
    bring_up();
    auto client = ask_for_poison();
    run_with_poison();
    ASSERT_THAT(client->answer.body, HasSubstr("\"code\":\"poison_request\""));
  }

  int number_ = 0;
};

TEST_F(FloodOfPoison, IsRefusedWhenItsSecondHasBeenTriedAndOthersAreNot) {
  auto third = ask_for_poison();
  EXPECT_EQ(third->answer.status, 503);
  EXPECT_THAT(third->answer.body, HasSubstr("\"code\":\"poison_kind\""));
  EXPECT_THAT(third->answer.body, HasSubstr("Requests of this tenant have repeatedly ended"));

  bring_up();
  std::size_t workers = launcher->workers.size();
  auto other = ask(completion("of same size", 20), innocent_);
  run_with_poison();
  EXPECT_THAT(other->answer.body, HasSubstr(hash_text("of same size", 20)));
  EXPECT_EQ(launcher->workers.size(), workers) << "no worker has ended";
  expect_idle();
}

TEST_F(FloodOfPoison, CostsOneWorkerForEachTrialFromThenOn) {
  for (int wait : {1, 2, 4}) {
    bring_up();
    ASSERT_EQ(launcher->alive().size(), 2U);
    advance(std::chrono::seconds(wait));
    convict();
    EXPECT_EQ(launcher->alive().size(), 1U) << "one worker has ended";
    EXPECT_EQ(ask_for_poison()->answer.status, 503);
  }
  expect_idle();
}

TEST_F(FloodOfPoison, EndsWithATrialThatGetsThrough) {
  advance(std::chrono::seconds(1));
  auto harmless = ask(completion("harmless", 40), guilty_);
  EXPECT_EQ(ask(completion("another", 5), guilty_)->answer.status, 503) << "one at a time";
  run_with_poison();
  EXPECT_THAT(harmless->answer.body, HasSubstr(hash_text("harmless", 40)));

  auto next = ask(completion("next", 5), guilty_);
  run_with_poison();
  EXPECT_THAT(next->answer.body, HasSubstr(hash_text("next", 5)));
}

TEST_F(FloodOfPoison, IsTriedWithoutWaitingForTheLongAnswersOfOthers) {
  bring_up();
  ask(completion("known", 5), innocent_);
  run_with_poison();
  std::vector<std::shared_ptr<FakeExchange>> others;
  for (int i = 0; i < 4; ++i)
    others.push_back(ask(completion("long " + std::to_string(i), 200), innocent_));
  for (const auto& worker : launcher->alive())
    for (int step = 0; step < 5; ++step)
      worker->step();
  settle();
  advance(std::chrono::seconds(1));
  auto harmless = ask(completion("harmless", 5), guilty_);
  for (int i = 0; i < 20 && !harmless->ended; ++i) {
    advance(std::chrono::milliseconds(100));
    for (const auto& worker : launcher->alive())
      worker->step();
    settle();
  }

  EXPECT_THAT(harmless->answer.body, HasSubstr(hash_text("harmless", 5)));
  for (const auto& other : others)
    EXPECT_FALSE(other->ended) << "it has long to go";
  run_with_poison();
  for (int i = 0; i < 4; ++i)
    EXPECT_THAT(others[static_cast<std::size_t>(i)]->answer.body,
                HasSubstr(hash_text("long " + std::to_string(i), 200)));
  expect_idle();
}

TEST_F(FloodOfPoison, LetsTheNextTryWhereTheFirstWentAway) {
  advance(std::chrono::seconds(1));
  ask(completion("harmless", 40), guilty_)->vanish();
  settle();

  auto next = ask(completion("next", 5), guilty_);
  bring_up();
  run_to_end();
  EXPECT_THAT(next->answer.body, HasSubstr(hash_text("next", 5)));
}

TEST_F(PoisonOnTwoLanes, AtOnceIsTriedOnlyUntilItsKindIsKnown) {
  bring_up();
  ask(completion("known to be good", 5), innocent_);
  run_with_poison();
  std::size_t workers = launcher->workers.size();
  std::vector<std::shared_ptr<FakeExchange>> poisons;
  std::vector<std::shared_ptr<FakeExchange>> others;
  for (int i = 0; i < 8; ++i) {
    others.push_back(ask(completion("innocent " + std::to_string(i), 50), innocent_));
    poisons.push_back(ask(completion(kPoison + std::to_string(i), 40), guilty_));
  }

  run_with_poison();

  for (int i = 0; i < 8; ++i)
    EXPECT_THAT(others[static_cast<std::size_t>(i)]->answer.body,
                HasSubstr(hash_text("innocent " + std::to_string(i), 50)));
  auto convicted = std::count_if(poisons.begin(), poisons.end(), [](const auto& client) {
    return client->answer.body.find("\"code\":\"poison_request\"") != std::string::npos;
  });
  auto refused = std::count_if(poisons.begin(), poisons.end(), [](const auto& client) {
    return client->answer.body.find("\"code\":\"poison_kind\"") != std::string::npos;
  });
  // Those that end a worker together speak against their kind before one of them is convicted.
  EXPECT_LE(convicted, 3);
  EXPECT_EQ(refused, 8 - convicted) << "they need not end a worker";
  EXPECT_LE(launcher->workers.size() - workers, 10U);
  expect_idle();
}

TEST_F(PoisonOnTwoLanes, BeginsOnTrialInAStormAndWhoIsKnownDoesNot) {
  bring_up();
  ask(completion("of size 1", 5), innocent_);
  run_to_end();
  for (int i = 0; i < 3; ++i)
    model->kinds.ended(front->clock->now());

  for (int i = 0; i < 6; ++i)
    ask(completion("unknown" + std::to_string(i), 40), guilty_);
  for (int i = 0; i < 6; ++i)
    ask(completion("of size " + std::to_string(i), 40), innocent_);
  auto runs = [this](const std::string& word) {
    std::vector<std::size_t> found;
    for (const auto& worker : launcher->alive()) {
      worker->take_commands();
      std::size_t count = 0;
      for (const wire::Start& start : worker->starts)
        count += says(start, word) && start.plan.max_tokens == 40 ? 1 : 0;
      found.push_back(count);
    }
    return found;
  };
  EXPECT_THAT(runs("unknown"), UnorderedElementsAre(1, 0)) << "the others wait for their trial";
  EXPECT_THAT(runs("of size"), UnorderedElementsAre(6, 0)) << "on the other lane";
  EXPECT_NE(runs("unknown").front() == 0, runs("of size").front() == 0);

  run_to_end();
  EXPECT_THAT(runs("unknown"), UnorderedElementsAre(6, 0));
  for (const auto& client : clients)
    EXPECT_TRUE(client->ended);
  expect_idle();
}

/// Two workers have ended with an innocent request. It is to run alone on the only lane that is up,
/// whose worker has not heard yet that what it ran is cancelled.
class KeptBack : public PoisonOnTwoLanes {
 protected:
  KeptBack() {
    bring_up();
    innocent = ask(completion("innocent", 40));
    worker_of("innocent")->die("killed by signal 11");
    settle();
    auto other = ask(completion("another", 40));
    bring_up();
    worker_of("innocent")->die("killed by signal 11");
    settle();
    worker = worker_of("another");
    EXPECT_EQ(launcher->alive().size(), 1U);
    other->vanish();
    settle();
    worker->unheard = 1;
    advance(std::chrono::milliseconds(200));
    EXPECT_FALSE(worker_of("innocent")) << "the other may still run";
  }

  /// The worker that runs what says the word, if one does.
  std::shared_ptr<FakeWorker> worker_of(const std::string& word) {
    for (const auto& one : launcher->alive()) {
      one->take_commands();
      if (one->runs([&](const wire::Start& start) { return says(start, word); })) return one;
    }
    return nullptr;
  }

  void expect_the_answer() {
    bring_up();
    run_to_end();
    EXPECT_THAT(innocent->answer.body, HasSubstr(hash_text("innocent", 40)));
    expect_idle();
  }

  std::shared_ptr<FakeExchange> innocent;
  std::shared_ptr<FakeWorker> worker;
};

TEST_F(KeptBack, BeginsWhenTheWorkerHasHeardEverything) {
  worker->unheard = 0;
  advance(std::chrono::milliseconds(100));

  EXPECT_EQ(worker_of("innocent"), worker);
  expect_the_answer();
}

TEST_F(KeptBack, IsNotBlamedForWhatEndsTheWorkerMeanwhile) {
  worker->die("killed by signal 11");
  settle();

  expect_the_answer();
}

TEST_F(KeptBack, DoesNotBeginBehindAGateThatWasShutMeanwhile) {
  for (LaneId lane : model->lanes) {
    front->tell(model->batcher.role, LaneGate{.lane = lane});
    front->tell(front->executors.at(lane).role, LaneGate{.lane = lane});
  }
  settle();
  worker->unheard = 0;
  advance(std::chrono::milliseconds(100));

  EXPECT_FALSE(worker_of("innocent"));
  worker->die();
  settle();
  expect_the_answer();
}

TEST_F(KeptBack, IsForgottenWhenNobodyWantsItAnyMore) {
  innocent->vanish();
  settle();
  worker->unheard = 0;
  advance(std::chrono::milliseconds(100));

  EXPECT_FALSE(worker_of("innocent"));
  expect_idle();
}

// --- sequences that fail by themselves ---------------------------------------------------------

class Retries : public FrontWorld {
 protected:
  Retries() : FrontWorld(2) {}

  void spend_the_budget() const {
    for (std::uint64_t i = 0; i < front->retries.options().at_least; ++i)
      ASSERT_NE(front->retries.begin(SequenceId{1'000'000 + i}, 0, [] {}), 0U);
  }

  /// Whatever runs and has not failed before fails.
  void fail_first_attempts() {
    for (const auto& worker : launcher->alive()) {
      worker->take_commands();
      for (const wire::Start& start : worker->starts) {
        if (start.epoch != 0 || !worker->runs([&](const auto& one) { return one.id == start.id; }))
          continue;
        worker->say(wire::Failed{start.id, start.epoch, ErrorCode::data_loss, "not finite"});
        worker->forget(start.id);
      }
    }
    settle();
  }

  /// The worker that runs the one sequence says that it failed.
  bool fail_it(ErrorCode code) {
    for (const auto& worker : launcher->alive()) {
      worker->take_commands();
      if (worker->running() == 0) continue;
      const wire::Start& start = worker->starts.back();
      worker->say(wire::Failed{start.id, start.epoch, code, "not finite"});
      worker->forget(start.id);
      settle();
      return true;
    }
    return false;
  }
};

TEST_F(Retries, RunOnTheOtherLaneAndLoseNoToken) {
  bring_up();
  auto client = ask(completion("try again", 20));
  auto first = launcher->alive().at(0);
  first->step();
  settle();

  ASSERT_TRUE(fail_it(ErrorCode::data_loss));
  launcher->alive().at(1)->take_commands();
  EXPECT_EQ(launcher->alive().at(1)->running(), 1U) << "not where it failed";
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("try again", 20)));
  EXPECT_EQ(front->retries.active(), 0U);
  expect_idle();
}

TEST_F(Retries, EndWithAnErrorAfterThreeAttempts) {
  bring_up();
  auto client = ask(completion("hopeless", 20));

  EXPECT_TRUE(fail_it(ErrorCode::data_loss));
  EXPECT_TRUE(fail_it(ErrorCode::data_loss));
  EXPECT_FALSE(client->ended);
  EXPECT_TRUE(fail_it(ErrorCode::data_loss));

  EXPECT_EQ(client->answer.status, 500);
  EXPECT_EQ(front->retries.active(), 0U);
  expect_idle();
}

TEST_F(Retries, WaitForTheirTurnWhereTooManyRunAlready) {
  bring_up();
  std::vector<std::shared_ptr<FakeExchange>> asked;
  for (int i = 0; i < 6; ++i) {
    asked.push_back(ask(completion("one of six " + std::to_string(i), 20)));
    fail_first_attempts();
  }
  std::uint32_t most = front->retries.options().at_least;
  EXPECT_EQ(front->retries.active(), most);
  std::size_t running = 0;
  for (const auto& worker : launcher->alive()) {
    worker->take_commands();
    running += worker->running();
  }
  EXPECT_EQ(running, most);

  run_to_end();  // each that ends lets the next one in, without a clock

  for (std::size_t i = 0; i < asked.size(); ++i)
    EXPECT_THAT(asked[i]->answer.body, HasSubstr(hash_text("one of six " + std::to_string(i), 20)));
  EXPECT_EQ(front->retries.active(), 0U);
  expect_idle();
}

TEST_F(Retries, EndAsAnyRequestWhileTheyWait) {
  bring_up();
  spend_the_budget();
  auto gone = ask(completion("vanishes", 20));
  OpenAiRequest hasty = completion("has no time", 20);
  hasty.n = 2;
  hasty.timeout = std::chrono::seconds(3);
  auto late = ask(hasty);
  fail_first_attempts();

  gone->vanish();
  advance(std::chrono::milliseconds(3200));

  EXPECT_EQ(late->answer.status, 504);
  expect_idle();
}

TEST_F(Retries, EndWithAnErrorWhenTheirTurnDoesNotCome) {
  bring_up();
  spend_the_budget();
  auto client = ask(completion("patient", 20));
  ASSERT_TRUE(fail_it(ErrorCode::data_loss));

  advance(std::chrono::milliseconds(9'900));
  EXPECT_FALSE(client->ended);
  advance(std::chrono::milliseconds(200));

  EXPECT_EQ(client->answer.status, 429);
  EXPECT_THAT(client->answer.body, HasSubstr("being tried again"));
  expect_idle();
}

TEST_F(Retries, AnImpossibleTokenReachesNoClientAndTouchesNoOther) {
  bring_up();
  auto client = ask(completion("out of range", 20));
  auto other = ask(completion("beside it", 20));
  auto worker = launcher->alive().at(0);
  worker->before_send = [](wire::Tokens& tokens) {
    tokens.outputs.at(0).tokens.at(0) = kHashVocabulary;
  };

  worker->step();
  worker->before_send = nullptr;
  settle();

  EXPECT_FALSE(worker->dead());
  run_to_end();
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("out of range", 20)));
  EXPECT_THAT(other->answer.body, HasSubstr(hash_text("beside it", 20)));
  expect_idle();
}

// --- commands that get lost --------------------------------------------------------------------

class LostCommands : public FrontWorld {
 protected:
  LostCommands() : FrontWorld(1) {}
};

TEST_F(LostCommands, AreNoticedByAWorkerThatRestsForTwoSeconds) {
  bring_up();
  auto client = ask(completion("lost", 10));
  auto worker = launcher->alive().at(0);
  worker->inbox.clear();  // the link has swallowed it

  advance(std::chrono::seconds(3));
  EXPECT_TRUE(worker->dead());
  bring_up();
  run_to_end();
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("lost", 10)));
}

TEST_F(LostCommands, AreNoticedByAWorkerThatKeepsWhatWasTakenFromIt) {
  bring_up();
  auto worker = launcher->alive().at(0);
  worker->keeps = 1;

  advance(std::chrono::milliseconds(1'900));
  EXPECT_FALSE(worker->dead()) << "a cancel may be on its way";
  advance(std::chrono::milliseconds(600));

  EXPECT_TRUE(worker->dead());
  bring_up();
  expect_idle();
}

TEST_F(LostCommands, AreNoticedByWhatTheWorkerSaysThatItHasCarriedOut) {
  bring_up();
  auto client = ask(completion("short", 1));
  auto worker = launcher->alive().at(0);
  run_to_end();
  worker->unheard = 1;

  advance(std::chrono::milliseconds(1'900));
  EXPECT_FALSE(worker->dead()) << "it may be on its way";
  advance(std::chrono::milliseconds(600));

  EXPECT_TRUE(worker->dead());
  bring_up();
  expect_idle();
}

TEST_F(LostCommands, AreNotSuspectedDuringALongStep) {
  bring_up();
  auto worker = launcher->alive().at(0);
  worker->keeps = 1;
  worker->step_age_ms = 100;  // it was cancelled, but the worker has not looked since

  advance(std::chrono::seconds(4));

  EXPECT_FALSE(worker->dead());
}

TEST_F(LostCommands, AreNotSuspectedWhenOldBeatsComeAllTogether) {
  bring_up();
  auto client = ask(completion("not lost", 10));
  auto worker = launcher->alive().at(0);

  // What it said while the front slept: three seconds of nothing to do.
  for (int beat = 0; beat < 60; ++beat)
    worker->say(wire::Heartbeat{});
  settle();

  EXPECT_FALSE(worker->dead());
  run_to_end();
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("not lost", 10)));
}

}  // namespace
}  // namespace sluice::testing
