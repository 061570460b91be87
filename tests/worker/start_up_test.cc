#include "worker/start_up.h"

#include "models/registry.h"
#include "tests/support/manual_clock.h"
#include "worker/heartbeat.h"
#include "worker/holdings.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

namespace sluice {
namespace {

std::unique_ptr<Engine> engine_of(std::unique_ptr<Model> model,
                                  const Engine::Options& options,
                                  const Clock& clock) {
  auto engine = Engine::create(std::move(model), options, clock);
  CHECK(engine);
  return *std::move(engine);
}

std::unique_ptr<Model> hash_model() {
  auto model = load_model({.path = "hash"});
  CHECK(model);
  return *std::move(model);
}

/// A model of four tokens that a test can damage.
class FaultyModel final : public Model {
 public:
  enum class Fault { none, not_finite, forgetful, lost };
  explicit FaultyModel(Fault fault, std::int32_t context = 4096) : fault_(fault) {
    info_ = {.architecture = "faulty", .vocabulary = 4, .context = context};
  }
  [[nodiscard]] const ModelInfo& info() const override { return info_; }
  Result<void> allocate(const ModelLimits&) override { return {}; }
  Result<void> launch(const StepBatch& batch) override {
    if (fault_ == Fault::lost) return Error{ErrorCode::device_lost, "illegal address"};
    ++launches_;
    rows_ = batch.tokens.size();
    logits_.assign(batch.logit_rows.size() * 4, 0.0F);
    for (std::size_t row = 0; row < batch.logit_rows.size(); ++row) {
      auto token =
          static_cast<std::size_t>(batch.tokens[static_cast<std::size_t>(batch.logit_rows[row])]);
      if (fault_ == Fault::forgetful) token += launches_ % 3;
      logits_[4 * row + (token + 1) % 4] = 1.0F;
      if (fault_ == Fault::not_finite) logits_[4 * row] = std::nanf("");
    }
    most_rows_ = std::max(most_rows_, rows_);
    return {};
  }
  Result<std::span<float>> wait() override { return std::span<float>(logits_); }

 private:
  Fault fault_;
  ModelInfo info_;
  std::vector<float> logits_;
  std::size_t rows_ = 0;
  std::size_t most_rows_ = 0;
  std::size_t launches_ = 0;
};

constexpr Engine::Options kOptions{
    .sequences_max = 4, .step_rows_max = 64, .prefill_chunk = 64, .blocks = 64};

TEST(StartUp, LeavesTheEngineIdle) {
  testing::ManualClock clock;
  auto engine = engine_of(hash_model(), kOptions, clock);

  EXPECT_TRUE(warm_up(*engine, kOptions));
  EXPECT_TRUE(self_test(*engine, kOptions));

  EXPECT_TRUE(engine->idle());
  EXPECT_EQ(engine->stats().blocks_free, 64);
  EXPECT_GT(engine->stats().steps, 16u);
}

TEST(StartUp, GivesTheSameGoldenHashOnEveryEngine) {
  testing::ManualClock clock;
  Engine::Options other{.sequences_max = 9, .step_rows_max = 17, .prefill_chunk = 5, .blocks = 100};
  auto first = engine_of(hash_model(), kOptions, clock);
  auto second = engine_of(hash_model(), other, clock);

  auto golden = self_test(*first, kOptions);

  ASSERT_TRUE(golden);
  EXPECT_EQ(*golden, *self_test(*second, other));
  auto different =
      engine_of(std::make_unique<FaultyModel>(FaultyModel::Fault::none), kOptions, clock);
  EXPECT_NE(*golden, *self_test(*different, kOptions));
}

TEST(StartUp, WorksInTheSmallestEngine) {
  testing::ManualClock clock;
  Engine::Options tiny{.sequences_max = 1, .step_rows_max = 1, .prefill_chunk = 1, .blocks = 1};
  for (std::int32_t context : {2, 5, 20}) {
    auto engine =
        engine_of(std::make_unique<FaultyModel>(FaultyModel::Fault::none, context), tiny, clock);

    auto warm = warm_up(*engine, tiny);
    auto golden = self_test(*engine, tiny);

    EXPECT_TRUE(warm) << warm.error().message;
    EXPECT_TRUE(golden) << golden.error().message;
  }
}

TEST(StartUp, FailsTheSelfTestOfLogitsThatAreNotFinite) {
  testing::ManualClock clock;
  auto engine =
      engine_of(std::make_unique<FaultyModel>(FaultyModel::Fault::not_finite), kOptions, clock);

  auto golden = self_test(*engine, kOptions);

  ASSERT_FALSE(golden);
  EXPECT_EQ(golden.error().code, ErrorCode::data_loss);
}

TEST(StartUp, FailsTheSelfTestOfResultsThatDoNotRepeat) {
  testing::ManualClock clock;
  auto engine =
      engine_of(std::make_unique<FaultyModel>(FaultyModel::Fault::forgetful), kOptions, clock);

  auto golden = self_test(*engine, kOptions);

  ASSERT_FALSE(golden);
  EXPECT_NE(golden.error().message.find("two different"), std::string::npos);
}

TEST(StartUp, PassesOnThatTheDeviceIsLost) {
  testing::ManualClock clock;
  auto engine = engine_of(std::make_unique<FaultyModel>(FaultyModel::Fault::lost), kOptions, clock);

  auto warm = warm_up(*engine, kOptions);

  ASSERT_FALSE(warm);
  EXPECT_EQ(warm.error().code, ErrorCode::device_lost);
}

ModelInfo model_of(std::int32_t context, std::size_t kv_block_bytes) {
  ModelInfo model;
  model.context = context;
  model.kv_block_bytes = kv_block_bytes;
  return model;
}

TEST(PlanBlocks, GivesEverySequenceTheWholeContextWhereMemoryAllows) {
  ModelInfo model = model_of(100, 1000);

  EXPECT_EQ(plan_blocks(model, 4, 1'000'000), 4 * 7);  // 100 tokens take 7 blocks of 16
  EXPECT_EQ(plan_blocks(model, 4, 10'999), 10);
}

TEST(PlanBlocks, GivesOneBlockAtTheLeastAndTwoMillionTokensAtMost) {
  ModelInfo large = model_of(1 << 20, std::size_t{1} << 30);
  EXPECT_EQ(plan_blocks(large, 64, 1), 1);

  ModelInfo free = model_of(std::numeric_limits<std::int32_t>::max(), 0);
  EXPECT_EQ(plan_blocks(free, 1000, ~std::uint64_t{0}), 131'072);
}

// --- what a worker holds -------------------------------------------------------------------------

TEST(Holdings, CountDescriptorsAndThreadsAtMostOnceASecond) {
  testing::ManualClock clock;
  Holdings holdings;
  Holdings::Counts before = holdings.at(clock.now());
  EXPECT_GE(before.descriptors, 2U) << "its own two";
  EXPECT_GE(before.threads, 1U);

  int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  clock.advance(Holdings::kEvery - Duration(1));
  EXPECT_EQ(holdings.at(clock.now()).descriptors, before.descriptors) << "the count from before";
  clock.advance(Duration(1));
  EXPECT_EQ(holdings.at(clock.now()).descriptors, before.descriptors + 1);

  ::close(fd);
  clock.advance(Holdings::kEvery);
  EXPECT_EQ(holdings.at(clock.now()).descriptors, before.descriptors);
  EXPECT_EQ(holdings.at(clock.now()).threads, before.threads);
}

TEST(Holdings, CountEvenWhenNoDescriptorIsLeft) {
  const TimePoint now = testing::ManualClock().now();
  Holdings holdings;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit none{.rlim_cur = 0, .rlim_max = limit.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);

  Holdings::Counts held = holdings.at(now);

  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_GE(held.descriptors, 2U);
  EXPECT_GE(held.threads, 1U);
}

// --- progress and heartbeat ----------------------------------------------------------------------

TEST(Progress, TellsWhatIsLoaded) {
  testing::ManualClock clock;
  Progress progress;
  EXPECT_EQ(progress.at(clock.now()).load.bytes, 0U);

  progress.loaded({LoadProgress::Work::converting, 1000, 5000, 3, 12});

  const LoadProgress load = progress.at(clock.now()).load;
  EXPECT_EQ(load.work, LoadProgress::Work::converting);
  EXPECT_EQ(load.bytes, 1000U);
  EXPECT_EQ(load.bytes_in_all, 5000U);
  EXPECT_EQ(load.tensors, 3U);
  EXPECT_EQ(load.tensors_in_all, 12U);
}

TEST(Progress, DoesNotCountForAStepWhatTheProcessSlept) {
  testing::ManualClock clock;
  Progress progress;
  progress.slept(std::chrono::seconds(1), clock.now());
  progress.begin_step(clock.now(), 12);
  clock.advance(std::chrono::milliseconds(1700));

  progress.slept(std::chrono::milliseconds(1500), clock.now());
  EXPECT_EQ(progress.at(clock.now()).step_age_ms, 200);

  progress.slept(std::chrono::seconds(9), clock.now());
  EXPECT_EQ(progress.at(clock.now()).step_age_ms, 0) << "it began after most of that";
}

TEST(Progress, TellsHowLongAStepHasBeenRunning) {
  testing::ManualClock clock;
  Progress progress;
  progress.begin_step(clock.now(), 12);
  clock.advance(std::chrono::milliseconds(700));
  EXPECT_EQ(progress.at(clock.now()).step_age_ms, 700);
  EXPECT_EQ(progress.at(clock.now()).step_rows, 12u);

  progress.end_step({.running = 1, .waiting = 2, .blocks_free = 3, .steps = 4, .preemptions = 5});

  wire::Heartbeat beat = progress.at(clock.now());
  EXPECT_EQ(beat.step_age_ms, 0);
  EXPECT_EQ(beat.step_rows, 0u);
  EXPECT_EQ(beat.running, 1u);
  EXPECT_EQ(beat.waiting, 2u);
  EXPECT_EQ(beat.blocks_free, 3u);
  EXPECT_EQ(beat.steps, 4u);
  EXPECT_EQ(beat.preemptions, 5u);
}

TEST(Progress, CountsWhatWasCarriedOut) {
  testing::ManualClock clock;
  Progress progress;
  EXPECT_EQ(progress.at(clock.now()).commands, 0u);
  progress.obeyed(3);
  progress.obeyed(2);
  EXPECT_EQ(progress.at(clock.now()).commands, 5u);
}

TEST(Progress, TellsWhatShareOfTheLatestWorkWasLost) {
  using std::chrono::milliseconds;
  testing::ManualClock clock;
  Progress progress;
  auto told = [&] { return progress.at(clock.now()).compute_lost_permille; };
  auto computed = [&](milliseconds worked, milliseconds lost) {
    progress.end_step({.compute = {.threads = 2, .worked = worked, .lost = lost}});
  };

  computed(milliseconds(249), milliseconds(200));
  EXPECT_EQ(told(), 0U) << "too little to tell";
  computed(milliseconds(400), milliseconds(300));
  EXPECT_EQ(told(), 750U);
  computed(milliseconds(600), milliseconds(300));
  EXPECT_EQ(told(), 750U);
  computed(milliseconds(650), milliseconds(310));
  EXPECT_EQ(told(), 40U) << "what was lost before no longer counts";
  EXPECT_EQ(progress.at(clock.now()).compute_threads, 2U);
}

class Heartbeat : public ::testing::Test {
 protected:
  Heartbeat() {
    int pair[2];
    CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    front = pair[0];
    channel = std::make_unique<WorkerChannel>(pair[1]);
  }
  ~Heartbeat() override { ::close(front); }

  /// Reads until at least so many beats have come; the last one stays in `beat`. How many came.
  int beats(int least) {
    int count = 0;
    while (count < least) {
      char* room = frames.prepare(4096);
      ssize_t got = ::recv(front, room, 4096, 0);
      CHECK(got > 0);
      frames.commit(static_cast<std::size_t>(got));
      for (;;) {
        auto frame = frames.next();
        CHECK(frame);
        if (!*frame) break;
        auto message = wire::decode_to_front(**frame);
        CHECK(message);
        beat = std::get<wire::Heartbeat>(*message);
        ++count;
      }
    }
    return count;
  }

  int front = -1;
  std::unique_ptr<WorkerChannel> channel;
  SystemClock clock;
  Progress progress;
  LinkReader frames;
  wire::Heartbeat beat;
};

TEST_F(Heartbeat, GoesOnByItself) {
  progress.loaded({.bytes = 7});
  HeartbeatThread heartbeat(*channel, progress, clock, std::chrono::milliseconds(1));

  beats(20);

  EXPECT_EQ(beat.load.bytes, 7U);
}

TEST_F(Heartbeat, IsHalfAsFastInAWorkerThatRests) {
  const Duration period = std::chrono::milliseconds(50);
  EXPECT_EQ(HeartbeatThread::after({}, period), 2 * period);
  EXPECT_EQ(HeartbeatThread::after({.running = 1}, period), period);
  EXPECT_EQ(HeartbeatThread::after({.waiting = 1}, period), period);
  EXPECT_EQ(HeartbeatThread::after({.step_age_ms = 1}, period), period);
}

TEST_F(Heartbeat, TellsWhatTheProcessHoldsOnceItServes) {
  HeartbeatThread heartbeat(*channel, progress, clock, std::chrono::milliseconds(1));
  beats(20);
  EXPECT_EQ(beat.descriptors, 0U);
  EXPECT_EQ(beat.threads, 0U);

  heartbeat.serving();
  while (beat.descriptors == 0)
    beats(1);

  EXPECT_GE(beat.descriptors, 4U) << "the link and the two folders that count";
  EXPECT_GE(beat.threads, 2U) << "this one and the one that beats";
}

// The front does not read: beats are skipped, and those that were sent are whole.
TEST_F(Heartbeat, IsSkippedWhileTheLinkIsFullAndNeverTorn) {
  int sent = 0;
  while (channel->try_send(wire::Heartbeat{}))
    ++sent;

  EXPECT_GT(sent, 0);
  EXPECT_FALSE(channel->try_send(wire::Heartbeat{}));
  EXPECT_EQ(beats(sent), sent);
  EXPECT_TRUE(channel->try_send(wire::Heartbeat{}));
  EXPECT_EQ(beats(1), 1) << "a skipped one uses up no number";
}

}  // namespace
}  // namespace sluice
