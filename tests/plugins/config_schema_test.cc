#include "plugins/config_schema.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

/// What comes of a configuration: its JSON, or the error.
std::string applied(const std::string& schema_json, const std::string& config) {
  auto schema = ConfigSchema::parse(schema_json);
  if (!schema) return "schema: " + schema.error().message;
  auto result = schema->apply(config, "plugin p");
  return result ? *result : result.error().message;
}

std::string refusal(const std::string& schema_json) {
  auto schema = ConfigSchema::parse(schema_json);
  return schema ? "accepted" : schema.error().message;
}

/// A schema of an object with the one property "x".
std::string of_x(const std::string& schema) {
  return R"({"type": "object", "properties": {"x": )" + schema + "}}";
}

struct Case {
  std::string schema;
  std::string config;
  std::string result;
};

void expect(const std::vector<Case>& cases) {
  for (const Case& test : cases)
    EXPECT_EQ(applied(test.schema, test.config), test.result)
        << test.schema << " on " << test.config;
}

TEST(ConfigSchema, TakesWhatFits) {
  std::vector<Case> cases;
  for (auto [schema, value] : std::vector<std::pair<std::string, std::string>>{
           {R"({"type": "string"})", R"("a")"},
           {R"({"type": "string", "minLength": 2, "maxLength": 2})", R"("é€")"},
           {R"({"type": "string", "enum": ["a", "b"]})", R"("b")"},
           {R"({"type": "integer", "minimum": -1, "maximum": 1})", "-1"},
           {R"({"type": "integer", "maximum": 18446744073709551615})", "18446744073709551615"},
           {R"({"type": "number", "minimum": 0.5})", "5E-1"},
           {R"({"type": "boolean"})", "true"},
           {R"({"type": "array", "items": {"type": "integer"}, "maxItems": 2})", "[1,2]"},
           {R"({"type": "array"})", R"([1,"a",null])"},
           {R"({"type": "object", "additionalProperties": true})", R"({"a":[]})"},
           {R"({"type": "object", "additionalProperties": {"type": "integer"}})", R"({"a":1})"},
       })
    cases.push_back({of_x(schema), "{\"x\":" + value + "}", "{\"x\":" + value + "}"});
  expect(cases);
}

TEST(ConfigSchema, NamesPathWantedAndFound) {
  expect({
      {of_x(R"({"type": "string"})"), R"({"x": 1})", "plugin p: x: wanted a string, found 1"},
      {of_x(R"({"type": "integer"})"),
       R"({"x": 1.5})",
       "plugin p: x: wanted an integer, found 1.5E0"},
      {of_x(R"({"type": "integer"})"),
       R"({"x": true})",
       "plugin p: x: wanted an integer, found true"},
      {of_x(R"({"type": "number"})"), R"({"x": "1"})", "plugin p: x: wanted a number, found \"1\""},
      {of_x(R"({"type": "boolean"})"),
       R"({"x": null})",
       "plugin p: x: wanted true or false, found null"},
      {of_x(R"({"type": "integer", "minimum": 1, "maximum": 9})"),
       R"({"x": 10})",
       "plugin p: x: wanted at least 1 and at most 9, found 10"},
      {of_x(R"({"type": "number", "minimum": 0.5})"),
       R"({"x": 0})",
       "plugin p: x: wanted at least 5E-1, found 0"},
      {of_x(R"({"type": "string", "maxLength": 2})"),
       R"({"x": "abc"})",
       "plugin p: x: wanted at most 2 characters, found 3"},
      {of_x(R"({"type": "array", "minItems": 1})"),
       R"({"x": []})",
       "plugin p: x: wanted at least 1 elements, found 0"},
      {of_x(R"({"type": "string", "enum": ["a", "b"]})"),
       R"({"x": "c"})",
       R"(plugin p: x: wanted one of "a", "b", found "c")"},
      {of_x(R"({"type": "array", "items": {"type": "object",
           "properties": {"y": {"type": "integer"}}, "required": ["y"]}})"),
       R"({"x": [{"y": 1}, {}]})",
       "plugin p: x[1].y: is required, found nothing"},
      {of_x(R"({"type": "object", "additionalProperties": {"type": "integer"}})"),
       R"({"x": {"a": "b"}})",
       "plugin p: x.a: wanted an integer, found \"b\""},
      {of_x(R"({"type": "string"})"), R"({"z": 1})", "plugin p: z: is not known; wanted x"},
      {R"({"type": "object"})", R"({"z": 1})", "plugin p: z: is not known; wanted nothing"},
      {R"({"type": "object"})", "[]", "plugin p: the whole value: wanted an object, found []"},
      {R"({"type": "object"})", "{", "plugin p: is not JSON: incomplete JSON"},
  });
}

TEST(ConfigSchema, FillsInDefaultsAtEveryDepth) {
  std::string schema = R"({"type": "object", "properties": {
      "a": {"type": "integer", "default": 7},
      "b": {"type": "object", "default": {}, "properties": {
        "c": {"type": "string", "default": "d"}}},
      "e": {"type": "boolean"}}})";

  expect({
      {schema, "{}", R"({"a":7,"b":{"c":"d"}})"},
      {schema, R"({"a":1,"b":{"c":"x"},"e":true})", R"({"a":1,"b":{"c":"x"},"e":true})"},
      {schema, R"({"b":{}})", R"({"b":{"c":"d"},"a":7})"},
  });
}

TEST(ConfigSchema, MakesIntegersOfWholeNumbers) {
  expect({
      {of_x(R"({"type": "integer", "enum": [3]})"), R"({"x": 3.0})", R"({"x":3})"},
      {of_x(R"({"type": "integer"})"),
       R"({"x": 1e300})",
       "plugin p: x: wanted an integer, found 1E300"},
  });
}

TEST(ConfigSchema, RefusesSchemasThatContradictThemselvesOrAreNotKnown) {
  EXPECT_EQ(refusal("7"), "the whole value: wanted a schema, found 7");
  EXPECT_EQ(refusal("{}"), "type: wanted the name of one type");
  EXPECT_EQ(refusal(R"({"type": "null"})"),
            "type: wanted object, array, string, integer, number or boolean, found \"null\"");
  EXPECT_EQ(
      refusal(of_x(R"({"type": "string", "pattern": "a"})")),
      "properties.x.pattern: is not a keyword for a string in the subset of JSON Schema that is "
      "known here");
  EXPECT_EQ(
      refusal(of_x(R"({"type": "string", "minimum": 1})")),
      "properties.x.minimum: is not a keyword for a string in the subset of JSON Schema that is "
      "known here");
  EXPECT_EQ(refusal(of_x(R"({"type": "integer", "minimum": 2, "maximum": 1})")),
            "properties.x: no value is at least 2 and at most 1");
  EXPECT_EQ(refusal(of_x(R"({"type": "integer", "default": "a"})")),
            "properties.x.default: wanted an integer, found \"a\"");
  EXPECT_EQ(refusal(of_x(R"({"type": "integer", "enum": [1, "a"]})")),
            "properties.x.enum: has \"a\" of another type");
  EXPECT_EQ(refusal(R"({"type": "object", "required": ["y"]})"),
            "required: names y, which is no property");
  EXPECT_EQ(refusal(of_x(R"({"type": "array", "items": {"type": "any"}})")),
            "properties.x.items.type: wanted object, array, string, integer, number or boolean, "
            "found \"any\"");
}

TEST(ConfigSchema, BoundsTheDepth) {
  std::string deep = std::string(100, '[') + std::string(100, ']');

  EXPECT_EQ(applied(of_x(R"({"type": "array"})"), "{\"x\":" + deep + "}"),
            "plugin p: is not JSON: too deep");
}

}  // namespace
}  // namespace sluice
