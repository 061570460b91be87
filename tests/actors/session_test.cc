// What a client gets, while workers live and die.
#include "actors/request_messages.h"
#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace sluice::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class SessionTest : public FrontWorld {};

class TwoLanes : public FrontWorld {
 protected:
  TwoLanes() : FrontWorld(2, many_restarts()) {}
  static Front::Options many_restarts() {
    Front::Options options;
    options.stream_buffer = 8192;
    options.lane_restarts_max = 1000;
    options.request_timeout = std::chrono::hours(24);  // the random schedule moves time as it likes
    return options;
  }
};

/// The concatenated text deltas of a stream's first choice.
std::string streamed_text(const std::string& body) {
  std::string text;
  const std::string key = "\"index\":0,\"text\":\"";
  for (std::size_t at = body.find(key); at != std::string::npos; at = body.find(key, at)) {
    at += key.size();
    text += body.substr(at, body.find('"', at) - at);
  }
  return text;
}

TEST_F(SessionTest, AnswersWithTheModelsText) {
  bring_up();

  auto client = ask(completion("hello", 20));
  run_to_end();

  ASSERT_TRUE(client->ended);
  EXPECT_EQ(client->answer.status, 200);
  EXPECT_THAT(client->answer.body, HasSubstr("\"text\":\"" + hash_text("hello", 20) + "\""));
  EXPECT_THAT(client->answer.body, HasSubstr("\"finish_reason\":\"length\""));
  EXPECT_THAT(client->answer.body,
              HasSubstr("\"prompt_tokens\":5,\"completion_tokens\":20,\"total_tokens\":25"));
  expect_idle();
}

TEST_F(SessionTest, StreamsTheSameTextPieceByPiece) {
  bring_up();
  auto request = completion("hello", 20);
  request.stream = true;

  auto client = ask(request);
  run_to_end();

  EXPECT_EQ(streamed_text(client->answer.body), hash_text("hello", 20));
  EXPECT_THAT(client->answer.body, EndsWith("data: [DONE]\n\n"));
  EXPECT_EQ(client->pieces.size(), 21U) << "one event a token, and the end";
  expect_idle();
}

TEST_F(SessionTest, HoldsTheStatusBackUntilTheFirstToken) {
  bring_up();
  auto request = completion("hello", 2);
  request.stream = true;

  auto client = ask(request);
  EXPECT_FALSE(client->streaming);
  launcher->alive()[0]->step();
  settle();

  EXPECT_TRUE(client->streaming);
}

TEST_F(SessionTest, RunsEveryChoiceOfEveryPrompt) {
  bring_up();
  auto request = completion("a", 5);
  request.prompts = {std::string("one"), std::string("two")};
  request.n = 2;

  auto client = ask(request);
  run_to_end();

  for (int i = 0; i < 4; ++i)
    EXPECT_THAT(client->answer.body, HasSubstr("\"index\":" + std::to_string(i)));
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("one", 5)));
  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("two", 5)));
  EXPECT_THAT(client->answer.body, HasSubstr("\"prompt_tokens\":6,\"completion_tokens\":20"));
  expect_idle();
}

TEST_F(SessionTest, WaitsForALaneThatIsStillLoading) {
  auto client = ask(completion("early", 3));
  EXPECT_FALSE(client->ended);

  bring_up();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr(hash_text("early", 3)));
}

TEST_F(SessionTest, RefusesAPromptOverTheContextWithTheWordsClientsKnow) {
  bring_up();
  model->card.context = 16;

  auto client = ask(completion("0123456789", 7));

  EXPECT_EQ(client->answer.status, 400);
  EXPECT_THAT(
      client->answer.body,
      HasSubstr(
          "This model's maximum context length is 16 tokens. However, you requested 17 tokens (10 "
          "in the "
          "prompt, 7 in the completion). Please reduce the length of the prompt or completion."));
  EXPECT_THAT(client->answer.body, HasSubstr("\"code\":\"context_length_exceeded\""));
  expect_idle();
}

TEST_F(SessionTest, KnowsThatTheKvCacheMayHoldLessThanTheContext) {
  advance(std::chrono::seconds(1));
  launcher->alive()[0]->hello();
  launcher->alive()[0]->ready(8, 2);
  settle();

  auto client = ask(completion("0123456789", 23));

  EXPECT_EQ(client->answer.status, 400);
  EXPECT_THAT(client->answer.body, HasSubstr("This model's maximum context length is 32 tokens."));
}

TEST_F(SessionTest, CutsTheDefaultLengthToTheRoomThatIsLeft) {
  bring_up();
  model->card.context = 16;
  auto request = completion("0123456789", 1);
  request.max_tokens.reset();

  auto client = ask(request);
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr("\"completion_tokens\":6"));
}

TEST_F(SessionTest, RefusesTokensOutsideTheVocabulary) {
  bring_up();
  auto request = completion("", 1);
  request.prompts = {std::vector<TokenId>{1, 257}};

  auto client = ask(request);

  EXPECT_EQ(client->answer.status, 400);
  EXPECT_THAT(client->answer.body,
              HasSubstr("Token id 257 at position 1 is outside the vocabulary [0, 257)."));
}

TEST_F(SessionTest, EndsAtAStopStringAndCancelsTheRest) {
  bring_up();
  std::string whole = hash_text("stop here", 40);
  auto request = completion("stop here", 40);
  request.stop = {whole.substr(10, 4)};

  auto client = ask(request);
  run_to_end();

  EXPECT_THAT(client->answer.body,
              HasSubstr("\"text\":\"" + whole.substr(0, whole.find(request.stop[0])) + "\""));
  EXPECT_THAT(client->answer.body,
              HasSubstr("\"finish_reason\":\"stop\",\"stop_reason\":\"" + request.stop[0] + "\""));
  launcher->alive()[0]->take_commands();
  EXPECT_EQ(launcher->alive()[0]->cancels.size(), 1U);
  expect_idle();
}

TEST_F(SessionTest, CancelsTheWorkOfAClientThatIsGone) {
  bring_up();
  auto request = completion("hello", 1000);
  request.stream = true;
  auto client = ask(request);
  for (int i = 0; i < 5; ++i)
    launcher->alive()[0]->step();
  settle();

  client->vanish();
  settle();

  expect_idle();
  EXPECT_FALSE(client->ended);
}

TEST_F(SessionTest, CancelsWorkThatStillWaitsInTheQueue) {
  auto client = ask(completion("never", 10));
  EXPECT_EQ(model->queue.leases->size(), 1U);

  client->vanish();
  settle();

  expect_idle();
}

TEST_F(SessionTest, TellsAClientWhoseTimeRanOutInTheQueue) {
  auto request = completion("late", 10);
  request.timeout = std::chrono::seconds(2);
  request.client_deadline = true;
  auto client = ask(request);

  advance(std::chrono::seconds(3));

  EXPECT_EQ(client->answer.status, 504);
  EXPECT_THAT(client->answer.body, HasSubstr("\"code\":\"deadline_exceeded\""));
  EXPECT_THAT(client->answer.body,
              HasSubstr("waiting, 2 s after the request came, as the client asked."));
  EXPECT_THAT(client->answer.body, HasSubstr("\"param\":\"queue\""));
  expect_idle();
}

TEST_F(SessionTest, GivesWhatThereIsAtTheDeadlineIfTheClientWantsIt) {
  bring_up();
  auto request = completion("partial", 100);
  request.timeout = std::chrono::seconds(2);
  request.partial_ok = true;
  auto client = ask(request);
  for (int i = 0; i < 7; ++i)
    launcher->alive()[0]->step();
  settle();

  advance(std::chrono::seconds(3));

  EXPECT_EQ(client->answer.status, 200);
  EXPECT_THAT(client->answer.body, HasSubstr("\"text\":\"" + hash_text("partial", 7) + "\""));
  EXPECT_THAT(client->answer.body, HasSubstr("\"stop_reason\":\"deadline\""));
  expect_idle();
}

TEST_F(SessionTest, SendsACommentToASilentStreamAndNotToABusyOne) {
  bring_up();
  auto request = completion("slow", 1000);
  request.stream = true;
  auto client = ask(request);
  launcher->alive()[0]->step();
  settle();

  advance(std::chrono::seconds(10));
  launcher->alive()[0]->step();
  settle();
  advance(std::chrono::seconds(10));
  EXPECT_THAT(client->answer.body, Not(HasSubstr("keep-alive")));
  advance(std::chrono::seconds(7));

  EXPECT_THAT(client->answer.body, HasSubstr(": keep-alive\n\n"));
}

TEST_F(SessionTest, PausesAStreamWhoseReaderIsSlow) {
  bring_up();
  auto request = completion("slow", 10);
  request.stream = true;
  auto client = ask(request);
  launcher->alive()[0]->step();
  settle();
  client->unsent = front->options.stream_buffer + 1;

  for (int i = 0; i < 4; ++i)
    launcher->alive()[0]->step();
  settle();
  EXPECT_EQ(client->pieces.size(), 1U);
  client->become_writable();
  settle();

  EXPECT_EQ(client->pieces.size(), 2U);
  EXPECT_EQ(streamed_text(client->answer.body), hash_text("slow", 5));
}

class SlowReader : public FrontWorld {
 protected:
  SlowReader() : FrontWorld(1, small_buffers()) {}
  static Front::Options small_buffers() {
    Front::Options options;
    options.stream_buffer = 4096;
    return options;
  }
  /// A stream whose client has stopped reading after its first event.
  std::shared_ptr<FakeExchange> ask_and_stop(const std::string& prompt,
                                             std::uint32_t tokens,
                                             std::uint32_t n = 1) {
    auto request = completion(prompt, tokens);
    request.stream = true;
    request.n = n;
    auto client = ask(request);
    launcher->alive()[0]->step();
    settle();
    client->unsent = front->options.stream_buffer + 1;
    return client;
  }
  /// The client reads what has come, again and again.
  void read_to_end(FakeExchange& client) {
    for (int i = 0; i < 100 && !client.ended; ++i) {
      client.become_writable();
      settle();
      client.unsent = front->options.stream_buffer + 1;
      run_to_end();
    }
  }
};

TEST_F(SlowReader, PausesGenerationAndLetsItGoOnByteForByte) {
  bring_up();
  auto client = ask_and_stop("slow", 200);

  run_to_end();
  std::size_t given = launcher->alive()[0]->tokens_given;
  EXPECT_LE(given, 1 + 4096 / 256) << "the buffer once more, and no token beyond";
  EXPECT_EQ(launcher->alive()[0]->paused(), 1U);
  read_to_end(*client);

  EXPECT_TRUE(client->ended);
  EXPECT_EQ(streamed_text(client->answer.body), hash_text("slow", 200));
  expect_idle();
}

TEST_F(SlowReader, LeavesItsPlaceToOthersAndComesBackWhenItReads) {
  bring_up();
  std::vector<std::shared_ptr<FakeExchange>> slow;
  for (int i = 0; i < 8; ++i)  // as many as the lane takes
    slow.push_back(ask_and_stop("slow", 100));
  run_to_end();
  advance(std::chrono::seconds(10));
  EXPECT_EQ(launcher->alive()[0]->paused(), 8U) << "nobody waits for their places";

  auto other = ask(completion("other", 5));
  advance(std::chrono::seconds(3));
  run_to_end();
  EXPECT_THAT(other->answer.body, HasSubstr(hash_text("other", 5)));
  EXPECT_EQ(launcher->alive()[0]->running(), 0U);

  for (const auto& client : slow) {
    read_to_end(*client);
    EXPECT_TRUE(client->ended);
    EXPECT_EQ(streamed_text(client->answer.body), hash_text("slow", 100));
  }
  expect_idle();
}

TEST_F(SlowReader, IsNoReasonToRestartAWorkerThatRests) {
  bring_up();
  auto client = ask_and_stop("slow", 200);
  run_to_end();

  advance(std::chrono::seconds(20));

  EXPECT_EQ(launcher->workers.size(), 1U);
  EXPECT_FALSE(client->ended);
  client->become_writable();
  settle();
  run_to_end();
  EXPECT_EQ(streamed_text(client->answer.body), hash_text("slow", 200));
}

TEST_F(SlowReader, StaysPausedWhenItsWorkerDies) {
  bring_up();
  auto client = ask_and_stop("slow", 200);
  run_to_end();
  std::size_t given = launcher->alive()[0]->tokens_given;

  launcher->alive()[0]->die();
  settle();
  bring_up();
  run_to_end();

  ASSERT_EQ(launcher->workers.size(), 2U);
  ASSERT_EQ(launcher->workers[1]->starts.size(), 1U);
  EXPECT_EQ(launcher->workers[1]->starts[0].emitted.size(), given);
  EXPECT_EQ(launcher->workers[1]->starts[0].granted, given);
  EXPECT_EQ(launcher->workers[1]->tokens_given, 0U);
  client->become_writable();
  settle();
  run_to_end();
  EXPECT_EQ(streamed_text(client->answer.body), hash_text("slow", 200));
  expect_idle();
}

TEST_F(SlowReader, IsGrantedByTheNextLaneWhatItReadMeanwhile) {
  bring_up();
  auto client = ask_and_stop("slow", 200);
  run_to_end();

  launcher->alive()[0]->die();
  settle();
  client->become_writable();  // while no lane runs it
  settle();
  bring_up();
  run_to_end();

  EXPECT_EQ(streamed_text(client->answer.body), hash_text("slow", 200));
  expect_idle();
}

TEST_F(SlowReader, StillHasADeadline) {
  bring_up();
  auto client = ask_and_stop("slow", 200);
  run_to_end();

  advance(front->options.request_timeout + std::chrono::seconds(1));

  EXPECT_TRUE(client->ended);
  EXPECT_THAT(client->answer.body, HasSubstr("deadline_exceeded"));
}

TEST_F(SlowReader, SharesItsBufferAmongItsChoices) {
  bring_up();
  auto client = ask_and_stop("many", 200, 4);

  run_to_end();

  EXPECT_LE(launcher->alive()[0]->tokens_given, 4 + 4096U / 256);
  EXPECT_EQ(launcher->alive()[0]->paused(), 4U);
}

TEST_F(SlowReader, LosesAWorkerThatRestsAlthoughItWasGrantedMore) {
  bring_up();
  auto client = ask_and_stop("slow", 200);
  run_to_end();

  client->become_writable();
  settle();
  launcher->alive()[0]->inbox.clear();  // the grant is lost
  advance(std::chrono::seconds(3));
  bring_up();
  run_to_end();

  EXPECT_EQ(launcher->workers.size(), 2U);
  EXPECT_EQ(streamed_text(client->answer.body), hash_text("slow", 200));
}

TEST_F(SessionTest, GoesOnByteForByteWhenTheWorkerDies) {
  bring_up();
  auto request = completion("survivor", 30);
  request.stream = true;
  auto client = ask(request);
  for (int i = 0; i < 11; ++i)
    launcher->alive()[0]->step();
  settle();

  launcher->alive()[0]->die();
  settle();
  bring_up();
  run_to_end();

  ASSERT_EQ(launcher->workers.size(), 2U);
  ASSERT_EQ(launcher->workers[1]->starts.size(), 1U);
  EXPECT_EQ(launcher->workers[1]->starts[0].emitted.size(), 11U);
  EXPECT_EQ(launcher->workers[1]->starts[0].epoch, 1U);
  EXPECT_EQ(streamed_text(client->answer.body), hash_text("survivor", 30));
  EXPECT_THAT(client->answer.body, EndsWith("data: [DONE]\n\n"));
  expect_idle();
}

TEST_F(SessionTest, TakesNothingFromAnOldEpochAndNothingTwice) {
  bring_up();
  auto client = ask(completion("fenced", 10));
  auto worker = launcher->alive()[0];
  // Every frame is sent twice, and once more as if it came from an epoch before.
  worker->before_send = [&](wire::Tokens& tokens) {
    auto stale = tokens.outputs;
    for (auto& output : stale)
      output.epoch += 7;
    auto twice = tokens.outputs;
    tokens.outputs.insert(tokens.outputs.begin(), stale.begin(), stale.end());
    if (twice[0].finish == Finish::none)
      tokens.outputs.insert(tokens.outputs.end(), twice.begin(), twice.end());
  };

  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr("\"text\":\"" + hash_text("fenced", 10) + "\""));
  EXPECT_THAT(client->answer.body, HasSubstr("\"completion_tokens\":10"));
}

TEST_F(SessionTest, RestartsAWorkerThatSkipsATokenAndLosesNothing) {
  bring_up();
  auto client = ask(completion("gap", 10));
  auto worker = launcher->alive()[0];
  worker->step();
  worker->before_send = [](wire::Tokens& tokens) { tokens.outputs[0].first_index += 1; };

  worker->step();
  settle();
  EXPECT_TRUE(worker->dead());
  bring_up();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr("\"text\":\"" + hash_text("gap", 10) + "\""));
  expect_idle();
}

TEST_F(SessionTest, RestartsAWorkerThatEndsASequenceWithTokensThatAreKnown) {
  bring_up();
  auto client = ask(completion("ends twice", 10));
  auto worker = launcher->alive()[0];
  worker->before_send = [](wire::Tokens& tokens) {
    if (tokens.outputs[0].finish != Finish::none) tokens.outputs[0].first_index -= 1;
  };

  for (int i = 0; i < 10; ++i)
    worker->step();
  settle();
  EXPECT_TRUE(worker->dead());
  bring_up();
  run_to_end();

  EXPECT_THAT(client->answer.body, HasSubstr("\"text\":\"" + hash_text("ends twice", 10) + "\""));
  expect_idle();
}

TEST_F(SessionTest, AnswersBackendLostWhenItsOnlyLaneIsQuarantined) {
  bring_up();
  auto request = completion("doomed", 100);
  request.stream = true;
  auto client = ask(request);
  launcher->alive()[0]->step();
  settle();

  for (int i = 0; i < 20 && !client->ended; ++i) {
    for (const auto& worker : launcher->alive())
      worker->die("exited with code 70");
    advance(std::chrono::seconds(5));
  }

  ASSERT_TRUE(client->ended);
  EXPECT_THAT(client->answer.body, HasSubstr("\"code\":\"backend_lost\""));
  EXPECT_THAT(client->answer.body, EndsWith("data: [DONE]\n\n"));
  EXPECT_TRUE(front->lanes.all_quarantined("hash"));
  EXPECT_EQ(launcher->workers.size(), 6U) << "five restarts in a minute, then no more";
  expect_idle();
}

TEST_F(SessionTest, EndsARequestThatTheServerCannotWaitForWithOneError) {
  bring_up();
  auto request = completion("cut", 100);
  request.stream = true;
  auto streamed = ask(request);
  launcher->alive()[0]->step();
  settle();
  auto waiting = ask(completion("cut too", 100));

  for (const Lease& lease : front->admission.leases->entries())
    caf::anon_send(lease.session, EndNow{});
  settle();

  EXPECT_THAT(streamed->answer.body, HasSubstr("\"code\":\"draining\""));
  EXPECT_THAT(streamed->answer.body, HasSubstr("did not end in time"));
  EXPECT_THAT(streamed->answer.body, EndsWith("data: [DONE]\n\n"));
  EXPECT_EQ(waiting->answer.status, 503);
  expect_idle();
}

TEST_F(SessionTest, RefusesWhatTheQueueCannotHold) {
  front->options.admission.queue_capacity = 2;  // read by the next incarnation
  kill(peer("admission"));
  advance(std::chrono::seconds(1));
  std::vector<std::shared_ptr<FakeExchange>> asked;
  for (int i = 0; i < 3; ++i)
    asked.push_back(ask(completion("full", 5)));

  EXPECT_FALSE(asked[0]->ended);
  EXPECT_FALSE(asked[1]->ended);
  EXPECT_EQ(asked[2]->answer.status, 429);
  EXPECT_THAT(asked[2]->answer.body, HasSubstr("\"code\":\"overloaded\""));
  bring_up();
  run_to_end();

  EXPECT_EQ(asked[0]->answer.status, 200);
  EXPECT_EQ(asked[1]->answer.status, 200);
  expect_idle();
}

TEST_F(SessionTest, StaysInsideWhenAdmissionRestartsHoweverFullItIs) {
  std::vector<std::shared_ptr<FakeExchange>> asked;
  for (int i = 0; i < 3; ++i)
    asked.push_back(ask(completion("accepted " + std::to_string(i), 5)));
  front->options.admission.queue_capacity = 1;  // read by the next incarnation

  kill(peer("admission"));
  advance(std::chrono::seconds(1));

  EXPECT_EQ(ask(completion("one too many", 5))->answer.status, 429);
  bring_up();
  run_to_end();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(asked[static_cast<std::size_t>(i)]->answer.body,
                HasSubstr(hash_text("accepted " + std::to_string(i), 5)));
  }
  expect_idle();
}

// What arrived at different times is looked after at different times.
TEST_F(SessionTest, IsKeptAliveInItsOwnTurn) {
  constexpr int kStreams = 20;
  for (int i = 0; i < kStreams; ++i) {
    auto request = completion("waits", 5);
    request.stream = true;
    ask(request);
    VirtualTime::advance(std::chrono::milliseconds(50));
  }
  std::size_t kept_alive = 0;
  std::size_t most_at_once = 0;

  for (int tick = 0; tick < 400 && kept_alive < kStreams; ++tick) {
    VirtualTime::advance(std::chrono::milliseconds(50));
    auto now = static_cast<std::size_t>(std::count_if(
        clients.begin(), clients.end(), [](const auto& client) { return client->streaming; }));
    most_at_once = std::max(most_at_once, now - kept_alive);
    kept_alive = now;
  }

  EXPECT_EQ(kept_alive, std::size_t{kStreams});
  EXPECT_LE(most_at_once, 2U);
}

/// Each long-lived actor dies while work is in its hands and in its mailbox; no request notices.
class HolderDeath : public FrontWorld, public ::testing::WithParamInterface<const char*> {
 protected:
  HolderDeath() : FrontWorld(1) {}
};

TEST_P(HolderDeath, LosesNoRequest) {
  auto waiting = ask(completion("waiting for a lane", 12));
  bring_up();
  auto running = ask(completion("running", 30));
  for (int i = 0; i < 3; ++i)
    launcher->alive()[0]->step();
  settle();
  // Half of what is sent now is in mailboxes when the actor dies.
  for (int i = 0; i < 4; ++i) {
    auto client = std::make_shared<FakeExchange>();
    clients.push_back(client);
    auto request = completion("in flight " + std::to_string(i), 10);
    request.request_id = "r";
    spawn_session(system,
                  front,
                  model,
                  {request, {}, nullptr, front->clock->now()},
                  answer_to(request, client));
  }
  for (std::uint64_t i = 0; i < 9; ++i)
    step(i * 7);

  kill(peer(GetParam()));
  for (int i = 0; i < 5; ++i) {
    advance(std::chrono::seconds(2));
    bring_up();
    run_to_end();
  }

  EXPECT_THAT(waiting->answer.body, HasSubstr(hash_text("waiting for a lane", 12)));
  EXPECT_THAT(running->answer.body, HasSubstr(hash_text("running", 30)));
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(clients[static_cast<std::size_t>(2 + i)]->answer.body,
                HasSubstr(hash_text("in flight " + std::to_string(i), 10)));
  }
  expect_idle();
}

INSTANTIATE_TEST_SUITE_P(Actors,
                         HolderDeath,
                         ::testing::Values("admission", "queue.hash", "batcher.hash", "executor.0"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

/// Fifty seeds: sixteen streams over two lanes, messages handled in a random order, workers killed
/// at random moments.
class RandomKills : public TwoLanes, public ::testing::WithParamInterface<int> {};

TEST_P(RandomKills, ChangeNoByteOfAnyStream) {
  std::mt19937_64 random(static_cast<std::uint64_t>(GetParam()));
  bring_up();
  std::vector<std::string> expected;
  for (int i = 0; i < 16; ++i) {
    std::string prompt = "stream " + std::to_string(random() % 1000);
    auto length = static_cast<std::uint32_t>(1 + random() % 120);
    auto request = completion(prompt, length);
    request.stream = true;
    expected.push_back(hash_text(prompt, length));
    ask(request);
  }

  int kills = 0;
  for (int round = 0; round < 400'000; ++round) {
    bool all_ended = std::all_of(
        clients.begin(), clients.end(), [](const auto& client) { return client->ended; });
    if (all_ended) break;
    auto alive = launcher->alive();
    std::uint64_t dice = random() % 100;
    if (dice < 2 && !alive.empty() && kills < 25) {
      alive[random() % alive.size()]->die();
      ++kills;
    } else if (dice < 40 && !alive.empty()) {
      alive[random() % alive.size()]->step();
    } else if (dice < 44) {
      // A client stops reading, or goes on.
      FakeExchange& client = *clients[random() % clients.size()];
      if (client.unsent == 0)
        client.unsent = front->options.stream_buffer + 1;
      else
        client.become_writable();
    } else if (dice < 46) {
      for (const auto& worker : alive) {
        if (worker->starts.empty() && worker->running() == 0) {
          worker->hello();
          worker->ready();
        }
      }
    } else if (dice < 48 && !alive.empty()) {
      alive[random() % alive.size()]->live();
    } else {
      step(random());
    }
  }

  settle();
  for (std::size_t i = 0; i < clients.size(); ++i) {
    ASSERT_TRUE(clients[i]->ended) << "stream " << i;
    EXPECT_EQ(streamed_text(clients[i]->answer.body), expected[i]) << "stream " << i;
    EXPECT_THAT(clients[i]->answer.body, EndsWith("data: [DONE]\n\n"));
  }
  EXPECT_GT(kills, 0);
  bring_up();  // golden probes that are under way get their answers
  expect_idle();
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomKills, ::testing::Range(0, 50));

}  // namespace
}  // namespace sluice::testing
