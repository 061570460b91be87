// Requests that wait for others.
#include "tests/support/front_world.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::testing {
namespace {

using namespace std::chrono_literals;

/// One lane with one place, so that the order shows.
class DependentRequests : public FrontWorld {
 protected:
  DependentRequests() : FrontWorld(1, patient()) {
    advance(2s);
    worker().hello();
    worker().ready(1, 100);
    settle();
    advance(500ms);
  }

  static Front::Options patient() {
    Front::Options options;
    options.admission.wait_max = {};
    options.admission.queue_capacity = 8;
    return options;
  }

  FakeWorker& worker() { return *launcher->alive().front(); }

  std::shared_ptr<FakeExchange> ask_after(char letter,
                                          Dependency::Ptr dependency,
                                          std::optional<Duration> timeout = {}) {
    OpenAiRequest request = completion(std::string(1, letter), 4);
    request.timeout = timeout;
    return ask(std::move(request), nullptr, std::move(dependency));
  }

  /// The letters of the requests in the order in which they began.
  std::string order() {
    worker().take_commands();
    std::string letters;
    for (const wire::Start& start : worker().starts)
      letters += static_cast<char>(start.plan.prompt.front());
    return letters;
  }

  Dependency::Ptr add(std::vector<Dependency::Ptr> after = {}) {
    return front->dependencies.add(std::move(after));
  }
};

TEST_F(DependentRequests, BeginWhenThoseBeforeThemHaveCompleted) {
  auto first = add();
  auto second = add({first});
  auto third = add({first, second});
  auto last = ask_after('c', third);
  auto middle = ask_after('b', second);
  EXPECT_EQ(order(), "");
  EXPECT_EQ(front->counters.dependent, 2);

  ask_after('a', first);
  run_to_end();

  EXPECT_EQ(order(), "abc");
  EXPECT_EQ(last->answer.status, 200);
  EXPECT_EQ(middle->answer.status, 200);
  EXPECT_EQ(front->counters.dependent, 0);
  expect_idle();
}

TEST_F(DependentRequests, FailWithThoseBeforeThem) {
  auto first = add();
  auto second = add({first});
  auto third = add({second});
  auto failing = ask_after('a', first);
  auto next = ask_after('b', second);
  auto last = ask_after('c', third);

  failing->vanish();
  settle();

  for (const auto& client : {next, last}) {
    EXPECT_TRUE(client->ended);
    EXPECT_EQ(client->answer.status, 409) << client->answer.body;
    EXPECT_NE(client->answer.body.find("depends on"), std::string::npos);
  }
  run_to_end();
  expect_idle();
}

TEST_F(DependentRequests, KeepTheirDeadlinesWhileTheyWait) {
  auto first = add();
  auto late = ask_after('b', add({first}), 1s);
  advance(900ms);
  EXPECT_FALSE(late->ended);
  advance(200ms);

  EXPECT_EQ(late->answer.status, 504) << late->answer.body;
  EXPECT_EQ(front->counters.dependent, 0);
  first->end(true);
  settle();
  EXPECT_EQ(order(), "") << "it is over";
  expect_idle();
}

TEST_F(DependentRequests, AreNotWithoutNumber) {
  auto first = add();
  for (int i = 0; i < 8; ++i)
    EXPECT_FALSE(ask_after('b', add({first}))->ended);
  auto refused = ask_after('b', add({first}));
  EXPECT_EQ(refused->answer.status, 429) << refused->answer.body;

  first->end(true);
  settle();
  run_to_end();
  expect_idle();
}

TEST_F(DependentRequests, LetTheLongestWayGoFirst) {
  ask_after('x', nullptr);  // has the only place
  ask_after('a', add());
  auto root = add();
  ask_after('r', root);
  // What waits for it is known only now.
  auto behind = ask_after('s', add({root}));
  run_to_end();

  EXPECT_EQ(order(), "xras");
  EXPECT_EQ(behind->answer.status, 200);
  expect_idle();
}

}  // namespace
}  // namespace sluice::testing
