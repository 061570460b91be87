#include "codec.h"

#include "vectors.h"
#include <gtest/gtest.h>

#include <string>

namespace sluice::client::detail {
namespace {

TEST(Codec, ReadsAndWritesEveryGoldenFrame) {
  for (const char* name : {"hello",
                           "hello_anonymous",
                           "welcome",
                           "request",
                           "request_without_meta",
                           "item",
                           "item_2",
                           "end",
                           "end_error",
                           "response",
                           "response_error",
                           "cancel",
                           "credit",
                           "credit_connection",
                           "ping",
                           "pong",
                           "goaway",
                           "notify",
                           "fatal"}) {
    const std::string frame = vector_of(name);
    Splitter splitter(1 << 20);
    splitter.feed(frame);
    auto payload = splitter.next();
    ASSERT_TRUE(payload) << name;
    auto message = decode(*payload);
    ASSERT_TRUE(message) << name;
    EXPECT_EQ(encode(message->array()), frame) << name;
  }
  EXPECT_EQ(kPreface, vector_of("preface"));
}

TEST(Codec, KeepsEveryKindOfValue) {
  const Value::Array all{nullptr,
                         true,
                         -5,
                         std::int64_t{1} << 40,
                         0.25,
                         "text",
                         Value::Bytes{std::string("\x00\xFF", 2)},
                         Value::Array{1, Value::Array()},
                         Value::Map{{"a", 1}, {"b", Value::Map()}}};
  const std::string frame = encode(all);

  EXPECT_EQ(decode(std::string_view(frame).substr(4)), Value(all));
}

TEST(Codec, RefusesWhatIsCutOrTooDeepOrFollowedBySomething) {
  const std::string frame = encode({1, Value::Map{{"key", "value"}}, Value::Array{2, 3}});
  const std::string_view payload = std::string_view(frame).substr(4);
  for (std::size_t size = 0; size < payload.size(); ++size)
    EXPECT_FALSE(decode(payload.substr(0, size))) << size;
  EXPECT_FALSE(decode(std::string(payload) + '\x01'));
  EXPECT_FALSE(decode(std::string(40, '\x91') + '\x01'));
  EXPECT_FALSE(decode("\xC1"));
  // A key that is no text.
  EXPECT_FALSE(decode("\x81\x01\x02"));
  // A million of elements that are only declared.
  EXPECT_FALSE(decode(std::string("\xDD\x00\x0F\x42\x40", 5)));
}

TEST(Splitter, TakesBytesInAnySlices) {
  const std::string frames = encode({1}) + encode({2, "longer"});
  for (std::size_t slice = 1; slice < frames.size(); ++slice) {
    Splitter splitter(100);
    std::size_t found = 0;
    for (std::size_t at = 0; at < frames.size(); at += slice) {
      splitter.feed(std::string_view(frames).substr(at, slice));
      while (splitter.next())
        ++found;
    }
    EXPECT_EQ(found, 2U) << slice;
  }
}

TEST(Splitter, EndsAtAFrameThatIsTooLargeOrEmpty) {
  for (const std::string& prefix :
       {std::string("\x00\x00\x00\x65", 4), std::string("\x00\x00\x00\x00", 4)}) {
    Splitter splitter(100);
    splitter.feed(prefix);
    EXPECT_FALSE(splitter.next());
    EXPECT_TRUE(splitter.broken());
  }
}

TEST(Value, ReadsWhatIsNotThereAsNothing) {
  const Value value = Value::Map{{"a", Value::Array{1, "x"}}};

  EXPECT_EQ(value["a"][0].integer(), 1);
  EXPECT_EQ(value["a"][1].text(), "x");
  EXPECT_TRUE(value["a"][2].is_nil());
  EXPECT_TRUE(value["b"]["c"].is_nil());
  EXPECT_EQ(value["a"].text(), "");
  EXPECT_EQ(Value(3).number(), 3.0);
}

}  // namespace
}  // namespace sluice::client::detail
