// What operators order over the management port, and what the lanes make of it.
#include "actors/operator.h"

#include "actors/gateway.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Pair;
using State = CircuitBreaker::State;

class OperatorTest : public FrontWorld {
 protected:
  OperatorTest()
      : FrontWorld(2),
        gateway(make_management_gateway(system, front, std::make_shared<GatewayOptions>())) {
    bring_up();
    keeper = launcher->alive().at(1);
  }

  HttpResponse post(const std::string& path, std::string body = "") {
    return send("POST", path, std::move(body));
  }
  HttpResponse send(const std::string& method, const std::string& path, std::string body = "") {
    HttpRequest request;
    request.method = method;
    request.path = path;
    request.body = std::move(body);
    if (auto refused = gateway->on_head(request)) return *std::move(refused);
    auto exchange = std::make_shared<FakeExchange>();
    gateway->on_request(std::move(request), exchange);
    settle();
    return exchange->answer;
  }
  [[nodiscard]] LaneStatus lane(std::size_t number = 0) const {
    return front->lanes.snapshot().at(number);
  }
  /// Whoever was started and does not serve yet does so now.
  void bring_up_next() {
    advance(milliseconds(600));
    for (const auto& worker : launcher->alive()) {
      if (worker->serves()) continue;
      worker->hello();
      worker->ready();
    }
    settle();
    advance(milliseconds(800));
  }
  void quarantine_lane_0() {
    for (int i = 0; i < 10 && !lane(0).in_quarantine(); ++i) {
      for (const auto& worker : launcher->alive()) {
        if (worker == keeper) continue;
        if (!worker->serves()) {
          worker->hello();
          worker->ready();
        }
        settle();
        worker->die("exited with code 70");
      }
      settle();
      advance(seconds(4));
    }
    ASSERT_EQ(lane(0).state, LaneStatus::State::quarantined);
  }

  std::unique_ptr<HttpHandler> gateway;
  std::shared_ptr<FakeWorker> keeper;  ///< of lane 1
};

TEST_F(OperatorTest, AnswersWhoAsksForNoLaneOrInTheWrongWay) {
  EXPECT_EQ(post("/admin/v1/workers/2/restart").status, 404);
  EXPECT_THAT(post("/admin/v1/workers/2/restart").body,
              HasSubstr("this server has 2, numbered from 0"));
  EXPECT_EQ(post("/admin/v1/workers/x/restart").status, 404);
  EXPECT_EQ(post("/admin/v1/workers/-1/revive").status, 404);
  EXPECT_EQ(post("/admin/v1/workers//restart").status, 404);
  EXPECT_EQ(post("/admin/v1/workers/0/explode").status, 404);
  EXPECT_EQ(post("/admin/v1/workers/0/0/restart").status, 404);
  HttpResponse wrong = send("GET", "/admin/v1/breakers/0/force-open");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_THAT(wrong.headers, Contains(Pair("Allow", "POST, OPTIONS")));
  EXPECT_EQ(send("POST", "/admin/v1/workers").status, 405);
  EXPECT_EQ(post("/admin/v1/breakers/0/force-open", "{\"for_s\":0}").status, 400);
  EXPECT_EQ(lane(0).breaker.state, State::closed);
}

TEST_F(OperatorTest, TakesOrdersOnlyFromWhoeverHasAKeyOnceThereIsOne) {
  auto keys = KeyRing::create({{"ops", std::string(64, 'a')}});
  ASSERT_TRUE(keys);
  auto options = std::make_shared<GatewayOptions>();
  options->admin_keys->replace(*std::move(keys));
  gateway = make_management_gateway(system, front, options);

  for (const char* order :
       {"workers/0/restart", "workers/0/revive", "breakers/0/force-open", "breakers/0/reset"})
    EXPECT_EQ(post(std::string("/admin/v1/") + order).status, 401) << order;
  EXPECT_EQ(lane(0).breaker.state, State::closed);
}

TEST_F(OperatorTest, RestartsAWorkerThatRestsAtOnceAndAtNobodysCharge) {
  for (int i = 0; i < 10; ++i) {
    HttpResponse answer = post("/admin/v1/workers/0/restart", R"({"reason":"new kernel"})");
    EXPECT_EQ(answer.status, 202);
    EXPECT_EQ(answer.body, R"({"lane":0,"order":"restart"})");
    EXPECT_EQ(lane(0).last_exit, "was restarted by an operator: new kernel");
    bring_up_next();
    EXPECT_EQ(front->lanes.ready("hash"), 2U) << i;
  }
}

TEST_F(OperatorTest, LetsWhatRunsEndFirstWhileTheOtherLaneTakesWhatIsNew) {
  auto worker = launcher->alive().at(0);
  auto first = ask(completion("first", 4));
  auto second = ask(completion("second", 4));
  worker->take_commands();
  ASSERT_EQ(worker->running(), 1U);
  std::size_t before = worker->starts.size();

  EXPECT_EQ(post("/admin/v1/workers/0/restart").status, 202);
  ask(completion("new", 4));
  ask(completion("also new", 4));
  advance(seconds(1));
  EXPECT_FALSE(worker->dead());
  EXPECT_EQ(lane(0).breaker.weight, 0);
  run_to_end();
  EXPECT_EQ(worker->starts.size(), before) << "it took nothing new";
  advance(seconds(1));

  EXPECT_TRUE(worker->dead());
  EXPECT_EQ(front->counters.resumed, 0U);
  bring_up_next();
  EXPECT_EQ(front->lanes.ready("hash"), 2U);
  for (const auto& client : clients)
    EXPECT_EQ(client->answer.status, 200);
}

TEST_F(OperatorTest, MovesWhatDoesNotEndInTenSeconds) {
  auto worker = launcher->alive().at(0);
  auto other = launcher->alive().at(1);
  auto long_one = ask(completion("long", 50));
  worker->take_commands();
  ASSERT_EQ(worker->running(), 1U);
  post("/admin/v1/workers/0/restart");
  advance(milliseconds(9900));
  EXPECT_FALSE(worker->dead());
  advance(milliseconds(200));

  EXPECT_TRUE(worker->dead());
  other->take_commands();
  EXPECT_EQ(other->running(), 1U);
  run_to_end();
  EXPECT_THAT(long_one->answer.body, HasSubstr(hash_text("long", 50)));
}

TEST_F(OperatorTest, ForcesABreakerOpenUntilItIsReset) {
  EXPECT_EQ(post("/admin/v1/breakers/0/force-open", R"({"reason":"a fan is broken"})").status, 202);
  EXPECT_EQ(lane(0).breaker.state, State::forced_open);
  EXPECT_EQ(lane(0).breaker.reason, "forced open: a fan is broken");
  EXPECT_EQ(front->lanes.ready("hash"), 1U);
  launcher->alive().at(0)->die();
  bring_up_next();
  advance(minutes(1));
  EXPECT_EQ(lane(0).breaker.state, State::forced_open) << "another worker changes nothing";

  EXPECT_EQ(post("/admin/v1/breakers/0/reset").status, 202);
  advance(seconds(2));
  EXPECT_EQ(lane(0).breaker.state, State::closed);
  EXPECT_EQ(front->lanes.ready("hash"), 2U);
}

TEST_F(OperatorTest, ForcesABreakerOpenForAWhileAndOverItsOwnDeath) {
  post("/admin/v1/breakers/0/force-open", R"({"for_s":60})");
  caf::anon_send_exit(peer("breaker.0"), caf::exit_reason::kill);
  advance(seconds(1));
  bring_up_next();
  EXPECT_EQ(lane(0).breaker.state, State::forced_open) << "its next life keeps to it";
  advance(seconds(60));

  EXPECT_EQ(lane(0).breaker.state, State::closed);
}

TEST_F(OperatorTest, SaysWhatTheStateDoesNotAllow) {
  HttpResponse closed = post("/admin/v1/breakers/0/reset");
  EXPECT_EQ(closed.status, 409);
  EXPECT_THAT(closed.body, HasSubstr("is closed: there is nothing to reset"));
  HttpResponse well = post("/admin/v1/workers/0/revive");
  EXPECT_EQ(well.status, 409);
  EXPECT_THAT(well.body, HasSubstr("Lane 0 is not in quarantine"));
  launcher->alive().at(0)->die();
  settle();
  EXPECT_THAT(post("/admin/v1/workers/0/restart").body, HasSubstr("has no worker at present"));
  quarantine_lane_0();
  EXPECT_THAT(post("/admin/v1/workers/0/restart").body, HasSubstr("it can be revived"));
  EXPECT_THAT(post("/admin/v1/breakers/0/reset").body, HasSubstr("its worker has to be revived"));
  EXPECT_EQ(post("/admin/v1/breakers/0/reset").status, 409);
}

TEST_F(OperatorTest, RevivesALaneAtOnce) {
  quarantine_lane_0();
  ASSERT_GT(*lane(0).quarantine.trial_at(), now() + seconds(2));

  EXPECT_EQ(post("/admin/v1/workers/0/revive").status, 202);
  advance(seconds(1));
  EXPECT_THAT(post("/admin/v1/workers/0/revive").body, HasSubstr("is on trial already"));
  bring_up_next();

  EXPECT_FALSE(lane(0).in_quarantine());
  EXPECT_EQ(front->lanes.ready("hash"), 2U);
}

TEST_F(OperatorTest, RevivesALaneWhoseKilledWorkerDidNotEnd) {
  auto stuck = launcher->alive().at(0);
  stuck->unkillable = true;
  stuck->stopped = true;
  advance(seconds(30));
  ASSERT_TRUE(lane(0).in_quarantine());
  ASSERT_EQ(lane(0).quarantine.trial_at(), std::nullopt) << "it waits for an operator";
  advance(minutes(20));
  ASSERT_TRUE(lane(0).in_quarantine());

  EXPECT_EQ(post("/admin/v1/workers/0/revive").status, 202);
  bring_up_next();
  EXPECT_EQ(front->lanes.ready("hash"), 2U);
}

TEST_F(OperatorTest, RevivesALaneWhoseActorsWereGivenUp) {
  for (int i = 0; i < 1200 && !lane(0).parked_until; ++i) {
    auto executor = front->tree->registry().find("executor.0");
    if (executor) caf::anon_send_exit(executor->handle, caf::exit_reason::kill);
    advance(milliseconds(100));
  }
  ASSERT_TRUE(lane(0).parked_until.has_value());

  EXPECT_EQ(post("/admin/v1/workers/0/revive").status, 202);
  bring_up_next();

  EXPECT_FALSE(lane(0).in_quarantine());
  EXPECT_EQ(front->lanes.ready("hash"), 2U);
}

class OperatorOfOneLane : public FrontWorld {
 protected:
  OperatorOfOneLane() { bring_up(); }
};

TEST_F(OperatorOfOneLane, MovesEverythingAtOnceBecauseNobodyElseTakesWhatIsNew) {
  auto client = ask(completion("the only lane", 20));
  auto worker = launcher->alive().at(0);
  worker->step();
  Operator order(front);

  EXPECT_EQ(order.act(Route::restart_worker, "0", "", "r").status, 202);
  settle();
  EXPECT_TRUE(worker->dead());
  bring_up();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("the only lane", 20)));
}

}  // namespace
}  // namespace sluice::testing
