// Request targets: decoded once, and nothing hidden in them.
#include "net/url.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

std::string path_of(std::string_view target, std::string_view method = "GET") {
  const auto url = parse_url_target(method, target);
  return url ? url->path : "refused";
}

TEST(Url, SplitsPathAndQuery) {
  const auto url = parse_url_target("GET", "/v1/models?limit=5&after=%20");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->path, "/v1/models");
  EXPECT_EQ(url->query, "limit=5&after=%20");
}

TEST(Url, DecodesThePathOnce) {
  EXPECT_EQ(path_of("/a%20b"), "/a b");
  EXPECT_EQ(path_of("/%2541"), "/%41");
  EXPECT_EQ(path_of("/models/org%2Fname"), "/models/org/name");
  EXPECT_EQ(path_of("/%E4%BD%A0"), "/你");
  EXPECT_EQ(path_of("/a+b"), "/a+b");
}

TEST(Url, RefusesEscapesThatAreNone) {
  for (const char* target : {"/%", "/%4", "/%zz", "/a%4g"})
    EXPECT_EQ(path_of(target), "refused");
}

TEST(Url, RefusesNulAndTextThatIsNotUtf8) {
  EXPECT_EQ(path_of("/a%00b"), "refused");
  EXPECT_EQ(path_of("/%ff"), "refused");
  EXPECT_EQ(path_of("/%c0%af"), "refused");
  EXPECT_EQ(path_of("/%ed%a0%80"), "refused");
}

TEST(Url, RefusesEmptyAndRelativeSegmentsHoweverTheyAreWritten) {
  for (const char* target : {"//",
                             "//a",
                             "/a//b",
                             "/a//",
                             "/.",
                             "/..",
                             "/a/../b",
                             "/a/./b",
                             "/a/..",
                             "/%2e%2e/a",
                             "/a%2f%2fb",
                             "/a%2f..",
                             "/.%2e"}) {
    EXPECT_EQ(path_of(target), "refused") << target;
  }
  EXPECT_EQ(path_of("/"), "/");
  EXPECT_EQ(path_of("/a/"), "/a/");
  EXPECT_EQ(path_of("/..."), "/...");
  EXPECT_EQ(path_of("/a.b/..c"), "/a.b/..c");
}

TEST(Url, TakesTheAbsoluteForm) {
  const auto url = parse_url_target("GET", "HTTP://host:80/a?b");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->path, "/a");
  EXPECT_EQ(url->query, "b");
  EXPECT_EQ(url->authority, "host:80");
  EXPECT_EQ(path_of("http://host"), "/");
  EXPECT_EQ(path_of("http://host?q"), "/");
  EXPECT_EQ(path_of("http://"), "refused");
  EXPECT_EQ(path_of("http://user@host/"), "refused");
  EXPECT_EQ(path_of("ftp://host/"), "refused");
}

TEST(Url, TakesTheAsteriskForOptionsOnly) {
  EXPECT_EQ(path_of("*", "OPTIONS"), "*");
  EXPECT_EQ(path_of("*", "GET"), "refused");
}

TEST(Url, RefusesTargetsWithoutALeadingSlash) {
  EXPECT_EQ(path_of("a"), "refused");
  EXPECT_EQ(path_of("?a"), "refused");
  EXPECT_EQ(path_of("host:80"), "refused");
  EXPECT_EQ(path_of("host:80", "CONNECT"), "/");
}

TEST(Url, DecodesTheEscapesOfAQuery) {
  EXPECT_EQ(*percent_decoded("a%26b%3Dc+%C3%A4"), "a&b=c+\u00e4");
  EXPECT_EQ(*percent_decoded(""), "");
  for (const char* wrong : {"%", "a%4", "%zz"})
    EXPECT_FALSE(percent_decoded(wrong)) << wrong;
}

}  // namespace
}  // namespace sluice
