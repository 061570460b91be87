#include "api/msgpack_tape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

namespace sluice {
namespace {

using ::testing::HasSubstr;

/// A payload and a cursor over it.
struct Packed {
  template <class Fill>
  explicit Packed(Fill&& fill) {
    MsgpackWriter writer(bytes);
    fill(writer);
    auto parsed = reader.parse(bytes);
    EXPECT_TRUE(parsed);
    cursor = *parsed;
  }
  std::string bytes;
  MsgpackReader reader;
  MsgpackCursor cursor;
};

/// What is read of it, as MessagePack again.
std::string again(const Packed& packed,
                  const std::vector<std::pair<std::string_view, MsgpackCursor>>& more = {}) {
  auto tape = read_tape(packed.cursor, more);
  if (auto* fault = std::get_if<std::string>(&tape)) return *fault;
  std::string bytes;
  MsgpackWriter writer(bytes);
  write_tape(writer, std::get<JsonTape>(tape).root());
  return bytes;
}

TEST(MsgpackTape, KeepsEveryValue) {
  Packed packed([](MsgpackWriter& w) {
    w.map(6);
    w.string("text").string("h\xC3\xA9");
    w.string("numbers").array(4).i64(-7).u64(9).f64(0.5).i64(std::numeric_limits<int64_t>::min());
    w.string("flags").array(3).boolean(true).boolean(false).nil();
    w.string("nested").map(1).string("empty").map(0);
    w.string("list").array(0);
    w.string("").string("");
  });

  EXPECT_EQ(again(packed), packed.bytes);
}

TEST(MsgpackTape, ReadsWhatNoInt64HoldsAsANumberAsJsonDoes) {
  Packed packed([](MsgpackWriter& w) { w.map(1).string("n").u64(UINT64_MAX); });
  auto tape = read_tape(packed.cursor);
  auto value = *std::get<JsonTape>(tape).root().begin();

  EXPECT_TRUE(value.is(JsonKind::number));
  EXPECT_EQ(value.number(), static_cast<double>(UINT64_MAX));
}

TEST(MsgpackTape, RefusesWhatNoRequestHolds) {
  EXPECT_THAT(again(Packed([](MsgpackWriter& w) { w.map(1).string("prompt").bytes("x"); })),
              HasSubstr("bytes, where only text is taken, in prompt"));
  EXPECT_THAT(again(Packed([](MsgpackWriter& w) { w.map(1).string("t").f64(std::nan("")); })),
              HasSubstr("NaN"));
}

TEST(MsgpackTape, AddsMembersThatTheMapLacks) {
  Packed more([](MsgpackWriter& w) { w.i64(-3); });
  Packed lacks([](MsgpackWriter& w) { w.map(1).string("a").u64(1); });
  Packed has([](MsgpackWriter& w) { w.map(1).string("priority").u64(1); });
  Packed both([](MsgpackWriter& w) { w.map(2).string("a").u64(1).string("priority").i64(-3); });

  EXPECT_EQ(again(lacks, {{"priority", more.cursor}}), both.bytes);
  EXPECT_EQ(again(has, {{"priority", more.cursor}}), has.bytes);
}

}  // namespace
}  // namespace sluice
