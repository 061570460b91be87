// The envelope of the worker link: what is damaged, missing or doubled never becomes a message.
#include "worker/link_codec.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr std::uint32_t kAlmostAround = 0xFFFFFFFE;

wire::ToFront beat(std::uint64_t steps) {
  return wire::Heartbeat{.steps = steps, .commands = 200};  // its last byte is not zero
}

std::string payload_of(const wire::ToFront& message) {
  std::string payload;
  wire::encode(message, payload);
  return payload;
}

/// The frames of heartbeats with the steps 0, 1, 2, ..., one string each.
std::vector<std::string> frames_of(std::size_t count, std::uint32_t first = 0) {
  LinkWriter writer(first);
  std::vector<std::string> frames(count);
  for (std::size_t i = 0; i < count; ++i)
    writer.append(beat(i), frames[i]);
  return frames;
}

struct Heard {
  std::vector<std::string> payloads;
  std::string error;  ///< empty: none
};

/// Reads all that is there.
Heard drain(LinkReader& reader) {
  Heard heard;
  for (;;) {
    auto next = reader.next();
    if (!next) {
      EXPECT_EQ(next.error().code, ErrorCode::data_loss);
      heard.error = next.error().message;
      EXPECT_EQ(reader.next().error().message, heard.error) << "the link is dead";
      return heard;
    }
    if (!*next) return heard;
    heard.payloads.emplace_back(**next);
  }
}

Heard read(std::string_view bytes, std::uint32_t first = 0) {
  LinkReader reader(first);
  reader.feed(bytes);
  return drain(reader);
}

std::vector<std::string> beats(std::size_t count) {
  std::vector<std::string> payloads;
  for (std::size_t i = 0; i < count; ++i)
    payloads.push_back(payload_of(beat(i)));
  return payloads;
}

TEST(LinkCodec, CarriesMessagesInBothDirections) {
  LinkWriter writer;
  std::string bytes;
  writer.append(wire::ToWorker(wire::Cancel{SequenceId{7}, 3}), bytes);
  writer.append(wire::ToWorker(wire::Stop{true}), bytes);

  Heard heard = read(bytes);

  ASSERT_EQ(heard.payloads.size(), 2U) << heard.error;
  auto cancel = wire::decode_to_worker(heard.payloads[0]);
  ASSERT_TRUE(cancel);
  EXPECT_EQ(std::get<wire::Cancel>(*cancel).epoch, 3U);
  EXPECT_EQ(read(frames_of(1)[0]).payloads, beats(1));
}

TEST(LinkCodec, ReadsTheSameFromSlicesOfOneByte) {
  LinkReader reader;
  std::vector<std::string> payloads;
  for (const std::string& frame : frames_of(20)) {
    for (char byte : frame) {
      reader.feed(std::string_view(&byte, 1));
      Heard heard = drain(reader);
      ASSERT_EQ(heard.error, "");
      payloads.insert(payloads.end(), heard.payloads.begin(), heard.payloads.end());
    }
    EXPECT_TRUE(reader.empty());
  }

  EXPECT_EQ(payloads, beats(20));
}

// A flipped length may make the reader wait for bytes that never come: it is silent then, and says
// so as soon as enough bytes are there.
TEST(LinkCodec, RefusesEveryFlippedBit) {
  auto frames = frames_of(3);
  // As many bytes behind the damaged frame as a length of up to 2^16 more can ask for.
  LinkWriter writer(3);
  std::string behind;
  while (behind.size() < (std::size_t{1} << 16) + 100)
    writer.append(beat(9), behind);
  std::size_t silent = 0;
  for (std::size_t bit = 0; bit < frames[1].size() * 8; ++bit) {
    std::string damaged = frames[1];
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));

    Heard heard = read(frames[0] + damaged + frames[2] + behind);

    EXPECT_EQ(heard.payloads, beats(1)) << "bit " << bit;
    if (heard.error.empty()) ++silent;
  }
  EXPECT_EQ(silent, 9U) << "only lengths of 2^17 to 2^25 bytes more wait";
}

TEST(LinkCodec, RefusesAFrameThatWasCut) {
  auto frames = frames_of(3);
  for (std::size_t size = 1; size < frames[1].size(); ++size) {
    std::string cut = frames[1].substr(0, size);

    Heard heard = read(frames[0] + cut + frames[2] + frames[2] + frames[2] + frames[2]);

    EXPECT_EQ(heard.payloads, beats(1)) << "cut to " << size;
    EXPECT_NE(heard.error, "") << "cut to " << size;
  }
}

TEST(LinkCodec, SkipsAndCountsADoubledFrame) {
  auto frames = frames_of(3);
  LinkReader reader;

  reader.feed(frames[0] + frames[1] + frames[1] + frames[0] + frames[2]);

  EXPECT_EQ(drain(reader).payloads, beats(3));
  EXPECT_EQ(reader.doubled(), 2U);
}

TEST(LinkCodec, NamesTheGapWhereAFrameIsMissingOrLate) {
  auto frames = frames_of(18);
  std::string until15;
  for (int i = 0; i <= 15; ++i)
    until15 += frames[static_cast<std::size_t>(i)];

  Heard heard = read(until15 + frames[17] + frames[16]);

  EXPECT_EQ(heard.payloads, beats(16));
  EXPECT_EQ(heard.error, "frame 17 after 15");
}

TEST(LinkCodec, CountsAroundTheEndOfTheNumbers) {
  auto frames = frames_of(5, kAlmostAround);
  LinkReader reader(kAlmostAround);

  reader.feed(frames[0] + frames[1] + frames[2] + frames[1] + frames[3]);

  EXPECT_EQ(drain(reader).payloads, beats(4));
  EXPECT_EQ(reader.doubled(), 1U);
  EXPECT_EQ(read(frames[0] + frames[1] + frames[3], kAlmostAround).error,
            "frame 1 after 4294967295");
}

TEST(LinkCodec, GivesTheNumberOfAFrameThatWasNotWrittenToTheNext) {
  LinkWriter writer;
  std::string bytes;
  std::string never;
  writer.append(beat(0), bytes);
  writer.append(beat(5), never);
  writer.take_back();
  writer.append(beat(1), bytes);

  EXPECT_EQ(read(bytes).payloads, beats(2));
}

TEST(LinkCodec, RefusesFramesTooShortForAMessageAndTooLongForTheLimit) {
  EXPECT_EQ(read(std::string("\0\0\0\x8\0\0\0\0\0\0\0\0", 12)).error,
            "a frame of 8 bytes, it needs 9");
  EXPECT_NE(read("\x7f\xff\xff\xff").error.find("2147483647"), std::string::npos);
  EXPECT_NE(read(std::string("\0\0\0\0", 4)).error, "");
}

}  // namespace
}  // namespace sluice
