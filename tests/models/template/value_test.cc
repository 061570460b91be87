// Values, the heap they live in, and texts with origins.
#include "models/template/value.h"

#include "models/template/failure.h"
#include "models/template/json_text.h"
#include "models/template/numbers.h"
#include "models/template/text.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include <string>

namespace sluice::jinja {
namespace {

TEST(ValueHeap, KeepsTheOrderOfDictsAndFindsEveryKey) {
  ValueHeap heap;
  Dict* dict = heap.dict();

  for (std::int64_t i = 0; i < 1000; ++i)
    heap.set(dict, heap.text("key" + std::to_string(i), Origin::untrusted), Value::of(i));
  heap.set(dict, Value::trusted("key500"), Value::of(std::int64_t(-1)));

  ASSERT_EQ(dict->size, 1000U);
  for (std::int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(dict->data[i].key.text.view(), "key" + std::to_string(i));
    const Value* found = dict->find("key" + std::to_string(i));
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->integer, i == 500 ? -1 : i);
  }
  EXPECT_EQ(dict->find("key1000"), nullptr);
}

TEST(ValueHeap, FindsKeysOfMixedKinds) {
  ValueHeap heap;
  Dict* dict = heap.dict();

  for (std::int64_t i = 0; i < 20; ++i)
    heap.set(dict, heap.text("t" + std::to_string(i), Origin::trusted), Value::of(i));
  heap.set(dict, Value::of(std::int64_t(1)), Value::trusted("one"));
  heap.set(dict, Value::of(true), Value::trusted("true is one"));
  heap.set(dict, Value::none(), Value::trusted("none"));

  EXPECT_EQ(dict->size, 22U);
  EXPECT_EQ(dict->find(Value::of(1.0))->text.view(), "true is one");
  EXPECT_EQ(dict->find(Value::none())->text.view(), "none");
  EXPECT_EQ(dict->find("t19")->integer, 19);
  EXPECT_EQ(dict->find(Value::of(std::int64_t(2))), nullptr);
}

TEST(ValueHeap, RefusesMoreThanItsBound) {
  ValueHeap heap(1000);

  heap.text(std::string(900, 'x'), Origin::trusted);

  EXPECT_THROW(heap.text(std::string(101, 'x'), Origin::trusted), TemplateFailure);
  EXPECT_THROW(heap.allocate<Value>(SIZE_MAX / 2), TemplateFailure);
  heap.text(std::string(50, 'x'), Origin::trusted);
}

TEST(ValueHeap, BuildsTextsPieceByPieceWithoutCopyingThem) {
  ValueHeap heap(1 << 20);
  Text text;

  // Copies of all the texts on the way would take 100 MB.
  for (int i = 0; i < 10'000; ++i) {
    text = heap.join(text, Text::trusted("ab"));
    if (i == 5) {
      EXPECT_EQ(text.view(), "abababababab");
    }
  }

  EXPECT_EQ(text.size, 20'000U);
  EXPECT_EQ(text.run_count, 0U);
}

TEST(ValueHeap, LeavesTextsAloneThatAreJoinedTwice) {
  ValueHeap heap;
  Text stem = heap.join(Text::trusted("a"), Text::trusted("b"));

  Text left = heap.join(stem, Text::trusted("left"));
  Text right = heap.join(stem, Text::trusted("right"));

  EXPECT_EQ(stem.view(), "ab");
  EXPECT_EQ(left.view(), "ableft");
  EXPECT_EQ(right.view(), "abright");
}

TEST(Text, KnowsTheOriginOfEveryByte) {
  ValueHeap heap;
  TextBuilder builder(heap);
  builder.append("ab", Origin::trusted);
  builder.append("cd", Origin::untrusted);
  builder.append("ef", Origin::untrusted);
  builder.append("g", Origin::trusted);

  Text text = builder.finish(heap).text;

  EXPECT_EQ(text.view(), "abcdefg");
  ASSERT_EQ(text.run_count, 3U);
  std::string origins;
  for (std::size_t i = 0; i < text.size; ++i)
    origins += origin_at(text, i) == Origin::trusted ? 't' : 'u';
  EXPECT_EQ(origins, "ttuuuut");
  EXPECT_EQ(slice_bytes(heap, text, 0, 2).origin, Origin::trusted);
  EXPECT_EQ(slice_bytes(heap, text, 2, 6).run_count, 0U);
  EXPECT_EQ(slice_bytes(heap, text, 1, 7).run_count, 3U);
}

TEST(Numbers, CompareExactly) {
  auto integer = [](std::int64_t i) { return Value::of(i); };
  constexpr std::int64_t kLarge = (std::int64_t(1) << 53) + 1;

  EXPECT_TRUE(compare_numbers(integer(kLarge), Value::of(9007199254740992.0)) > 0);
  EXPECT_TRUE(compare_numbers(Value::of(9007199254740992.0), integer(kLarge)) < 0);
  EXPECT_TRUE(compare_numbers(integer(INT64_MAX), Value::of(9223372036854775808.0)) < 0);
  EXPECT_TRUE(compare_numbers(integer(INT64_MIN), Value::of(-9223372036854775808.0)) == 0);
  EXPECT_TRUE(compare_numbers(integer(2), Value::of(2.5)) < 0);
  EXPECT_TRUE(compare_numbers(integer(-2), Value::of(-2.5)) > 0);
  EXPECT_TRUE(compare_numbers(Value::of(true), Value::of(1.0)) == 0);
  EXPECT_TRUE(compare_numbers(integer(0), Value::of(std::stod("nan"))) ==
              std::partial_ordering::unordered);
}

TEST(Numbers, AreReadAsPythonReadsThem) {
  EXPECT_EQ(parse_integer("-9223372036854775808", 10), INT64_MIN);
  EXPECT_EQ(parse_integer("9223372036854775807", 10), INT64_MAX);
  EXPECT_EQ(parse_integer("9223372036854775808", 10), std::nullopt);
  EXPECT_EQ(parse_integer("-9223372036854775809", 10), std::nullopt);
  EXPECT_EQ(parse_integer("-", 10), std::nullopt);
  EXPECT_EQ(parse_integer("0x", 16), std::nullopt);
  EXPECT_EQ(parse_number(""), std::nullopt);
  EXPECT_EQ(parse_number("1e5"), 100000.0);
  EXPECT_EQ(number_text(5e-324), "5e-324");
  EXPECT_EQ(number_text(-0.0), "-0.0");
}

TEST(ValueFromJson, TakesWhatJsonHas) {
  ValueHeap heap;

  Value value = *value_from_json(
      heap, boost::json::parse(R"({"a":[1,-2.5,true,null,"é"],"big":18446744073709551615})"));

  ASSERT_TRUE(value.is(Kind::dict));
  const List& list = *value.dict->find("a")->list;
  EXPECT_EQ(list.at(0).integer, 1);
  EXPECT_EQ(list.at(1).number, -2.5);
  EXPECT_TRUE(list.at(2).boolean);
  EXPECT_TRUE(list.at(3).is(Kind::none));
  EXPECT_EQ(list.at(4).text.view(), "é");
  EXPECT_EQ(list.at(4).text.origin, Origin::untrusted);
  EXPECT_EQ(list.at(0).origin, Origin::untrusted);
  EXPECT_EQ(value.dict->data[0].key.text.origin, Origin::untrusted);
  EXPECT_EQ(value.dict->find("big")->number, 18446744073709551615.0);
}

TEST(ValueFromJson, RefusesWhatNestsTooDeeply) {
  auto nested = [](int depth) {
    boost::json::value value = 1;
    for (int i = 0; i < depth; ++i) {
      boost::json::array outer;
      outer.push_back(std::move(value));
      value = std::move(outer);
    }
    return value;
  };
  ValueHeap heap;

  EXPECT_TRUE(value_from_json(heap, nested(64)));
  Result<Value> refused = value_from_json(heap, nested(65));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
}

TEST(FindBytes, FindsLongTextsWhereverTheyBegin) {
  const std::string wanted = std::string(6000, 'a') + "b";
  for (std::size_t before : {0, 1, 4095, 4096, 10096, 20000})
    EXPECT_EQ(find_bytes(std::string(before, 'a') + wanted + "c", wanted), before);
  EXPECT_EQ(find_bytes(std::string(30000, 'a'), wanted), std::string_view::npos);
}

}  // namespace
}  // namespace sluice::jinja
