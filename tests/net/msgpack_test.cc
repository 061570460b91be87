// MessagePack: golden vectors of the binary protocol, every limit, and damage at every byte.
#include "net/msgpack.h"

#include "net/frame.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <vector>

namespace sluice {
namespace {

constexpr std::size_t kPayloadMax = std::size_t{16} << 20;

std::string from_hex(std::string_view hex) {
  std::string bytes;
  int high = -1;
  for (const char c : hex) {
    if (c == ' ') continue;
    const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
    if (high < 0) {
      high = digit;
    } else {
      bytes.push_back(static_cast<char>(high * 16 + digit));
      high = -1;
    }
  }
  return bytes;
}

/// Whole frames as Python's msgpack packs them.
const std::map<std::string, std::string>& golden() {
  static const std::map<std::string, std::string> vectors = {
      {"HELLO",
       from_hex("00 00 00 52 92 0a 85 a6 63 6c 69 65 6e 74 a3 74 2f 31 a4 61 75 74 68 82 a6 73 63 "
                "68 65 6d 65 a6 62 65 61 72 65 72 a5 74 6f 6b 65 6e a1 4b a8 66 65 61 74 75 72 65 "
                "73 90 a9 6d 61 78 5f 66 72 61 6d 65 ce 00 10 00 00 ad 73 74 72 65 61 6d 5f 63 72 "
                "65 64 69 74 40")},
      {"WELCOME",
       from_hex("00 00 00 75 92 0b 89 a6 73 65 72 76 65 72 ac 73 6c 75 69 63 65 2f 31 2e 30 2e 30 "
                "a7 76 65 72 73 69 6f 6e a3 31 2e 30 a7 73 65 73 73 69 6f 6e a2 73 31 a8 66 65 61 "
                "74 75 72 65 73 90 a9 6d 61 78 5f 66 72 61 6d 65 ce 00 10 00 00 ac 6d 61 78 5f 69 "
                "6e 66 6c 69 67 68 74 cd 01 00 a7 70 69 6e 67 5f 6d 73 cd 3a 98 a6 6d 6f 64 65 6c "
                "73 91 a1 6d a7 74 69 6d 65 5f 6d 73 00")},
      {"REQUEST",
       from_hex("00 00 00 45 95 00 01 b2 63 6f 6d 70 6c 65 74 69 6f 6e 73 2e 63 72 65 61 74 65 83 "
                "a6 70 72 6f 6d 70 74 a2 68 69 aa 6d 61 78 5f 74 6f 6b 65 6e 73 02 a6 73 74 72 65 "
                "61 6d c3 81 ab 64 65 61 64 6c 69 6e 65 5f 6d 73 cd 03 e8")},
      {"ITEM", from_hex("00 00 00 10 94 03 01 00 83 a1 63 00 a1 74 a1 61 a1 6b 91 61")},
      {"ITEM 2",
       from_hex("00 00 00 19 94 03 01 01 84 a1 63 00 a1 74 a1 62 a1 6b 91 62 a1 66 a6 6c 65 6e 67 "
                "74 68")},
      {"END",
       from_hex("00 00 00 44 94 04 01 c0 82 a5 75 73 61 67 65 83 ad 70 72 6f 6d 70 74 5f 74 6f 6b "
                "65 6e 73 02 b1 63 6f 6d 70 6c 65 74 69 6f 6e 5f 74 6f 6b 65 6e 73 02 ac 74 6f 74 "
                "61 6c 5f 74 6f 6b 65 6e 73 04 a5 6d 6f 64 65 6c a1 6d")},
      {"RESPONSE error",
       from_hex("00 00 00 9b 94 01 02 86 a4 63 6f 64 65 af 6d 6f 64 65 6c 5f 6e 6f 74 5f 66 6f 75 "
                "6e 64 a4 74 79 70 65 b5 69 6e 76 61 6c 69 64 5f 72 65 71 75 65 73 74 5f 65 72 72 "
                "6f 72 a7 6d 65 73 73 61 67 65 d9 3d 54 68 65 20 6d 6f 64 65 6c 20 60 78 60 20 64 "
                "6f 65 73 20 6e 6f 74 20 65 78 69 73 74 20 6f 72 20 79 6f 75 20 64 6f 20 6e 6f 74 "
                "20 68 61 76 65 20 61 63 63 65 73 73 20 74 6f 20 69 74 2e a5 70 61 72 61 6d a5 6d "
                "6f 64 65 6c a4 68 74 74 70 cd 01 94 a9 72 65 74 72 79 61 62 6c 65 c2 c0")},
      {"CANCEL", from_hex("00 00 00 0a 93 05 01 a6 63 6c 69 65 6e 74")},
      {"CREDIT", from_hex("00 00 00 04 93 06 01 40")},
      {"PING", from_hex("00 00 00 03 92 07 01")},
      {"GOAWAY", from_hex("00 00 00 0f 94 09 01 a8 64 72 61 69 6e 69 6e 67 cd af c8")},
      {"FATAL",
       from_hex("00 00 00 1b 93 0c a9 62 61 64 5f 66 72 61 6d 65 ae 74 72 61 69 6c 69 6e 67 20 62 "
                "79 74 65 73")},
  };
  return vectors;
}

/// Writes the next value again as it was read.
void copy_value(MsgpackCursor& from, MsgpackWriter& to) {
  switch (from.peek()) {
    case MsgpackKind::nil:
      from.nil();
      to.nil();
      break;
    case MsgpackKind::boolean:
      to.boolean(from.boolean("value"));
      break;
    case MsgpackKind::uint:
      to.u64(from.u64("value"));
      break;
    case MsgpackKind::sint:
      to.i64(from.i64("value"));
      break;
    case MsgpackKind::real:
      to.f64(from.f64("value"));
      break;
    case MsgpackKind::text:
      to.string(from.string("value"));
      break;
    case MsgpackKind::bytes:
      to.bytes(from.bytes("value"));
      break;
    case MsgpackKind::timestamp:
      from.skip();
      break;
    case MsgpackKind::array: {
      const std::size_t count = from.array("value");
      to.array(count);
      for (std::size_t i = 0; i < count; ++i)
        copy_value(from, to);
      break;
    }
    case MsgpackKind::map: {
      const std::size_t pairs = from.map("value");
      to.map(pairs);
      for (std::size_t i = 0; i < 2 * pairs; ++i)
        copy_value(from, to);
      break;
    }
  }
}

/// The error of a payload that must be refused.
std::string refusal(MsgpackReader& reader, const std::string& payload) {
  const auto cursor = reader.parse(payload);
  EXPECT_FALSE(cursor);
  return cursor ? "accepted" : cursor.error().message;
}

TEST(MsgpackReader, ReadsEveryGoldenFrameAndTheWriterWritesItBackUnchanged) {
  for (const auto& [name, bytes] : golden()) {
    FrameSplitter splitter(kPayloadMax);
    splitter.feed(bytes);
    const auto payload = splitter.next();
    ASSERT_TRUE(payload && payload->has_value()) << name;
    MsgpackReader reader;
    auto cursor = reader.parse(**payload);
    ASSERT_TRUE(cursor) << name << ": " << cursor.error().message;

    std::string written;
    const std::size_t start = begin_frame(written);
    MsgpackWriter writer(written);
    copy_value(*cursor, writer);
    end_frame(written, start);

    EXPECT_TRUE(cursor->result()) << name;
    EXPECT_EQ(written, bytes) << name;
  }
}

TEST(MsgpackWriter, WritesTheGoldenRequestFieldByField) {
  std::string written;
  const std::size_t start = begin_frame(written);
  MsgpackWriter writer(written);
  writer.array(5).u64(0).u64(1).string("completions.create");
  writer.map(3).string("prompt").string("hi").string("max_tokens").u64(2);
  writer.string("stream").boolean(true);
  writer.map(1).string("deadline_ms").u64(1000);
  end_frame(written, start);

  EXPECT_EQ(written, golden().at("REQUEST"));
}

TEST(MsgpackReader, ReadsEveryFormOfANumber) {
  // Five in every unsigned and signed form, then negative numbers, then the extremes.
  const std::string payload = from_hex(
      "dc 00 0e 05 cc 05 cd 00 05 ce 00 00 00 05 cf 00 00 00 00 00 00 00 05 d0 05 d1 00 05 "
      "d2 00 00 00 05 d3 00 00 00 00 00 00 00 05 e0 d0 80 d3 80 00 00 00 00 00 00 00 "
      "cf ff ff ff ff ff ff ff ff ca 3f c0 00 00");
  MsgpackReader reader;
  auto cursor = reader.parse(payload);
  ASSERT_TRUE(cursor) << cursor.error().message;

  EXPECT_EQ(cursor->array("numbers", 14), 14U);
  for (int i = 0; i < 9; ++i)
    EXPECT_EQ(cursor->u64("five"), 5U) << i;
  EXPECT_EQ(cursor->i64("small"), -32);
  EXPECT_EQ(cursor->i64("byte"), -128);
  EXPECT_EQ(cursor->i64("least"), std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(cursor->u64("most"), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(cursor->f32("real"), 1.5F);
  EXPECT_TRUE(cursor->result());
  EXPECT_TRUE(cursor->at_end());
}

TEST(MsgpackReader, ReadsWhatTheWriterWrote) {
  std::string written;
  MsgpackWriter(written)
      .array(8)
      .nil()
      .boolean(false)
      .i64(-70000)
      .f64(0.1)
      .f32(-2.5F)
      .string("käse")
      .bytes(std::string_view("\0\xff", 2))
      .u64(1'000'000'000'000);
  MsgpackReader reader;
  auto cursor = reader.parse(written);
  ASSERT_TRUE(cursor);

  EXPECT_EQ(cursor->array("all", 8), 8U);
  EXPECT_TRUE(cursor->nil());
  EXPECT_FALSE(cursor->boolean("flag"));
  EXPECT_EQ(cursor->i64("signed"), -70000);
  EXPECT_EQ(cursor->f64("double"), 0.1);
  EXPECT_EQ(cursor->f32("float"), -2.5F);
  EXPECT_EQ(cursor->string("text"), "käse");
  EXPECT_EQ(cursor->bytes("data"), std::string_view("\0\xff", 2));
  EXPECT_EQ(cursor->u64("large"), 1'000'000'000'000U);
  EXPECT_TRUE(cursor->result());
}

TEST(MsgpackReader, ReadsThousandsOfTokensAtOnce) {
  std::vector<std::uint32_t> tokens;
  for (std::uint32_t i = 0; i < 20000; ++i)
    tokens.push_back(i * 17 % 128256);
  std::string written;
  MsgpackWriter(written).array(2).u32s(tokens).f32s(std::vector<float>{0.5F, -1});
  MsgpackReader reader;
  auto cursor = reader.parse(written);
  ASSERT_TRUE(cursor);

  std::vector<std::uint32_t> read;
  std::vector<float> reals;
  cursor->array("message", 2);
  cursor->u32s("tokens", read);
  cursor->f32s("logprobs", reals);

  EXPECT_TRUE(cursor->result());
  EXPECT_EQ(read, tokens);
  EXPECT_EQ(reals, (std::vector<float>{0.5F, -1}));
}

TEST(MsgpackCursor, NamesTheFirstFieldThatIsWrongAndThenReadsNothing) {
  std::string written;
  MsgpackWriter(written).array(3).u64(7).string("seven").u64(8);
  MsgpackReader reader;
  auto cursor = reader.parse(written);
  ASSERT_TRUE(cursor);

  cursor->array("message", 3);
  EXPECT_EQ(cursor->u64("epoch"), 7U);
  EXPECT_EQ(cursor->u64("slot"), 0U);
  EXPECT_EQ(cursor->u64("credit"), 0U);
  EXPECT_EQ(cursor->array("tokens"), 0U);

  ASSERT_FALSE(cursor->result());
  EXPECT_EQ(cursor->result().error().message, "msgpack: slot must be an integer of 0 or more");
}

TEST(MsgpackCursor, RefusesNumbersThatDoNotFitTheField) {
  std::string written;
  MsgpackWriter(written).u64(std::uint64_t{1} << 32);
  MsgpackReader reader;
  auto cursor = reader.parse(written);
  ASSERT_TRUE(cursor);

  EXPECT_EQ(cursor->u32("slot"), 0U);

  EXPECT_EQ(cursor->result().error().message,
            "msgpack: slot is 4294967296, the limit is 4294967295");
}

TEST(MsgpackCursor, RefusesATokenOutsideTheVocabulary) {
  std::string written;
  MsgpackWriter(written).u32s(std::vector<std::uint32_t>{1, 2, 300});
  MsgpackReader reader;
  auto cursor = reader.parse(written);
  ASSERT_TRUE(cursor);

  std::vector<std::uint32_t> tokens;
  cursor->u32s("tokens", tokens, 255);

  EXPECT_FALSE(cursor->ok());
}

TEST(MsgpackCursor, SkipsElementsOfALaterVersionWithAllTheyContain) {
  std::string written;
  MsgpackWriter(written).array(4).u64(1).array(2).map(1).string("k").array(0).nil().u64(2).u64(3);
  MsgpackReader reader;
  auto cursor = reader.parse(written);
  ASSERT_TRUE(cursor);

  const std::size_t count = cursor->array("message", 1);
  EXPECT_EQ(cursor->u64("first"), 1U);
  cursor->skip();
  EXPECT_EQ(cursor->u64("third"), 2U);
  cursor->skip(count - 3);

  EXPECT_TRUE(cursor->at_end());
  EXPECT_TRUE(cursor->result());
}

TEST(MsgpackCursor, FailsWhenAnArrayIsShorterThanTheMessage) {
  std::string written;
  MsgpackWriter(written).array(1).u64(1);
  MsgpackReader reader;
  auto cursor = reader.parse(written);
  ASSERT_TRUE(cursor);

  EXPECT_EQ(cursor->array("Start", 5), 0U);

  EXPECT_EQ(cursor->result().error().message,
            "msgpack: Start has 1 elements, at least 5 are needed");
}

TEST(MsgpackReader, AllocatesNothingForElementsThatAreOnlyDeclared) {
  for (const char* head : {"dd ff ff ff ff", "df ff ff ff ff", "df 7f ff ff ff"}) {
    MsgpackReader reader;
    EXPECT_EQ(refusal(reader, from_hex(head) + std::string(1000, '\0')),
              "msgpack: more elements than the limit or the payload");
    EXPECT_EQ(reader.capacity_bytes(), 0U);
  }
  MsgpackReader reader;
  EXPECT_EQ(refusal(reader, from_hex("db ff ff ff ff") + "text"),
            "msgpack: the payload ends within a value");
  EXPECT_EQ(refusal(reader, from_hex("c6 ff ff ff ff") + "data"),
            "msgpack: the payload ends within a value");
  EXPECT_EQ(reader.capacity_bytes(), 0U);
}

TEST(MsgpackReader, CountsTheElementsOfAllContainersTogether) {
  MsgpackReader reader({.depth_max = 32, .elements_max = 10});
  std::string written;
  MsgpackWriter(written).array(3);
  for (int i = 0; i < 3; ++i)
    MsgpackWriter(written).array(2).u64(1).u64(2);
  EXPECT_TRUE(reader.parse(written));  // 3 + 3 * 2 are 9

  std::string more;
  MsgpackWriter(more).array(3);
  for (int i = 0; i < 2; ++i)
    MsgpackWriter(more).map(1).string("k").u64(2);
  MsgpackWriter(more).map(2).string("a").u64(1).string("b").u64(2);  // 3 + 2 + 2 + 4 are 11

  EXPECT_EQ(refusal(reader, more), "msgpack: more elements than the limit or the payload");
}

TEST(MsgpackReader, RefusesMoreThan32Levels) {
  const auto nested = [](int levels) {
    return std::string(static_cast<std::size_t>(levels - 1), '\x91') + '\x90';
  };
  MsgpackReader reader;

  EXPECT_TRUE(reader.parse(nested(32)));
  EXPECT_EQ(refusal(reader, nested(33)), "msgpack: nesting that is too deep");
  EXPECT_EQ(refusal(reader, nested(100000)), "msgpack: nesting that is too deep");
}

TEST(MsgpackReader, RefusesTextThatIsNotUtf8) {
  MsgpackReader reader;
  EXPECT_EQ(refusal(reader, from_hex("a2 c3 28")), "msgpack: text that is not UTF-8");
}

TEST(MsgpackReader, RefusesMapKeysThatAreNotText) {
  MsgpackReader reader;
  for (const char* payload : {"81 01 02",
                              "81 c0 02",
                              "81 c3 02",
                              "81 90 02",
                              "81 80 02",
                              "81 c4 01 61 02",
                              "81 ca 00 00 00 00 02",
                              "81 d6 ff 00 00 00 00 02"}) {
    EXPECT_EQ(refusal(reader, from_hex(payload)), "msgpack: a map key that is not text") << payload;
  }
}

TEST(MsgpackReader, RefusesKeysThatOccurTwiceInSmallAndLargeMaps) {
  MsgpackReader reader;
  EXPECT_EQ(refusal(reader, from_hex("82 a1 61 01 a1 61 02")),
            "msgpack: a map key that occurs twice");
  for (const int pairs : {9, 1000}) {
    for (const bool doubled : {false, true}) {
      std::string written;
      MsgpackWriter writer(written);
      writer.map(static_cast<std::size_t>(pairs));
      for (int i = 0; i < pairs; ++i) {
        writer.string("key " + std::to_string(doubled && i == pairs - 1 ? 0 : i)).u64(1);
      }
      EXPECT_EQ(reader.parse(written).has_value(), !doubled) << pairs;
    }
  }
  // The same key in different maps is no duplicate.
  EXPECT_TRUE(reader.parse(from_hex("82 a1 61 81 a1 61 01 a1 62 81 a1 61 02")));
}

TEST(MsgpackReader, KnowsNoExtensionButTimestamps) {
  MsgpackReader reader;
  EXPECT_TRUE(reader.parse(from_hex("d6 ff 00 00 00 01")));
  EXPECT_TRUE(reader.parse(from_hex("c7 0c ff 00 00 00 00 00 00 00 00 00 00 00 01")));
  EXPECT_EQ(refusal(reader, from_hex("d6 01 00 00 00 01")),
            "msgpack: an extension type that is not a timestamp");
  EXPECT_EQ(refusal(reader, from_hex("c7 00 ff")),
            "msgpack: an extension type that is not a timestamp");
}

TEST(MsgpackReader, RefusesTrailingBytesAndEmptyPayloads) {
  MsgpackReader reader;
  EXPECT_EQ(refusal(reader, from_hex("91 01 02 03")), "msgpack: 2 trailing bytes");
  EXPECT_EQ(refusal(reader, ""), "msgpack: an empty payload");
  EXPECT_EQ(refusal(reader, from_hex("c1")), "msgpack: a byte that begins no value");
}

TEST(MsgpackReader, SurvivesEveryTruncationAndEveryDamagedByte) {
  const std::string transcript = golden().at("HELLO") + golden().at("REQUEST");
  const auto read_all = [](std::string_view bytes) {
    FrameSplitter splitter(kPayloadMax);
    MsgpackReader reader;
    splitter.feed(bytes);
    int messages = 0;
    for (;;) {
      const auto payload = splitter.next();
      if (!payload || !payload->has_value()) break;
      const auto cursor = reader.parse(**payload);
      messages += cursor ? 1 : 0;
    }
    EXPECT_LE(splitter.capacity() + reader.capacity_bytes(), std::size_t{64} << 10);
    return messages;
  };
  EXPECT_EQ(read_all(transcript), 2);
  for (std::size_t size = 0; size < transcript.size(); ++size) {
    EXPECT_LT(read_all(std::string_view(transcript).substr(0, size)), 2);
  }
  for (std::size_t at = 0; at < transcript.size(); ++at) {
    for (int value = 0; value < 256; ++value) {
      std::string damaged = transcript;
      damaged[at] = static_cast<char>(value);
      EXPECT_LE(read_all(damaged), 2);
    }
  }
}

}  // namespace
}  // namespace sluice
