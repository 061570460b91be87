#include "api/json_tape.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <variant>

namespace sluice {
namespace {

namespace json = boost::json;

/// The same document as Boost's own tree, to compare with what its parser makes of it.
json::value rebuilt(JsonTape::Value value) {
  switch (value.kind()) {
    case JsonKind::null:
      return nullptr;
    case JsonKind::boolean:
      return value.boolean();
    case JsonKind::integer:
      return value.integer();
    case JsonKind::number:
      return value.number();
    case JsonKind::string:
      return json::string(value.string());
    case JsonKind::array: {
      json::array array;
      for (JsonTape::Value entry : value)
        array.push_back(rebuilt(entry));
      EXPECT_EQ(array.size(), value.size());
      return array;
    }
    case JsonKind::object: {
      json::object object;
      for (JsonTape::Value member : value)
        object[member.key()] = rebuilt(member);
      EXPECT_EQ(object.size(), value.size());
      return object;
    }
  }
  return nullptr;
}

/// A random document of bounded size.
std::string random_document(std::mt19937& random, int depth) {
  switch (random() % (depth > 0 ? 8 : 5)) {
    case 0:
      return "null";
    case 1:
      return random() % 2 ? "true" : " false";
    case 2:
      return std::to_string(static_cast<int>(random()));
    case 3:
      return std::to_string(static_cast<double>(random()) / 1024) + "e-3";
    case 4:
      return "\"s\\u00e9\\n" + std::to_string(random() % 100) + "\"";
    case 5:
    case 6: {
      std::string text = "[";
      for (unsigned i = 0, count = random() % 4; i < count; ++i)
        text += (i > 0 ? " ," : "") + random_document(random, depth - 1);
      return text + " ]";
    }
    default: {
      std::string text = "{";
      for (unsigned i = 0, count = random() % 20; i < count; ++i)
        text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) +
                "\": " + random_document(random, depth - 1);
      return text + "}";
    }
  }
}

TEST(JsonTape, HoldsTheSameDocumentAsATree) {
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::string text = random_document(random, 4);
    auto parsed = JsonTape::parse(text);
    ASSERT_TRUE(std::holds_alternative<JsonTape>(parsed)) << text;
    ASSERT_EQ(rebuilt(std::get<JsonTape>(parsed).root()), json::parse(text)) << text;
  }
}

TEST(JsonTape, KeepsKeysInTheOrderOfTheText) {
  auto parsed = JsonTape::parse(R"({"b": {"x": 1}, "a": [2, [3]], "": 4})");
  ASSERT_TRUE(std::holds_alternative<JsonTape>(parsed));
  std::string keys;
  for (JsonTape::Value member : std::get<JsonTape>(parsed).root())
    keys += std::string(member.key()) + ";";

  EXPECT_EQ(keys, "b;a;;");
}

TEST(JsonTape, SaysWhereAndWhyADocumentIsRefused) {
  auto fault = [](std::string_view text) {
    auto parsed = JsonTape::parse(text);
    return std::holds_alternative<JsonFault>(parsed) ? std::get<JsonFault>(parsed) : JsonFault{};
  };

  EXPECT_EQ(fault("[1, 2").message, "The body is not valid JSON: unexpected end at byte 5.");
  EXPECT_EQ(fault("[1 2]").message, "The body is not valid JSON: syntax error at byte 3.");
  EXPECT_EQ(fault("[1] 2").offset, 4U);
  EXPECT_EQ(fault("\"a\xff\"").message, "The body is not valid UTF-8 at byte 2.");
  EXPECT_TRUE(fault("\"a\xff\"").encoding);
  EXPECT_FALSE(fault("[").encoding);
}

TEST(JsonTape, TellsIntegersFromOtherNumbers) {
  auto kind = [](std::string_view text) {
    auto parsed = JsonTape::parse(text);
    auto* tape = std::get_if<JsonTape>(&parsed);
    return tape ? tape->root().kind() : JsonKind::null;
  };

  EXPECT_EQ(kind("9223372036854775807"), JsonKind::integer);
  EXPECT_EQ(kind("-9223372036854775808"), JsonKind::integer);
  EXPECT_EQ(kind("9223372036854775808"), JsonKind::number);
  EXPECT_EQ(kind("5.0"), JsonKind::number);
  EXPECT_EQ(kind("1e400"), JsonKind::number);
}

}  // namespace
}  // namespace sluice
