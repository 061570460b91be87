#include "worker/serve.h"

#include "models/hash/hash_chain.h"
#include "models/registry.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <map>
#include <memory>
#include <thread>
#include <vector>

namespace sluice {
namespace {

/// The front's end of a link: blocking, for tests.
class FrontEnd {
 public:
  explicit FrontEnd(int fd) : fd_(fd) {}
  ~FrontEnd() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void send(const wire::ToWorker& message) {
    std::string bytes;
    writer_.append(message, bytes);
    send_raw(bytes);
  }
  void send_raw(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t put = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      ASSERT_GT(put, 0);
      bytes.remove_prefix(static_cast<std::size_t>(put));
    }
  }
  /// The next message; none at the end of the link.
  std::optional<wire::ToFront> receive() {
    for (;;) {
      auto frame = frames_.next();
      CHECK(frame);
      if (*frame) {
        auto message = wire::decode_to_front(**frame);
        CHECK(message);
        return *std::move(message);
      }
      char* room = frames_.prepare(4096);
      ssize_t got = ::recv(fd_, room, 4096, 0);
      if (got <= 0) return {};
      frames_.commit(static_cast<std::size_t>(got));
    }
  }

 private:
  int fd_;
  LinkWriter writer_;
  LinkReader frames_;
};

/// What a sequence gave until it ended.
struct Outcome {
  std::vector<TokenId> tokens;
  std::uint32_t first_index = 0;
  Epoch epoch = 0;
  Finish finish = Finish::none;
  std::optional<wire::Failed> failed;
};

class Serve : public ::testing::Test {
 protected:
  Serve() {
    int pair[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    front = std::make_unique<FrontEnd>(pair[0]);
    channel = std::make_unique<WorkerChannel>(pair[1]);
    auto model = load_model({.path = "hash"});
    CHECK(model);
    auto created = Engine::create(
        *std::move(model),
        {.sequences_max = 8, .step_rows_max = 32, .prefill_chunk = 32, .blocks = 128},
        clock);
    CHECK(created);
    engine = *std::move(created);
    end = std::async(std::launch::async, [this] {
      WorkerLoop loop(*engine, clock, progress);
      WorkerEnd how = serve(*channel, loop);
      channel.reset();  // as the end of the process would
      return how;
    });
  }

  static wire::Start start_of(std::uint64_t id, std::vector<TokenId> prompt, std::uint32_t tokens) {
    wire::Start start;
    start.id.value = id;
    start.plan.prompt = std::move(prompt);
    start.plan.max_tokens = tokens;
    return start;
  }

  /// Reads until `id` has ended, and checks that indexes follow one another.
  Outcome outcome_of(std::uint64_t id) {
    while (!ended(outcomes_[id])) {
      auto message = front->receive();
      if (!message) {
        ADD_FAILURE() << "the link ended before sequence " << id;
        break;
      }
      take(*message);
    }
    return outcomes_[id];
  }

  void take(const wire::ToFront& message) {
    if (const auto* failed = std::get_if<wire::Failed>(&message))
      outcomes_[failed->id.value].failed = *failed;
    if (const auto* tokens = std::get_if<wire::Tokens>(&message))
      for (const SequenceOutput& output : tokens->outputs) {
        Outcome& outcome = outcomes_[output.id.value];
        if (outcome.tokens.empty()) outcome.first_index = output.first_index;
        if (!output.tokens.empty()) {
          EXPECT_EQ(output.first_index, outcome.first_index + outcome.tokens.size());
        }
        outcome.tokens.insert(outcome.tokens.end(), output.tokens.begin(), output.tokens.end());
        outcome.epoch = output.epoch;
        outcome.finish = output.finish;
      }
  }

  static bool ended(const Outcome& outcome) {
    return outcome.finish != Finish::none || outcome.failed;
  }

  static std::vector<TokenId> expected(const std::vector<TokenId>& before, std::size_t count) {
    HashChain chain(before);
    std::vector<TokenId> tokens;
    while (tokens.size() < count)
      tokens.push_back(chain.advance());
    return tokens;
  }

  std::optional<wire::Bye> bye() {
    while (auto message = front->receive()) {
      take(*message);
      if (auto* bye = std::get_if<wire::Bye>(&*message)) return *bye;
    }
    return {};
  }

  SystemClock clock;
  Progress progress;
  std::unique_ptr<FrontEnd> front;
  std::unique_ptr<WorkerChannel> channel;
  std::unique_ptr<Engine> engine;
  std::map<std::uint64_t, Outcome> outcomes_;
  std::future<WorkerEnd> end;  // last: it ends before what it uses is gone

  void TearDown() override { front->close(); }
};

TEST_F(Serve, GivesTheTokensOfThePlan) {
  front->send(start_of(1, {10, 20, 30}, 100));

  Outcome outcome = outcome_of(1);

  EXPECT_EQ(outcome.tokens, expected({10, 20, 30}, 100));
  EXPECT_EQ(outcome.finish, Finish::length);
  EXPECT_EQ(outcome.first_index, 0u);
}

TEST_F(Serve, RunsManySequencesTogether) {
  for (std::uint64_t id = 1; id <= 8; ++id)
    front->send(start_of(id, {static_cast<TokenId>(id), 5}, 60));

  for (std::uint64_t id = 1; id <= 8; ++id)
    EXPECT_EQ(outcome_of(id).tokens, expected({static_cast<TokenId>(id), 5}, 60));
}

TEST_F(Serve, GoesOnWhereAResumedSequenceStopped) {
  std::vector<TokenId> whole = expected({1, 2}, 40);
  wire::Start start = start_of(1, {1, 2}, 40);
  start.epoch = 3;
  start.emitted.assign(whole.begin(), whole.begin() + 25);

  front->send(start);

  Outcome outcome = outcome_of(1);
  EXPECT_EQ(outcome.first_index, 25u);
  EXPECT_EQ(outcome.epoch, 3u);
  EXPECT_EQ(outcome.tokens, std::vector<TokenId>(whole.begin() + 25, whole.end()));
}

TEST_F(Serve, FreesACancelledSequence) {
  for (std::uint64_t id = 1; id <= 8; ++id)
    front->send(start_of(id, {1}, 1900));  // all slots, nearly all blocks
  front->send(wire::Cancel{SequenceId{4}, 0});
  front->send(start_of(9, {2}, 10));

  Outcome outcome = outcome_of(9);

  EXPECT_EQ(outcome.tokens, expected({2}, 10));
  EXPECT_FALSE(outcome.failed);
}

TEST_F(Serve, FailsWhatItHasNoPlaceForAndServesTheRest) {
  for (std::uint64_t id = 1; id <= 9; ++id)
    front->send(start_of(id, {1}, 200));

  int failed = 0;
  for (std::uint64_t id = 1; id <= 9; ++id) {
    Outcome outcome = outcome_of(id);
    if (outcome.failed) {
      ++failed;
      EXPECT_EQ(outcome.failed->code, ErrorCode::resource_exhausted);
    } else {
      EXPECT_EQ(outcome.tokens.size(), 200u);
    }
  }
  EXPECT_LE(failed, 1) << "only the ninth may find all slots taken";
}

TEST_F(Serve, FailsASequenceWithTokensThatDoNotExist) {
  front->send(start_of(1, {9999}, 10));

  Outcome outcome = outcome_of(1);

  ASSERT_TRUE(outcome.failed);
  EXPECT_EQ(outcome.failed->code, ErrorCode::invalid_argument);
  EXPECT_NE(outcome.failed->message.find("9999"), std::string::npos);
}

TEST_F(Serve, FailsASequenceWhoseTimeIsOver) {
  wire::Start start = start_of(1, {1}, 2000);
  start.time_left_ms = -1;

  front->send(start);

  ASSERT_TRUE(outcome_of(1).failed);
  EXPECT_EQ(outcome_of(1).failed->code, ErrorCode::deadline_exceeded);
}

TEST_F(Serve, StopsAfterWhatRuns) {
  front->send(start_of(1, {1}, 300));
  front->send(wire::Stop{.now = false});
  front->send(start_of(2, {1}, 300));

  auto last_words = bye();

  ASSERT_TRUE(last_words);
  EXPECT_EQ(last_words->code, ErrorCode::none);
  EXPECT_EQ(outcomes_[1].tokens, expected({1}, 300));
  EXPECT_EQ(end.get(), WorkerEnd::stopped);
}

TEST_F(Serve, StopsAtOnceWhenTold) {
  front->send(start_of(1, {1}, 2000));
  front->send(wire::Stop{.now = true});

  ASSERT_TRUE(bye());

  EXPECT_LT(outcomes_[1].tokens.size(), 2000u);
  EXPECT_EQ(end.get(), WorkerEnd::stopped);
}

TEST_F(Serve, EndsWithTheLink) {
  front->send(start_of(1, {1}, 2000));

  front->close();

  EXPECT_EQ(end.get(), WorkerEnd::stopped);
}

TEST_F(Serve, EndsWithTheLinkWhileIdle) {
  front->close();

  EXPECT_EQ(end.get(), WorkerEnd::stopped);
}

TEST_F(Serve, EndsAtAFrameThatCannotBeRead) {
  front->send_raw(std::string("\0\0\0\2\xc1\xc1", 6));

  auto last_words = bye();

  ASSERT_TRUE(last_words);
  EXPECT_EQ(last_words->code, ErrorCode::data_loss);
  EXPECT_EQ(end.get(), WorkerEnd::link_broken);
}

TEST_F(Serve, UnderstandsFramesInSlices) {
  std::string bytes;
  LinkWriter().append(wire::ToWorker(start_of(1, {10, 20, 30}, 5)), bytes);

  for (char byte : bytes)
    front->send_raw(std::string_view(&byte, 1));

  EXPECT_EQ(outcome_of(1).tokens, expected({10, 20, 30}, 5));
}

TEST_F(Serve, CountsItsSteps) {
  front->send(start_of(1, {1}, 20));
  outcome_of(1);
  front->send(wire::Stop{});
  ASSERT_TRUE(bye());
  end.wait();

  wire::Heartbeat beat = progress.at(clock.now());

  EXPECT_GE(beat.steps, 20u);
  EXPECT_EQ(beat.running, 0u);
  EXPECT_EQ(beat.blocks_free, 128u);
  EXPECT_EQ(beat.step_age_ms, 0);
}

}  // namespace
}  // namespace sluice
