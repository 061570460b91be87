#include "plugins/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

/// A manifest with more members after the required ones.
std::string with(const std::string& members) {
  return R"({"name": "p", "version": "1.0.0", "hooks": ["admission"])" +
         (members.empty() ? "" : ", " + members) + "}";
}

std::string refusal(const std::string& json) {
  auto manifest = PluginManifest::parse(json);
  return manifest ? "accepted" : manifest.error().message;
}

TEST(PluginManifest, HasSafeDefaults) {
  auto manifest = PluginManifest::parse(with(""));

  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->name, "p");
  EXPECT_EQ(manifest->hooks, hook_bit(Hook::admission));
  EXPECT_EQ(manifest->threading, PluginManifest::Threading::serialized);
  EXPECT_EQ(manifest->failure, PluginManifest::Failure::closed);
  EXPECT_FALSE(manifest->blocking);
  EXPECT_EQ(manifest->permissions, kNoPermission);
  EXPECT_TRUE(manifest->server.contains({0, 0, 1}));
  EXPECT_EQ(manifest->timeouts[static_cast<std::size_t>(Hook::admission)], milliseconds(5));
  EXPECT_EQ(manifest->timeouts[static_cast<std::size_t>(Hook::preprocess)], milliseconds(50));
  EXPECT_EQ(manifest->timeouts[static_cast<std::size_t>(Hook::execute)], milliseconds(0));
  EXPECT_EQ(*manifest->config.apply("{}", "p"), "{}");
}

TEST(PluginManifest, IsReadInFull) {
  auto manifest = PluginManifest::parse(R"({
    "name": "all-of-it", "version": "2.1.0-rc.1+build.5", "description": "Everything.",
    "hooks": ["output", "observe"], "requires": ">=0.1.0 <2.0.0",
    "config_schema": {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}},
    "metrics": [
      {"name": "seen_total", "type": "counter", "help": "Answers seen."},
      {"name": "score", "type": "histogram", "help": "Scores.", "buckets": [0.5, 1, 2]}],
    "threading": "concurrent", "blocking": true, "failure": "open",
    "permissions": ["headers", "output"], "timeouts": {"output": 9}})");

  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->version, "2.1.0-rc.1+build.5");
  EXPECT_EQ(manifest->hooks, hook_bit(Hook::output) | hook_bit(Hook::observe));
  EXPECT_TRUE(manifest->server.contains({1, 9, 9}));
  EXPECT_FALSE(manifest->server.contains({2, 0, 0}));
  EXPECT_EQ(*manifest->config.apply("{}", "p"), R"({"n":3})");
  ASSERT_EQ(manifest->metrics.size(), 2U);
  EXPECT_EQ(manifest->metrics[1].kind, PluginMetric::Kind::histogram);
  EXPECT_EQ(manifest->metrics[1].buckets, (std::vector<double>{0.5, 1, 2}));
  EXPECT_EQ(manifest->threading, PluginManifest::Threading::concurrent);
  EXPECT_TRUE(manifest->blocking);
  EXPECT_EQ(manifest->failure, PluginManifest::Failure::open);
  EXPECT_EQ(manifest->permissions, kHeadersPermission | kOutputPermission);
  EXPECT_EQ(manifest->timeouts[static_cast<std::size_t>(Hook::output)], milliseconds(9));
}

TEST(PluginManifest, NamesWhatIsWrong) {
  EXPECT_THAT(refusal("{}"), HasSubstr("manifest: name: is required"));
  EXPECT_THAT(refusal(with(R"("colour": 1)")), HasSubstr("manifest: colour: is not known"));
  EXPECT_THAT(refusal(R"({"name": "P", "version": "1.0.0", "hooks": []})"),
              HasSubstr("manifest: name: wanted a-z"));
  EXPECT_THAT(refusal(R"({"name": "p", "version": "1.0.x", "hooks": []})"),
              HasSubstr("manifest: version: wanted a semantic version such as 1.2.3, found 1.0.x"));
  EXPECT_THAT(refusal(R"({"name": "p", "version": "1.0.0", "hooks": ["admision"]})"),
              HasSubstr("manifest: hooks[0]: wanted one of"));
  EXPECT_THAT(refusal(R"({"name": "p", "version": "1.0.0", "hooks": ["output"]})"),
              HasSubstr("manifest: permissions: the hook output needs output"));
  EXPECT_THAT(refusal(with(R"("requires": "0.1.0")")), HasSubstr("requires: wanted conditions"));
  EXPECT_THAT(refusal(with(R"("threading": "none")")), HasSubstr("threading: wanted one of"));
  EXPECT_THAT(refusal(with(R"("timeouts": {"admission": 0})")),
              HasSubstr("timeouts.admission: wanted at least 1 and at most 60000, found 0"));
  EXPECT_THAT(refusal(with(R"("config_schema": {"type": "array"})")),
              HasSubstr("config_schema.type: a configuration is an object"));
  EXPECT_THAT(refusal(with(R"("config_schema": {"type": "object", "patternProperties": {}})")),
              HasSubstr("config_schema: patternProperties: is not a keyword"));
}

TEST(PluginManifest, ChecksMetrics) {
  auto metric = [](const std::string& members) {
    return refusal(with(R"("metrics": [{"help": "h", )" + members + "}]"));
  };
  EXPECT_EQ(metric(R"("name": "a_total", "type": "counter")"), "accepted");
  EXPECT_THAT(metric(R"("name": "a", "type": "counter")"), HasSubstr("metrics[0].name: counters"));
  EXPECT_THAT(metric(R"("name": "a_total", "type": "gauge")"),
              HasSubstr("only they end in _total"));
  EXPECT_THAT(metric(R"("name": "A", "type": "gauge")"), HasSubstr("metrics[0].name: wanted a-z"));
  EXPECT_THAT(metric(R"("name": "a", "type": "histogram")"), HasSubstr("have buckets"));
  EXPECT_THAT(metric(R"("name": "a", "type": "gauge", "buckets": [1])"), HasSubstr("have buckets"));
  EXPECT_THAT(metric(R"("name": "a", "type": "histogram", "buckets": [1, 1])"),
              HasSubstr("wanted rising numbers, found [1,1]"));
  EXPECT_THAT(refusal(with(R"("metrics": [{"name": "a", "type": "gauge", "help": "h"},
                                          {"name": "a", "type": "gauge", "help": "h"}])")),
              HasSubstr("metrics[1].name: a is there twice"));
}

TEST(Version, IsASemanticOne) {
  for (const char* good :
       {"0.0.0", "1.2.3", "1.2.3-alpha", "1.2.3-a.1.x-y", "1.2.3+7", "1.2.3-a+b.01"})
    EXPECT_TRUE(Version::parse(good)) << good;
  for (const char* bad : {"",
                          "1",
                          "1.2",
                          "1.2.3.4",
                          "01.2.3",
                          "1.2.-3",
                          "v1.2.3",
                          "1.2.3-",
                          "1.2.3+",
                          "1.2.3-a..b",
                          "1.2.3-01",
                          "1.2.3 ",
                          "4294967296.0.0"})
    EXPECT_FALSE(Version::parse(bad)) << bad;
}

TEST(VersionRange, HoldsWhereAllConditionsDo) {
  struct Case {
    const char* range;
    Version version;
    bool holds;
  };
  for (auto [text, version, holds] : {Case{"", {0, 0, 0}, true},
                                      Case{">=1.2.3", {1, 2, 3}, true},
                                      Case{">=1.2.3", {1, 2, 2}, false},
                                      Case{">1.2.3", {1, 2, 3}, false},
                                      Case{">1.2.3", {1, 10, 0}, true},
                                      Case{"<2.0.0", {1, 99, 99}, true},
                                      Case{"<=2.0.0", {2, 0, 0}, true},
                                      Case{"=2.0.0", {2, 0, 1}, false},
                                      Case{">=1.0.0  <2.0.0", {2, 0, 0}, false},
                                      Case{">=1.0.0 <2.0.0", {1, 5, 0}, true}}) {
    auto range = VersionRange::parse(text);
    ASSERT_TRUE(range) << text;
    EXPECT_EQ(range->contains(version), holds) << text << " " << to_string(version);
  }
  for (const char* bad : {"1.0.0", ">=1", ">=1.0.0,<2.0.0", "~1.0.0", ">= 1.0.0"})
    EXPECT_FALSE(VersionRange::parse(bad)) << bad;
}

}  // namespace
}  // namespace sluice
