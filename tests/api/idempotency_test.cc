// Who executes, who joins, who is refused, and what is kept for how long.
#include "api/idempotency.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using Entry = IdempotencyTable::Entry;

class Listener final : public IdempotencyTable::Waiter {
 public:
  void answer(const HttpResponse& response) override { heard += response.body; }
  void refuse_stream() override { heard += "streams"; }

  std::string heard;
};

HttpResponse answer(std::string body, int status = 200) {
  HttpResponse response;
  response.status = status;
  response.headers.emplace_back("X-Request-Id", "req-1");
  response.body = std::move(body);
  return response;
}

class IdempotencyTest : public ::testing::Test {
 protected:
  IdempotencyTable::Entered enter(const std::string& name, const std::string& body = "body") {
    listener = std::make_shared<Listener>();
    return table->enter(name, hash128(body), listener, now);
  }
  /// A request is executed and answered.
  void execute(const std::string& name, const HttpResponse& response = answer("text")) {
    auto first = enter(name);
    ASSERT_EQ(first.entry, Entry::first);
    first.execution->answered(response, now);
  }
  IdempotencyTable::Stats stats() { return table->stats(now); }

  std::shared_ptr<IdempotencyTable> table = IdempotencyTable::create();
  TimePoint now{std::chrono::hours(1)};
  std::shared_ptr<Listener> listener;  ///< of the last who entered
};

TEST_F(IdempotencyTest, GivesTheAnswerToAllWhoJoined) {
  auto first = enter("k");
  auto second = enter("k");
  auto second_hears = listener;
  auto third = enter("k");

  EXPECT_EQ(second.entry, Entry::joined);
  EXPECT_EQ(third.entry, Entry::joined);
  first.execution->answered(answer("text"), now);

  EXPECT_EQ(second_hears->heard, "text");
  EXPECT_EQ(listener->heard, "text");
}

TEST_F(IdempotencyTest, KnowsNamesApart) {
  EXPECT_EQ(enter("a").entry, Entry::first);
  EXPECT_EQ(enter("b").entry, Entry::first);
  EXPECT_TRUE(table->knows("a", now));
  EXPECT_FALSE(table->knows("c", now));
}

TEST_F(IdempotencyTest, RefusesAnotherBodyWhileItRunsAndWhileItIsKept) {
  auto first = enter("k", "one");

  EXPECT_EQ(enter("k", "two").entry, Entry::different);
  first.execution->answered(answer("text"), now);
  EXPECT_EQ(enter("k", "two").entry, Entry::different);
}

TEST_F(IdempotencyTest, ReplaysAnAnswerUntilItsTimeIsUp) {
  execute("k");

  now += std::chrono::minutes(10) - std::chrono::milliseconds(1);
  auto again = enter("k");
  ASSERT_EQ(again.entry, Entry::replayed);
  EXPECT_EQ(again.answer->body, "text");
  now += std::chrono::milliseconds(1);
  EXPECT_FALSE(table->knows("k", now));
  EXPECT_EQ(stats().bytes, 0U);
  EXPECT_EQ(enter("k", "two").entry, Entry::first);
}

TEST_F(IdempotencyTest, KeepsOnlyWhatAnExecutionHasMade) {
  for (int status : {400, 404, 409, 429, 500, 503, 504}) {
    execute("k", answer("text", status));
    EXPECT_FALSE(table->knows("k", now)) << status;
  }
  EXPECT_EQ(stats().answers, 0U);
}

TEST_F(IdempotencyTest, GivesErrorsToThoseWhoWaitNow) {
  auto first = enter("k");
  enter("k");

  first.execution->answered(answer("overloaded", 429), now);

  EXPECT_EQ(listener->heard, "overloaded");
}

TEST_F(IdempotencyTest, RefusesWhoComesWhileAStreamRuns) {
  auto first = enter("k");
  enter("k");
  auto early = listener;

  first.execution->streams();

  EXPECT_EQ(early->heard, "streams");
  EXPECT_EQ(enter("k").entry, Entry::streams);
  EXPECT_EQ(enter("k", "two").entry, Entry::different);
  first.execution->ended();
  EXPECT_EQ(enter("k").entry, Entry::first) << "a stream is not kept";
}

TEST_F(IdempotencyTest, CancelsWhenTheLastHasLeft) {
  auto first = enter("k");
  enter("k");
  auto second = listener;
  enter("k");
  int cancelled = 0;
  first.execution->on_cancelled([&cancelled] { ++cancelled; });

  first.execution->first_left();
  first.execution->left(second.get());
  EXPECT_EQ(cancelled, 0);
  EXPECT_EQ(second.use_count(), 1) << "who has left is let go";
  first.execution->left(listener.get());

  EXPECT_EQ(cancelled, 1);
  EXPECT_EQ(enter("k").entry, Entry::first) << "what was cancelled is no answer";
}

TEST_F(IdempotencyTest, TellsOfACancellationThatHasBeen) {
  auto first = enter("k");
  first.execution->first_left();
  bool cancelled = false;

  first.execution->on_cancelled([&cancelled] { cancelled = true; });

  EXPECT_TRUE(cancelled);
}

TEST_F(IdempotencyTest, CancelsNothingThatHasEnded) {
  auto first = enter("k");
  bool cancelled = false;
  first.execution->on_cancelled([&cancelled] { cancelled = true; });

  first.execution->answered(answer("text"), now);
  first.execution->first_left();

  EXPECT_FALSE(cancelled);
  EXPECT_EQ(enter("k").entry, Entry::replayed);
}

TEST_F(IdempotencyTest, CancelsAStreamThatOnlyOthersWaitedFor) {
  auto first = enter("k");
  enter("k");
  bool cancelled = false;
  first.execution->on_cancelled([&cancelled] { cancelled = true; });

  first.execution->first_left();
  first.execution->streams();

  EXPECT_TRUE(cancelled);
  EXPECT_EQ(listener->heard, "streams");
}

TEST_F(IdempotencyTest, ChangesNothingForTheNextWhenALateOneIsHeard) {
  auto old = enter("k");
  old.execution->first_left();
  auto next = enter("k");

  old.execution->answered(answer("late"), now);
  old.execution->ended();

  EXPECT_EQ(enter("k").entry, Entry::joined);
  next.execution->answered(answer("text"), now);
  EXPECT_EQ(listener->heard, "text");
}

TEST_F(IdempotencyTest, LetsGoOfThoseWhoJoinedWhatWillNotBeAnswered) {
  auto first = enter("k");
  enter("k");

  first.execution->ended();

  EXPECT_EQ(listener.use_count(), 1);
  EXPECT_EQ(listener->heard, "");
}

TEST_F(IdempotencyTest, ForgetsTheOldestWhenMemoryIsUsedUp) {
  table = IdempotencyTable::create({.bytes_max = 64'000});
  for (int i = 0; i < 100; ++i)
    execute("k" + std::to_string(i), answer(std::string(1'000, 'x')));

  EXPECT_LE(stats().bytes, 64'000U);
  EXPECT_GT(stats().answers, 30U);
  EXPECT_FALSE(table->knows("k0", now));
  EXPECT_TRUE(table->knows("k99", now));
}

TEST_F(IdempotencyTest, KeepsNoAnswerThatWouldDriveMostOthersOut) {
  table = IdempotencyTable::create({.bytes_max = 64'000});
  execute("small");
  execute("large", answer(std::string(4'000, 'x')));

  EXPECT_TRUE(table->knows("small", now));
  EXPECT_FALSE(table->knows("large", now));
}

TEST_F(IdempotencyTest, KeepsNothingWithoutMemoryOrTime) {
  table = IdempotencyTable::create({.bytes_max = 0});
  execute("k");
  EXPECT_FALSE(table->knows("k", now));
  table = IdempotencyTable::create({.ttl = Duration::zero()});
  execute("k");
  EXPECT_FALSE(table->knows("k", now));
}

TEST_F(IdempotencyTest, StaysBoundedUnderAFloodOfKeys) {
  table = IdempotencyTable::create({.answers_max = 1'000});
  for (int i = 0; i < 100'000; ++i)
    execute(std::string(kIdempotencyKeyMax - 10, 'k') + std::to_string(i));

  EXPECT_EQ(stats().answers, 1'000U);
  EXPECT_EQ(stats().running, 0U);
  EXPECT_LT(stats().bytes, 1'000'000U);
}

TEST_F(IdempotencyTest, GivesBackAllMemoryInTime) {
  for (int i = 0; i < 1'000; ++i)
    execute("k" + std::to_string(i), answer(std::string(static_cast<std::size_t>(i), 'x')));
  EXPECT_EQ(stats().answers, 1'000U);

  now += std::chrono::minutes(10);

  EXPECT_EQ(stats().answers, 0U);
  EXPECT_EQ(stats().bytes, 0U);
}

/// Threads that enter, leave and answer at once: each waiter hears one answer or has left, and
/// nothing stays behind.
TEST_F(IdempotencyTest, HoldsWhenManyThreadsShareIt) {
  class Counter final : public IdempotencyTable::Waiter {
   public:
    explicit Counter(std::atomic<int>& heard) : heard_(heard) {}
    void answer(const HttpResponse&) override { ++heard_; }
    void refuse_stream() override { ++heard_; }

   private:
    std::atomic<int>& heard_;
  };
  table = IdempotencyTable::create({.bytes_max = 0});
  std::atomic<int> heard{0};
  std::atomic<int> joined{0};
  std::atomic<int> left{0};
  std::atomic<int> cancelled{0};
  auto client = [&](int seed) {
    for (int i = 0; i < 5'000; ++i) {
      auto waiter = std::make_shared<Counter>(heard);
      auto entered = table->enter("k" + std::to_string(i % 3), {}, waiter, now);
      if (entered.entry == Entry::first) {
        entered.execution->on_cancelled([&cancelled] { ++cancelled; });
        if ((i + seed) % 5 == 0) entered.execution->first_left();
        entered.execution->answered(answer("text"), now);
      } else if (entered.entry == Entry::joined) {
        ++joined;
        if (i % 7 == 0) {
          entered.execution->left(waiter.get());
          ++left;
        }
      }
    }
  };
  std::vector<std::thread> threads;
  for (int seed = 0; seed < 4; ++seed)
    threads.emplace_back(client, seed);
  for (std::thread& thread : threads)
    thread.join();

  EXPECT_LE(heard, joined);
  EXPECT_GE(heard, joined - left) << "who stays hears";
  EXPECT_GT(cancelled, 0);
  EXPECT_EQ(stats().running, 0U);
}

// --- the key

HttpRequest keyed(std::vector<std::string> keys) {
  HttpRequest request;
  request.path = "/v1/completions";
  request.peer = "192.0.2.1:4711";
  for (std::string& key : keys)
    request.headers.emplace_back("idempotency-key", std::move(key));
  return request;
}

std::string problem_of(const HttpRequest& request) {
  auto key = read_idempotency_key(request);
  auto* error = std::get_if<ApiError>(&key);
  return error ? std::to_string(error->status) + " " + error->message : "";
}

TEST(IdempotencyKey, IsReadAsItStands) {
  auto key = read_idempotency_key(keyed({R"("a b~")"}));

  EXPECT_EQ(std::get<0>(key), R"("a b~")");
  EXPECT_EQ(std::get<0>(read_idempotency_key(keyed({}))), std::nullopt);
  EXPECT_EQ(problem_of(keyed({std::string(128, 'k')})), "");
}

TEST(IdempotencyKey, IsRefusedWithTheNumbers) {
  EXPECT_THAT(problem_of(keyed({std::string(129, 'k')})), HasSubstr("128 printable"));
  EXPECT_THAT(problem_of(keyed({std::string(129, 'k')})), HasSubstr("got 129 bytes"));
  EXPECT_THAT(problem_of(keyed({""})), HasSubstr("got 0 bytes"));
  EXPECT_THAT(problem_of(keyed({"ab\tc"})), HasSubstr("byte 3 of 4"));
  EXPECT_THAT(problem_of(keyed({"caf\xC3\xA9"})), HasSubstr("byte 4 of 5"));
  EXPECT_THAT(problem_of(keyed({"\x7F"})), HasSubstr("byte 1 of 1"));
}

TEST(IdempotencyKey, BelongsToATenantOrAnAddress) {
  auto tenant = [](std::uint32_t number) {
    auto made = std::make_shared<Tenant>();
    made->number = number;
    return made;
  };
  Client shop{"web", tenant(1)};
  Client other_key{"app", tenant(1)};
  Client other{"x", tenant(2)};
  Client nobody{"anonymous", tenant(0)};
  HttpRequest here = keyed({});
  HttpRequest again = keyed({});
  again.peer = "192.0.2.1:4712";
  HttpRequest there = keyed({});
  there.peer = "192.0.2.2:4711";
  HttpRequest chat = keyed({});
  chat.path = "/v1/chat/completions";

  EXPECT_EQ(idempotency_name(shop, here, "k"), idempotency_name(other_key, there, "k"));
  EXPECT_NE(idempotency_name(shop, here, "k"), idempotency_name(other, here, "k"));
  EXPECT_NE(idempotency_name(shop, here, "k"), idempotency_name(shop, chat, "k"));
  EXPECT_NE(idempotency_name(shop, here, "k"), idempotency_name(shop, here, "K"));
  EXPECT_EQ(idempotency_name(nobody, here, "k"), idempotency_name(nobody, again, "k"));
  EXPECT_NE(idempotency_name(nobody, here, "k"), idempotency_name(nobody, there, "k"));
}

TEST(ReplayedResponse, HasARequestIdOfItsOwn) {
  HttpResponse replayed = replayed_response(answer("text"), "req-2");

  EXPECT_EQ(replayed.body, "text");
  EXPECT_EQ(replayed.headers,
            (HttpHeaders{{"X-Request-Id", "req-2"}, {"Idempotent-Replayed", "true"}}));
}

}  // namespace
}  // namespace sluice
