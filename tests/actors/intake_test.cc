// From bodies to sessions: what is done at once, what in the background, and what is refused.
#include "actors/intake.h"

#include "actors/body_memory.h"
#include "api/http_caller.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

/// Keeps work until it is told to do it.
class LazyPool final : public WorkPool {
 public:
  bool submit(Length length, std::function<void()> work) override {
    if (full) return false;
    waiting.emplace_back(length, std::move(work));
    return true;
  }
  /// Does the oldest piece; its length.
  Length run() {
    auto [length, work] = std::move(waiting.front());
    waiting.pop_front();
    work();
    return length;
  }

  bool full = false;
  std::deque<std::pair<Length, std::function<void()>>> waiting;
};

class IntakeTest : public FrontWorld {
 protected:
  IncomingRequest incoming(std::shared_ptr<FakeExchange> client, std::string body, std::string id) {
    IncomingRequest request;
    request.terms.request_id = id;
    request.body = std::move(body);
    request.caller = std::make_shared<HttpCaller>(client, id, answer_options(*front));
    return request;
  }
  /// A request under a key, as the gateway passes it on.
  std::shared_ptr<FakeExchange> take_keyed(const std::string& body,
                                           const std::string& key = "@client /v1/completions k") {
    auto client = std::make_shared<FakeExchange>();
    clients.push_back(client);
    IncomingRequest request = incoming(client, body, "req-" + std::to_string(clients.size()));
    request.idempotency_name = key;
    request.body_hash = hash128(body);
    intake.take(std::move(request));
    settle();
    return client;
  }
  static std::string field(const FakeExchange& client, const std::string& name) {
    for (const auto& [field, value] : client.answer.headers)
      if (field == name) return value;
    return "";
  }
  std::shared_ptr<FakeExchange> take(const std::string& body, Route route = Route::completions) {
    auto client = std::make_shared<FakeExchange>();
    clients.push_back(client);
    IncomingRequest request = incoming(client, body, "req-1");
    request.route = route;
    request.memory = memory;
    bool fits = !memory || memory->resize(body.size());
    EXPECT_TRUE(fits);
    intake.take(std::move(request));
    settle();
    return client;
  }
  static std::string body(const std::string& prompt, const std::string& more = "") {
    return R"({"max_tokens":3,"ignore_eos":true,"prompt":")" + prompt + "\"" + more + "}";
  }

  /// A lane serves, with room for all prompts of this test.
  void open() {
    bring_up();
    model->kv_tokens = std::uint64_t{1} << 20;
  }

  LazyPool pool;
  std::shared_ptr<IdempotencyTable> idempotency = IdempotencyTable::create();
  Intake intake{system, front, {}, pool, idempotency};
};

TEST_F(IntakeTest, StartsTheSessionOfAShortPromptAtOnce) {
  open();

  auto client = take(body("hello"));
  run_to_end();

  EXPECT_TRUE(pool.waiting.empty());
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("hello", 3)));
  expect_idle();
}

TEST_F(IntakeTest, RefusesWhoWouldWaitTooLongBeforeThePromptIsTokens) {
  open();
  TimePoint now = front->clock->now();
  model->waits.set_pace({100, 1100}, 1.0);
  model->waits.enter(0, UINT32_MAX, 1, std::chrono::milliseconds(400), now);
  auto soon = take(body("hello"));
  model->waits.enter(0, UINT32_MAX, 1, std::chrono::milliseconds(100), now);
  auto sessions = front->counters.sessions.load();

  model->waits.set_room({});  // as if all places were held
  auto refused = take(body("hello"));
  auto later = take(body("hello", R"(,"service_tier":"flex")"));

  EXPECT_FALSE(soon->ended && soon->answer.status != 200);
  EXPECT_EQ(refused->answer.status, 429);
  EXPECT_THAT(refused->answer.body, HasSubstr("longer than the 0.5 s"));
  EXPECT_EQ(front->counters.sessions.load(), sessions + (later->ended ? 0 : 1));
  EXPECT_THAT(later->answer.body, Not(HasSubstr("longer than"))) << "its class may wait";
  DecisionLog::Entry entry = front->decisions.last()[1];
  EXPECT_EQ(entry.decision.refused, Refusal::wait_too_long);
  EXPECT_EQ(entry.request_id, "req-1");
  EXPECT_EQ(entry.model, "hash");

  model->waits.forget();
  run_to_end();
  expect_idle();
}

TEST_F(IntakeTest, RefusesWhomNoLaneCanServe) {
  auto client = take(body("hello"));

  EXPECT_EQ(client->answer.status, 503);
  DecisionLog::Entry entry = front->decisions.last().at(0);
  EXPECT_EQ(entry.decision.refused, Refusal::no_lane);
  EXPECT_EQ(entry.model, "hash");
  EXPECT_THAT(client->answer.body, HasSubstr(entry.decision.message));
  EXPECT_GT(entry.decision.retry_after, std::chrono::seconds(0));
  expect_idle();
}

TEST_F(IntakeTest, TokenizesALongPromptInTheBackground) {
  open();
  std::string prompt(20'000, 'x');

  auto client = take(body(prompt));
  EXPECT_EQ(front->counters.sessions, 0);
  EXPECT_EQ(front->counters.reading, 1) << "a server that shuts down waits for it";
  ASSERT_EQ(pool.waiting.size(), 1U);
  EXPECT_EQ(pool.run(), WorkPool::Length::brief);
  EXPECT_EQ(front->counters.reading, 0);
  EXPECT_EQ(front->counters.sessions, 1);
  settle();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr("\"prompt_tokens\":20000"));
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text(prompt, 3)));
}

TEST_F(IntakeTest, ParsesALongBodyInTheBackgroundAndStaysThere) {
  open();
  std::string prompt(300'000, 'x');

  auto client = take(body(prompt));
  ASSERT_EQ(pool.waiting.size(), 1U);
  EXPECT_EQ(pool.run(), WorkPool::Length::lengthy);
  EXPECT_TRUE(pool.waiting.empty()) << "one piece of work, not two";
  settle();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr("\"prompt_tokens\":300000"));
}

TEST_F(IntakeTest, AnswersErrorsFromTheBackground) {
  open();
  auto broken = take(std::string(300'000, 'x'));
  auto wrong = take(body(std::string(20'000, 'x'), R"(,"truncate_prompt_tokens":0)"));
  auto large = take(body(std::string(30'000, 'x')));
  model->card.context = 1000;
  while (!pool.waiting.empty())
    pool.run();

  EXPECT_EQ(broken->answer.status, 400);
  EXPECT_THAT(broken->answer.body, HasSubstr("invalid_json"));
  EXPECT_EQ(wrong->answer.status, 400);
  EXPECT_EQ(large->answer.status, 400);
  EXPECT_THAT(large->answer.body, HasSubstr("context_length_exceeded"));
}

TEST_F(IntakeTest, RefusesWhatThePoolCannotTake) {
  open();
  pool.full = true;

  auto client = take(body(std::string(20'000, 'x')));

  EXPECT_EQ(client->answer.status, 429);
  auto names_retry = [](const auto& header) { return header.first == "Retry-After"; };
  EXPECT_TRUE(
      std::any_of(client->answer.headers.begin(), client->answer.headers.end(), names_retry));
  EXPECT_EQ(front->decisions.last().at(0).decision.refused, Refusal::queue_full);
  auto small = take(body("still served"));
  run_to_end();
  EXPECT_EQ(small->answer.status, 200);
}

TEST_F(IntakeTest, ForgetsAClientThatLeftMeanwhile) {
  open();
  auto client = take(body(std::string(20'000, 'x')));

  client->vanish();
  pool.run();
  settle();

  EXPECT_FALSE(client->ended);
  EXPECT_EQ(front->counters.sessions, 0);
  expect_idle();
}

TEST_F(IntakeTest, CountsTheDeadlineFromTheArrival) {
  open();
  auto client = take(body(std::string(20'000, 'x')));

  advance(front->options.request_timeout + std::chrono::seconds(1));
  pool.run();
  settle();
  advance(std::chrono::seconds(1));

  EXPECT_EQ(client->answer.status, 504);
}

TEST_F(IntakeTest, ChargesTheBodyUntilItIsTokensAndThenThose) {
  auto budget = ByteBudget::create({});
  auto bodies = make_body_memory(budget, front->clock);
  open();
  memory = bodies->open("client", 0, [] {});
  std::string prompt(20'000, 'x');

  auto client = take(body(prompt, R"(,"n":2)"));
  memory.reset();
  EXPECT_GE(budget->used(), 20'000U);
  pool.run();
  settle();

  EXPECT_EQ(budget->used(), 2 * prompt.size() * sizeof(TokenId));
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
  EXPECT_EQ(budget->used(), 0U);
}

TEST_F(IntakeTest, ChargesNothingForARequestThatStaysSmall) {
  auto budget = ByteBudget::create({.total = 1'000});  // not even room for one of these
  auto bodies = make_body_memory(budget, front->clock);
  open();
  memory = bodies->open("client", 4'096, {});
  ASSERT_TRUE(memory);
  EXPECT_TRUE(memory->resize(4'096));

  auto client = take(body(std::string(1'000, 'x')));
  memory.reset();
  settle();

  EXPECT_EQ(budget->used(), 0U);
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
}

TEST_F(IntakeTest, ChargesASmallBodyWhoseTokensAreMany) {
  auto budget = ByteBudget::create({});
  auto bodies = make_body_memory(budget, front->clock);
  open();
  memory = bodies->open("client", 1'200, {});
  std::string prompt(1'000, 'x');

  auto client = take(body(prompt, R"(,"n":16)"));
  memory.reset();
  settle();

  EXPECT_EQ(budget->used(), 16 * prompt.size() * sizeof(TokenId));
  run_to_end();
  EXPECT_EQ(client->answer.status, 200);
  EXPECT_EQ(budget->used(), 0U);
}

TEST_F(IntakeTest, RefusesPromptsWhoseTokensFindNoRoom) {
  auto budget = ByteBudget::create({.total = 100'000});
  auto bodies = make_body_memory(budget, front->clock);
  open();
  memory = bodies->open("client", 0, [] {});

  auto client = take(body(std::string(20'000, 'x'), R"(,"n":2)"));
  memory.reset();
  pool.run();
  settle();

  EXPECT_EQ(client->answer.status, 429);
  EXPECT_EQ(budget->used(), 0U);
  EXPECT_EQ(front->decisions.last().at(0).decision.refused, Refusal::memory);
  expect_idle();
}

TEST_F(IntakeTest, AnswersAChatByTheModelsTemplate) {
  open();
  model->card.chat_template = load_model_card("hash")->chat_template;
  auto client =
      take(R"({"messages":[{"role":"user","content":"hello"}],"max_tokens":3,"ignore_eos":true})",
           Route::chat_completions);
  run_to_end();

  EXPECT_EQ(client->answer.status, 200);
  EXPECT_THAT(client->answer.body, HasSubstr(R"("object":"chat.completion")"));
}

TEST_F(IntakeTest, ExecutesOnceWhatIsSentManyTimesUnderOneKey) {
  open();
  std::vector<std::shared_ptr<FakeExchange>> all;
  for (int i = 0; i < 10; ++i)
    all.push_back(take_keyed(body("hello")));
  EXPECT_EQ(front->counters.sessions, 1);
  run_to_end();

  EXPECT_EQ(front->counters.completed, 1U);
  EXPECT_THAT(all[0]->answer.body, HasSubstr(hash_text("hello", 3)));
  EXPECT_EQ(field(*all[0], "Idempotent-Replayed"), "");
  for (int i = 1; i < 10; ++i) {
    EXPECT_EQ(all[i]->answer.status, 200);
    EXPECT_EQ(all[i]->answer.body, all[0]->answer.body);
    EXPECT_EQ(field(*all[i], "X-Request-Id"), "req-" + std::to_string(i + 1));
    EXPECT_EQ(field(*all[i], "Idempotent-Replayed"), "true");
  }
  expect_idle();
}

TEST_F(IntakeTest, GoesOnForThoseWhoJoinedWhenTheFirstClientLeaves) {
  open();
  auto first = take_keyed(body("hello"));
  auto second = take_keyed(body("hello"));

  first->vanish();
  settle();
  EXPECT_EQ(front->counters.sessions, 1);
  run_to_end();

  EXPECT_THAT(second->answer.body, HasSubstr(hash_text("hello", 3)));
  EXPECT_EQ(front->counters.cancelled, 0U);
  expect_idle();
}

TEST_F(IntakeTest, EndsASharedSessionWithItsLastClient) {
  open();
  auto first = take_keyed(body("hello"));
  auto second = take_keyed(body("hello"));

  second->vanish();
  first->vanish();
  settle();

  EXPECT_EQ(front->counters.cancelled, 1U);
  EXPECT_EQ(front->counters.sessions, 0);
  expect_idle();
}

TEST_F(IntakeTest, ReplaysAnAnswerThatWasGiven) {
  open();
  auto first = take_keyed(body("hello"));
  run_to_end();

  auto again = take_keyed(body("hello"));

  EXPECT_EQ(again->answer.body, first->answer.body);
  EXPECT_EQ(field(*again, "Idempotent-Replayed"), "true");
  EXPECT_EQ(front->counters.completed, 1U);
  advance(std::chrono::minutes(10));
  auto late = take_keyed(body("hello"));
  EXPECT_FALSE(late->ended) << "it is executed";
  run_to_end();
  EXPECT_EQ(front->counters.completed, 2U);
}

TEST_F(IntakeTest, RefusesAnotherBodyUnderTheSameKeyForGood) {
  open();
  auto first = take_keyed(body("hello"));
  auto other = take_keyed(body("good bye"));

  EXPECT_EQ(other->answer.status, 409);
  EXPECT_THAT(other->answer.body, HasSubstr("\"code\":\"conflict\""));
  EXPECT_EQ(field(*other, "x-should-retry"), "false");
  run_to_end();
  EXPECT_EQ(first->answer.status, 200);
}

TEST_F(IntakeTest, RefusesASecondClientOfAStreamForAWhile) {
  open();
  const std::string streamed = body("hello", R"(,"stream":true)");
  auto first = take_keyed(streamed);
  auto second = take_keyed(streamed);

  EXPECT_EQ(second->answer.status, 409);
  EXPECT_EQ(field(*second, "Retry-After"), "1");
  EXPECT_EQ(field(*second, "x-should-retry"), "");
  run_to_end();
  EXPECT_TRUE(first->ended);
  auto third = take_keyed(streamed);
  run_to_end();
  EXPECT_EQ(third->pieces.size(), first->pieces.size()) << "a stream is not kept";
}

TEST_F(IntakeTest, TellsWhoJoinedAStreamThatWasReadLater) {
  open();
  const std::string streamed = body(std::string(300'000, 'x'), R"(,"stream":true)");
  auto first = take_keyed(streamed);
  auto second = take_keyed(streamed);
  EXPECT_FALSE(second->ended);
  ASSERT_EQ(pool.waiting.size(), 1U) << "the second one is not parsed";

  pool.run();
  settle();

  EXPECT_EQ(second->answer.status, 409);
  first->vanish();
}

TEST_F(IntakeTest, ExecutesARetryOfWhatWasRefused) {
  auto early = take_keyed(body("hello"));  // no lane is ready so far
  EXPECT_EQ(early->answer.status, 503);
  open();

  auto again = take_keyed(body("hello"));
  run_to_end();

  EXPECT_EQ(again->answer.status, 200);
  EXPECT_EQ(field(*again, "Idempotent-Replayed"), "");
}

TEST_F(IntakeTest, LetsACorrectedBodyUseItsKey) {
  open();
  auto wrong = take_keyed("{");
  EXPECT_EQ(wrong->answer.status, 400);

  auto right = take_keyed(body("hello"));
  run_to_end();

  EXPECT_EQ(right->answer.status, 200);
}

TEST_F(IntakeTest, TokenizesAndBackWithoutALane) {
  auto there = take(R"({"prompt":"ab"})", Route::tokenize);
  auto back = take(R"({"tokens":[97,98]})", Route::detokenize);
  auto long_one = take(R"({"prompt":")" + std::string(20'000, 'x') + "\"}", Route::tokenize);

  EXPECT_THAT(there->answer.body, HasSubstr(R"("tokens":[97,98],"count":2)"));
  EXPECT_EQ(back->answer.body, R"({"prompt":"ab"})");
  EXPECT_FALSE(long_one->ended);  // it waits for the pool
}

TEST_F(IntakeTest, WritesNoTextOfMoreTokensThanTheContextHas) {
  auto tokens = [](std::size_t count) {
    std::string body = R"({"tokens":[97)";
    for (std::size_t i = 1; i < count; ++i)
      body += ",97";
    return body + "]}";
  };
  model->card.context = 10'000;

  auto many = take(tokens(10'000), Route::detokenize);
  auto too_many = take(tokens(10'001), Route::detokenize);

  EXPECT_FALSE(many->ended) << "not on the loop";
  pool.run();
  EXPECT_THAT(many->answer.body, HasSubstr(std::string(10'000, 'a')));
  EXPECT_EQ(too_many->answer.status, 400);
  EXPECT_THAT(too_many->answer.body, HasSubstr("10001 tokens"));
}

}  // namespace
}  // namespace sluice::testing
