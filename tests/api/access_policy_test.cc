// Which requests a listener refuses by the name it was called and the page that calls.
#include "api/access_policy.h"

#include "api/errors.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

AccessPolicy policy(const AccessPolicy::Options& options) {
  auto made = AccessPolicy::create(options);
  EXPECT_TRUE(made) << made.error().message;
  return std::move(*made);
}

/// What is refused, or "": of a request with these fields; an empty value leaves the field out.
std::string refused(const AccessPolicy& policy,
                    const std::string& host,
                    const std::string& origin = "",
                    const std::string& fetch_site = "") {
  HttpRequest request;
  request.method = "POST";
  request.path = "/v1/completions";
  if (!host.empty()) request.headers.emplace_back("Host", host);
  if (!origin.empty()) request.headers.emplace_back("Origin", origin);
  if (!fetch_site.empty()) request.headers.emplace_back("Sec-Fetch-Site", fetch_site);
  auto error = policy.refuse(request);
  EXPECT_EQ(error ? error->status : 403, 403);
  return error ? error->code : "";
}

constexpr char kHost[] = "host_not_allowed";
constexpr char kOrigin[] = "origin_not_allowed";

struct Row {
  const char* host;
  const char* refused;
};

TEST(AccessPolicy, AnswersOnLoopbackToLoopbackNamesOnly) {
  for (const char* address : {"127.0.0.1", "::1", "127.0.0.5", "localhost"}) {
    AccessPolicy loopback = policy({.address = address});
    for (const Row& row : {Row{"localhost", ""},
                           Row{"LOCALHOST:8000", ""},
                           Row{"localhost.:1", ""},
                           Row{"127.0.0.1:8000", ""},
                           Row{"127.1.2.3", ""},
                           Row{"[::1]:9", ""},
                           Row{"", ""},  // HTTP/1.0
                           Row{"evil.example", kHost},
                           Row{"evil.example:8000", kHost},
                           Row{"localhost.evil.example", kHost},
                           Row{"127.0.0.1.evil.example", kHost},
                           Row{"notlocalhost", kHost},
                           Row{"0.0.0.0:8000", kHost},
                           Row{"10.0.0.1", kHost},
                           Row{"[2001:db8::1]", kHost},
                           Row{"2130706433", kHost},
                           Row{"host:x", kHost}})
      EXPECT_EQ(refused(loopback, row.host), row.refused) << address << " called " << row.host;
  }
}

TEST(AccessPolicy, AnswersToFurtherNamesWhereItIsTold) {
  AccessPolicy told = policy({.address = "127.0.0.1", .hosts = {"api.example", "b.example:8443"}});

  EXPECT_EQ(refused(told, "API.example:1234"), "");
  EXPECT_EQ(refused(told, "b.example:8443"), "");
  EXPECT_EQ(refused(told, "b.example"), kHost);
  EXPECT_EQ(refused(told, "localhost"), "");
  EXPECT_EQ(refused(told, "sub.api.example"), kHost);
  EXPECT_EQ(refused(policy({.address = "127.0.0.1", .hosts = {"*"}}), "any.example"), "");
}

TEST(AccessPolicy, AnswersInPublicToEveryNameUntilItIsToldItsOwn) {
  for (const char* address : {"0.0.0.0", "::", "10.0.0.5"}) {
    AccessPolicy open = policy({.address = address});
    EXPECT_EQ(refused(open, "any.example"), "");
    EXPECT_EQ(refused(open, "10.0.0.5:8000"), "");

    AccessPolicy told = policy({.address = address, .hosts = {"api.example"}});
    EXPECT_EQ(refused(told, "api.example"), "");
    EXPECT_EQ(refused(told, "other.example"), kHost);
    EXPECT_EQ(refused(told, "10.1.2.3:8000"), "") << "what a probe calls a container";
    EXPECT_EQ(refused(told, "localhost"), "");
  }
}

TEST(AccessPolicy, RefusesPagesThatAreNotItsOwn) {
  AccessPolicy loopback = policy({.address = "127.0.0.1"});
  struct Case {
    const char* origin;
    const char* refused;
  };
  for (const Case& row : {Case{"http://127.0.0.1:8000", ""},
                          Case{"https://127.0.0.1:8000", ""},  // TLS may end before us
                          Case{"http://127.0.0.1", kOrigin},
                          Case{"http://127.0.0.1:3000", kOrigin},
                          Case{"http://localhost:8000", kOrigin},
                          Case{"https://evil.example", kOrigin},
                          Case{"http://evil.example:8000", kOrigin},
                          Case{"null", kOrigin},
                          Case{"app://127.0.0.1:8000", kOrigin},
                          Case{"nonsense", kOrigin}})
    EXPECT_EQ(refused(loopback, "127.0.0.1:8000", row.origin), row.refused) << row.origin;
  EXPECT_EQ(refused(loopback, "localhost", "http://localhost"), "");
  EXPECT_EQ(refused(loopback, "localhost:80", "http://localhost"), "");
}

TEST(AccessPolicy, LetsConfiguredPagesIn) {
  AccessPolicy told =
      policy({.address = "127.0.0.1", .origins = {"https://app.example", "http://localhost:3000"}});

  EXPECT_EQ(refused(told, "localhost:8000", "https://app.example"), "");
  EXPECT_EQ(refused(told, "localhost:8000", "https://APP.example:443"), "");
  EXPECT_EQ(refused(told, "localhost:8000", "http://localhost:3000"), "");
  EXPECT_EQ(refused(told, "localhost:8000", "http://app.example"), kOrigin);
  EXPECT_EQ(refused(told, "localhost:8000", "https://app.example.evil"), kOrigin);
  EXPECT_EQ(refused(told, "localhost:8000", "null"), kOrigin);
  EXPECT_EQ(refused(told, "evil.example", "https://app.example"), kHost);
  EXPECT_EQ(told.allowed_origin("https://app.example"), "https://app.example");
  EXPECT_EQ(told.allowed_origin("https://evil.example"), "");

  AccessPolicy open = policy({.address = "127.0.0.1", .origins = {"*"}});
  EXPECT_EQ(refused(open, "localhost", "https://any.example"), "");
  EXPECT_EQ(refused(open, "localhost", "null"), "");
  EXPECT_EQ(refused(open, "localhost", "", "cross-site"), "");
  EXPECT_EQ(open.allowed_origin("https://any.example"), "*");
  EXPECT_EQ(refused(policy({.address = "127.0.0.1", .origins = {"null"}}), "localhost", "null"),
            "");
}

TEST(AccessPolicy, RefusesOtherSitesThatSendNoOrigin) {
  AccessPolicy loopback = policy({.address = "127.0.0.1"});

  EXPECT_EQ(refused(loopback, "localhost", "", "cross-site"), kOrigin);
  EXPECT_EQ(refused(loopback, "localhost", "", "none"), "") << "typed by a person";
  EXPECT_EQ(refused(loopback, "localhost", "", "same-origin"), "");
}

TEST(AccessPolicy, DoesNotTakeARebindingPageForItsOwn) {
  // The page's name resolves to us now, so that Host and Origin agree.
  AccessPolicy open = policy({.address = "0.0.0.0"});

  EXPECT_EQ(refused(open, "evil.example:8000", "http://evil.example:8000"), kOrigin);
  EXPECT_EQ(refused(open, "10.0.0.5:8000", "http://10.0.0.5:8000"), "");
  AccessPolicy told = policy({.address = "0.0.0.0", .hosts = {"api.example"}});
  EXPECT_EQ(refused(told, "api.example", "https://api.example"), "");
}

TEST(AccessPolicy, LooksAtEveryOriginThatIsSent) {
  HttpRequest request;
  request.headers = {
      {"Host", "localhost"}, {"origin", "http://localhost"}, {"ORIGIN", "http://evil.example"}};

  EXPECT_TRUE(policy({.address = "127.0.0.1"}).refuse(request));
}

TEST(AccessPolicy, RefusesConfigurationThatMeansNothing) {
  for (const char* host : {"", "http://a", "a/b", "a b", "a:x"})
    EXPECT_FALSE(AccessPolicy::create({.address = "127.0.0.1", .hosts = {host}})) << host;
  for (const char* origin : {"", "a.example", "https://a/", "https://a/path", "https://"})
    EXPECT_FALSE(AccessPolicy::create({.address = "127.0.0.1", .origins = {origin}})) << origin;
}

}  // namespace
}  // namespace sluice
