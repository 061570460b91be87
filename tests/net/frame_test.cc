// Frames: how a stream of bytes is cut, and what is refused before memory is spent on it.
#include "net/frame.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr std::size_t kPayloadMax = std::size_t{16} << 20;

std::string frame(std::string_view payload) {
  std::string out;
  const std::size_t start = begin_frame(out);
  out.append(payload);
  end_frame(out, start);
  return out;
}

/// Every payload that is complete, in order; the error if there was one is reported by the test.
std::vector<std::string> drain(FrameSplitter& splitter) {
  std::vector<std::string> payloads;
  for (;;) {
    auto next = splitter.next();
    EXPECT_TRUE(next);
    if (!next || !next->has_value()) return payloads;
    payloads.emplace_back(**next);
  }
}

TEST(FrameSplitter, YieldsThePayloadsOfFramesFedAtOnce) {
  FrameSplitter splitter(kPayloadMax);

  splitter.feed(frame("one") + frame("two") + frame("three"));

  EXPECT_EQ(drain(splitter), (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_TRUE(splitter.empty());
}

TEST(FrameSplitter, YieldsTheSamePayloadsForEverySizeOfSlices) {
  std::string stream;
  std::vector<std::string> payloads;
  for (int i = 1; i < 60; ++i) {
    payloads.push_back(
        std::string(static_cast<std::size_t>(i * i * 7), static_cast<char>('a' + i % 26)));
    stream += frame(payloads.back());
  }
  for (const std::size_t slice : {1U, 2U, 3U, 5U, 64U, 4096U, 100000U}) {
    FrameSplitter splitter(kPayloadMax);
    std::vector<std::string> seen;
    for (std::size_t at = 0; at < stream.size(); at += slice) {
      splitter.feed(std::string_view(stream).substr(at, slice));
      for (auto& payload : drain(splitter))
        seen.push_back(std::move(payload));
    }
    EXPECT_EQ(seen, payloads) << "slices of " << slice;
  }
}

TEST(FrameSplitter, ReadsIntoItsOwnBufferWithoutACopy) {
  FrameSplitter splitter(kPayloadMax);
  const std::string bytes = frame("payload");

  bytes.copy(splitter.prepare(4096), bytes.size());
  splitter.commit(bytes.size());

  EXPECT_EQ(drain(splitter), std::vector<std::string>{"payload"});
}

TEST(FrameSplitter, HoldsNothingForALengthThatIsOnlyPromised) {
  FrameSplitter splitter(kPayloadMax);

  splitter.feed(std::string_view("\x01\x00\x00\x00half", 8));  // 16 MiB are promised

  EXPECT_TRUE(drain(splitter).empty());
  EXPECT_LE(splitter.capacity(), std::size_t{64} << 10);
}

TEST(FrameSplitter, RefusesALengthAboveTheLimitAsSoonAsItIsKnown) {
  FrameSplitter splitter(1000);

  splitter.feed(std::string_view("\x00\x00\x03\xe9", 4));

  const auto next = splitter.next();
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, ErrorCode::data_loss);
  EXPECT_EQ(next.error().message, "a frame of 1001 bytes, the limit is 1000");
  EXPECT_FALSE(splitter.next());
}

TEST(FrameSplitter, RefusesALengthOfZero) {
  FrameSplitter splitter(kPayloadMax);

  splitter.feed(std::string_view("\x00\x00\x00\x00", 4));

  EXPECT_FALSE(splitter.next());
}

TEST(FrameSplitter, GivesTheMemoryOfALargeFrameBack) {
  FrameSplitter splitter(kPayloadMax);
  splitter.feed(frame(std::string(std::size_t{4} << 20, 'x')));
  EXPECT_EQ(drain(splitter).size(), 1U);

  splitter.feed(frame("small"));

  EXPECT_EQ(drain(splitter), std::vector<std::string>{"small"});
  EXPECT_LE(splitter.capacity(), std::size_t{64} << 10);
}

TEST(FrameWriter, WritesTheLengthBeforeThePayload) {
  EXPECT_EQ(frame("abc"), std::string("\0\0\0\3abc", 7));
}

}  // namespace
}  // namespace sluice
