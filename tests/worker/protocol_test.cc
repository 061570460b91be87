#include "worker/protocol.h"

#include "net/msgpack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace sluice::wire {
namespace {

/// The payload that `message` becomes.
template <class Message>
std::string payload_of(const Message& message) {
  std::string payload;
  encode(message, payload);
  return payload;
}

template <class Body>
Body through_to_worker(Body body) {
  auto back = decode_to_worker(payload_of(ToWorker(std::move(body))));
  if (!back) throw std::runtime_error(back.error().message);
  return std::get<Body>(*back);
}

template <class Body>
Body through_to_front(Body body) {
  auto back = decode_to_front(payload_of(ToFront(std::move(body))));
  if (!back) throw std::runtime_error(back.error().message);
  return std::get<Body>(*back);
}

/// A Start in which no field has its default.
Start full_start() {
  Start start;
  start.id.value = 0xFEDCBA9876543210;
  start.epoch = 0xFFFFFFFF;
  start.plan.prompt = {0, 1, 151642, std::numeric_limits<TokenId>::max()};
  start.plan.max_tokens = 4096;
  start.plan.min_tokens = 3;
  start.plan.stop_tokens = {2, 128001};
  start.plan.sampling = {.temperature = 0.7F,
                         .top_p = 0.9F,
                         .top_k = 40,
                         .min_p = 0.05F,
                         .typical_p = 0.95F,
                         .repetition_penalty = 1.1F,
                         .presence_penalty = -0.5F,
                         .frequency_penalty = 0.25F,
                         .logit_bias = {{7, -100.0F}, {9, 1.5F}},
                         .seed = ~std::uint64_t{0}};
  start.plan.logprobs = 5;
  start.plan.prompt_logprobs = true;
  start.emitted = {42, 43, 44};
  start.prompt_logprobs_from = 17;
  start.time_left_ms = 30'000;
  start.urgency = 2;
  start.plan.attention_window = 512;
  return start;
}

SequenceOutput full_output() {
  SequenceOutput output;
  output.id.value = 77;
  output.epoch = 3;
  output.first_index = 511;
  output.tokens = {5, 6};
  output.logprobs = {{-0.25F, {{5, -0.25F}, {8, -2.0F}}},
                     {-std::numeric_limits<float>::infinity(), {}}};
  output.prompt_first = 12;
  output.prompt_logprobs = {{-3.5F, {{1, -0.125F}}}};
  output.finish = Finish::length;
  return output;
}

void expect_equal(const std::vector<TokenLogprobs>& left, const std::vector<TokenLogprobs>& right) {
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].chosen, right[i].chosen);
    EXPECT_EQ(left[i].top, right[i].top);
  }
}

void expect_equal(const SequenceOutput& left, const SequenceOutput& right) {
  EXPECT_EQ(left.id, right.id);
  EXPECT_EQ(left.epoch, right.epoch);
  EXPECT_EQ(left.first_index, right.first_index);
  EXPECT_EQ(left.tokens, right.tokens);
  EXPECT_EQ(left.prompt_first, right.prompt_first);
  EXPECT_EQ(left.finish, right.finish);
  expect_equal(left.logprobs, right.logprobs);
  expect_equal(left.prompt_logprobs, right.prompt_logprobs);
}

// --- round trips ---------------------------------------------------------------------------------

TEST(WorkerProtocol, CarriesEveryFieldOfAStart) {
  Start sent = full_start();

  Start got = through_to_worker(sent);

  EXPECT_EQ(got.id, sent.id);
  EXPECT_EQ(got.epoch, sent.epoch);
  EXPECT_EQ(got.plan.prompt, sent.plan.prompt);
  EXPECT_EQ(got.plan.max_tokens, sent.plan.max_tokens);
  EXPECT_EQ(got.plan.min_tokens, sent.plan.min_tokens);
  EXPECT_EQ(got.plan.stop_tokens, sent.plan.stop_tokens);
  EXPECT_EQ(got.plan.sampling.temperature, sent.plan.sampling.temperature);
  EXPECT_EQ(got.plan.sampling.top_p, sent.plan.sampling.top_p);
  EXPECT_EQ(got.plan.sampling.top_k, sent.plan.sampling.top_k);
  EXPECT_EQ(got.plan.sampling.min_p, sent.plan.sampling.min_p);
  EXPECT_EQ(got.plan.sampling.typical_p, sent.plan.sampling.typical_p);
  EXPECT_EQ(got.plan.sampling.repetition_penalty, sent.plan.sampling.repetition_penalty);
  EXPECT_EQ(got.plan.sampling.presence_penalty, sent.plan.sampling.presence_penalty);
  EXPECT_EQ(got.plan.sampling.frequency_penalty, sent.plan.sampling.frequency_penalty);
  EXPECT_EQ(got.plan.sampling.logit_bias, sent.plan.sampling.logit_bias);
  EXPECT_EQ(got.plan.sampling.seed, sent.plan.sampling.seed);
  EXPECT_EQ(got.plan.logprobs, sent.plan.logprobs);
  EXPECT_EQ(got.plan.prompt_logprobs, sent.plan.prompt_logprobs);
  EXPECT_EQ(got.emitted, sent.emitted);
  EXPECT_EQ(got.prompt_logprobs_from, sent.prompt_logprobs_from);
  EXPECT_EQ(got.time_left_ms, sent.time_left_ms);
  EXPECT_EQ(got.urgency, sent.urgency);
  EXPECT_EQ(got.plan.attention_window, sent.plan.attention_window);
}

TEST(WorkerProtocol, TellsNoLogprobsFromNone) {
  Start start;
  start.plan.logprobs = 0;

  EXPECT_EQ(through_to_worker(start).plan.logprobs, 0u);
  EXPECT_EQ(through_to_worker(Start{}).plan.logprobs, std::nullopt);
}

TEST(WorkerProtocol, CarriesGrantCancelAndStop) {
  Grant grant = through_to_worker(Grant{SequenceId{9}, 4, 4'000'000'000});
  EXPECT_EQ(grant.id, SequenceId{9});
  EXPECT_EQ(grant.epoch, 4u);
  EXPECT_EQ(grant.granted, 4'000'000'000u);
  Start limited;
  limited.granted = 5;
  EXPECT_EQ(through_to_worker(limited).granted, 5u);
  EXPECT_EQ(through_to_worker(Start{}).granted, kNoLimit);
  Cancel cancel = through_to_worker(Cancel{SequenceId{9}, 4});
  EXPECT_EQ(cancel.id, SequenceId{9});
  EXPECT_EQ(cancel.epoch, 4u);
  EXPECT_TRUE(through_to_worker(Stop{true}).now);
  EXPECT_FALSE(through_to_worker(Stop{false}).now);
}

TEST(WorkerProtocol, CarriesHelloPhaseFailedAndBye) {
  Hello hello = through_to_front(Hello{.protocol = 7, .pid = 12345, .version = "1.2.3"});
  EXPECT_EQ(hello.protocol, 7u);
  EXPECT_EQ(hello.pid, 12345);
  EXPECT_EQ(hello.version, "1.2.3");
  EXPECT_EQ(through_to_front(Phase{Phase::Name::self_test}).name, Phase::Name::self_test);
  Failed failed =
      through_to_front(Failed{SequenceId{3}, 2, ErrorCode::deadline_exceeded, "out of time"});
  EXPECT_EQ(failed.id, SequenceId{3});
  EXPECT_EQ(failed.epoch, 2u);
  EXPECT_EQ(failed.code, ErrorCode::deadline_exceeded);
  EXPECT_EQ(failed.message, "out of time");
  Bye bye = through_to_front(Bye{ErrorCode::not_found, "no such folder"});
  EXPECT_EQ(bye.code, ErrorCode::not_found);
  EXPECT_EQ(bye.message, "no such folder");
}

TEST(WorkerProtocol, CarriesEveryFieldOfReady) {
  Ready ready = through_to_front(
      Ready{.slots = 64,
            .blocks = 1024,
            .block_tokens = 16,
            .step_rows = 512,
            .fingerprint = 0x8000000000000001,
            .golden = 0xFFFFFFFFFFFFFFFF,
            .architecture = "llama",
            .level = "avx512bf16",
            .vocabulary = 49152,
            .context = 2048,
            .tokenizer = 0x8000000000000002,
            .files = {{{1, 2, 3, -4, 5}, 0xFFFFFFFFFFFFFFFE}, {{6, 7, 8, 9, 10}, 11}}});

  EXPECT_EQ(ready.slots, 64u);
  EXPECT_EQ(ready.blocks, 1024u);
  EXPECT_EQ(ready.block_tokens, 16u);
  EXPECT_EQ(ready.step_rows, 512u);
  EXPECT_EQ(ready.fingerprint, 0x8000000000000001);
  EXPECT_EQ(ready.golden, 0xFFFFFFFFFFFFFFFF);
  EXPECT_EQ(ready.architecture, "llama");
  EXPECT_EQ(ready.level, "avx512bf16");
  EXPECT_EQ(ready.vocabulary, 49152);
  EXPECT_EQ(ready.context, 2048);
  EXPECT_EQ(ready.tokenizer, 0x8000000000000002);
  ASSERT_EQ(ready.files.size(), 2u);
  EXPECT_EQ(ready.files[0], (FileDigest{{1, 2, 3, -4, 5}, 0xFFFFFFFFFFFFFFFE}));
  EXPECT_EQ(ready.files[1], (FileDigest{{6, 7, 8, 9, 10}, 11}));
}

TEST(WorkerProtocol, CarriesEveryFieldOfAHeartbeat) {
  Heartbeat beat = through_to_front(
      Heartbeat{.steps = 1'000'000'000'000,
                .running = 3,
                .waiting = 4,
                .blocks_free = 5,
                .preemptions = 6,
                .step_age_ms = 7,
                .step_rows = 8,
                .descriptors = 9,
                .threads = 10,
                .load = {LoadProgress::Work::checking, 11'000'000'000, 16'000'000'000, 17, 18},
                .compute_threads = 12,
                .compute_lost_permille = 13,
                .paused = 14,
                .commands = 15'000'000'000});

  EXPECT_EQ(beat.steps, 1'000'000'000'000u);
  EXPECT_EQ(beat.running, 3u);
  EXPECT_EQ(beat.waiting, 4u);
  EXPECT_EQ(beat.blocks_free, 5u);
  EXPECT_EQ(beat.preemptions, 6u);
  EXPECT_EQ(beat.step_age_ms, 7);
  EXPECT_EQ(beat.step_rows, 8u);
  EXPECT_EQ(beat.descriptors, 9u);
  EXPECT_EQ(beat.threads, 10u);
  EXPECT_EQ(beat.load.work, LoadProgress::Work::checking);
  EXPECT_EQ(beat.load.bytes, 11'000'000'000u);
  EXPECT_EQ(beat.load.bytes_in_all, 16'000'000'000u);
  EXPECT_EQ(beat.load.tensors, 17u);
  EXPECT_EQ(beat.load.tensors_in_all, 18u);
  EXPECT_EQ(beat.compute_threads, 12u);
  EXPECT_EQ(beat.compute_lost_permille, 13u);
  EXPECT_EQ(beat.paused, 14u);
  EXPECT_EQ(beat.commands, 15'000'000'000u);
}

TEST(WorkerProtocol, CarriesOutputsWithAndWithoutLogprobs) {
  SequenceOutput one;
  one.id.value = 1;
  one.tokens = {151642};
  SequenceOutput none;
  none.id.value = 2;
  none.finish = Finish::stop_token;
  Tokens sent{.outputs = {one, full_output(), none}, .rows = 300, .step_us = 1'234'567};

  Tokens got = through_to_front(sent);

  ASSERT_EQ(got.outputs.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i)
    expect_equal(got.outputs[i], sent.outputs[i]);
  EXPECT_EQ(got.rows, 300u);
  EXPECT_EQ(got.step_us, 1'234'567);
}

TEST(WorkerProtocol, CarriesThousandsOfOutputsInAFewBytesEach) {
  Tokens sent;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    SequenceOutput& output = sent.outputs.emplace_back();
    output.id.value = 1'000'000 + i;
    output.first_index = 100;
    output.tokens = {static_cast<TokenId>(i)};
  }

  std::string payload = payload_of(ToFront(sent));
  auto got = decode_to_front(payload);

  EXPECT_LE(payload.size(), 5000u * 12);
  ASSERT_TRUE(got);
  ASSERT_EQ(std::get<Tokens>(*got).outputs.size(), 5000u);
  EXPECT_EQ(std::get<Tokens>(*got).outputs[4999].tokens, std::vector<TokenId>{4999});
}

// --- what may change, and what may not -----------------------------------------------------------

TEST(WorkerProtocol, CutsLongSentencesAndRepairsBrokenOnes) {
  Bye cut = through_to_front(Bye{ErrorCode::internal, std::string(10'000, 'x')});
  EXPECT_EQ(cut.message.size(), 4096u);

  Bye repaired = through_to_front(Bye{ErrorCode::internal, "bad \xff byte"});
  EXPECT_EQ(repaired.message, "bad \xEF\xBF\xBD byte");
}

TEST(WorkerProtocol, IgnoresElementsOfLaterVersions) {
  std::string payload;
  MsgpackWriter(payload).array(6).u64(2).u64(9).u64(4).string("later").map(0).nil();

  auto message = decode_to_worker(payload);

  ASSERT_TRUE(message);
  EXPECT_EQ(std::get<Cancel>(*message).epoch, 4u);
}

TEST(WorkerProtocol, IgnoresElementsOfLaterVersionsInsideAnOutput) {
  std::string payload;
  MsgpackWriter out(payload);
  out.array(4).u64(19).array(2);
  out.array(6).u64(1).u64(2).u64(3).u64(4).u64(1).string("later");
  out.array(5).u64(5).u64(0).u64(0).u64(6).u64(0);
  out.u64(2).i64(0);

  auto message = decode_to_front(payload);

  ASSERT_TRUE(message) << message.error().message;
  const auto& outputs = std::get<Tokens>(*message).outputs;
  ASSERT_EQ(outputs.size(), 2u);
  EXPECT_EQ(outputs[0].finish, Finish::stop_token);
  EXPECT_EQ(outputs[1].id, SequenceId{5});
}

TEST(WorkerProtocol, RefusesUnknownTypesAndTheOtherDirection) {
  std::string payload;
  MsgpackWriter(payload).array(1).u64(99);
  EXPECT_EQ(decode_to_worker(payload).error().code, ErrorCode::data_loss);
  EXPECT_NE(decode_to_front(payload).error().message.find("99"), std::string::npos);

  EXPECT_FALSE(decode_to_front(payload_of(ToWorker(Stop{}))));
  EXPECT_FALSE(decode_to_worker(payload_of(ToFront(Hello{}))));
}

/// The error that reading `payload` on the front's side gives.
std::string error_of(const std::string& payload) {
  auto message = decode_to_front(payload);
  if (message) return "none";
  EXPECT_EQ(message.error().code, ErrorCode::data_loss);
  return message.error().message;
}

TEST(WorkerProtocol, NamesTheFieldThatIsWrong) {
  std::string text_for_number;
  MsgpackWriter(text_for_number).array(4).u64(16).u64(1).string("pid").string("v");
  EXPECT_NE(error_of(text_for_number).find("pid"), std::string::npos);

  std::string too_large;
  MsgpackWriter(too_large)
      .array(14)
      .u64(21)
      .u64(1)
      .u64(std::uint64_t{1} << 32)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0)
      .u64(0);
  EXPECT_NE(error_of(too_large).find("running is 4294967296"), std::string::npos);

  std::string bad_enum;
  MsgpackWriter(bad_enum).array(2).u64(17).u64(3);
  EXPECT_NE(error_of(bad_enum).find("phase"), std::string::npos);

  std::string too_few;
  MsgpackWriter(too_few).array(2).u64(22).u64(0);
  EXPECT_NE(error_of(too_few).find("too few"), std::string::npos);

  std::string half_a_token;
  MsgpackWriter(half_a_token)
      .array(4)
      .u64(19)
      .array(1)
      .array(5)
      .u64(1)
      .u64(0)
      .u64(0)
      .bytes("abc")
      .u64(0)
      .u64(0)
      .i64(0);
  EXPECT_NE(error_of(half_a_token).find("tokens"), std::string::npos);

  std::string negative;
  MsgpackWriter(negative)
      .array(4)
      .u64(19)
      .array(1)
      .array(5)
      .u64(1)
      .u64(0)
      .u64(0)
      .bytes("\xff\xff\xff\xff")
      .u64(0)
      .u64(0)
      .i64(0);
  EXPECT_NE(error_of(negative).find("token -1"), std::string::npos);

  std::string long_text;
  MsgpackWriter(long_text).array(3).u64(22).u64(0).string(std::string(4097, 'x'));
  EXPECT_NE(error_of(long_text).find("message has 4097 bytes"), std::string::npos);
}

TEST(WorkerProtocol, RefusesAnArrayThatPromisesMoreThanThereIs) {
  std::string payload("\x92\x13\xdd\xff\xff\xff\xff", 7);  // outputs: 2^32 - 1 elements

  EXPECT_NE(error_of(payload), "none");
}

// --- damage --------------------------------------------------------------------------------------

std::vector<std::string> payloads_to_worker() {
  return {payload_of(ToWorker(full_start())),
          payload_of(ToWorker(Start{})),
          payload_of(ToWorker(Grant{SequenceId{1}, 2, 300})),
          payload_of(ToWorker(Cancel{SequenceId{1}, 2})),
          payload_of(ToWorker(Stop{true}))};
}

std::vector<std::string> payloads_to_front() {
  SequenceOutput one;
  one.tokens = {7};
  return {payload_of(ToFront(Hello{.pid = 1, .version = "0.1.0"})),
          payload_of(ToFront(Phase{})),
          payload_of(ToFront(Ready{.slots = 1, .architecture = "hash", .level = "portable"})),
          payload_of(ToFront(Tokens{.outputs = {one, full_output()}, .rows = 2, .step_us = 3})),
          payload_of(ToFront(Failed{SequenceId{1}, 1, ErrorCode::data_loss, "not finite"})),
          payload_of(ToFront(Heartbeat{.steps = 70'000, .descriptors = 300, .threads = 7})),
          payload_of(ToFront(Bye{ErrorCode::none, "stopped"}))};
}

TEST(WorkerProtocol, RefusesEveryTruncation) {
  for (const std::string& whole : payloads_to_worker())
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(decode_to_worker(std::string_view(whole).substr(0, size)));
  for (const std::string& whole : payloads_to_front())
    for (std::size_t size = 0; size < whole.size(); ++size)
      EXPECT_FALSE(decode_to_front(std::string_view(whole).substr(0, size)));
}

// Whatever a damaged payload reads as, it can be written and read again: nothing half-made comes
// out.
TEST(WorkerProtocol, SurvivesEveryDamagedByte) {
  std::mt19937 random(11);
  int read = 0;
  int refused = 0;
  auto check = [&](const std::string& whole, auto decode) {
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int trial = 0; trial < 16; ++trial) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(random());
        if (trial % 4 == 3) damaged[random() % damaged.size()] = static_cast<char>(random());
        auto message = decode(damaged);
        if (!message) {
          ++refused;
          EXPECT_EQ(message.error().code, ErrorCode::data_loss);
          continue;
        }
        ++read;
        EXPECT_TRUE(decode(payload_of(*message)));
      }
    }
  };
  for (const std::string& whole : payloads_to_worker())
    check(whole, decode_to_worker);
  for (const std::string& whole : payloads_to_front())
    check(whole, decode_to_front);

  EXPECT_GT(read, 0);
  EXPECT_GT(refused, 0);
}

}  // namespace
}  // namespace sluice::wire
