#include "api/router.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

namespace sluice {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RouteMatch found(std::string_view method,
                 std::string_view path,
                 Listener listener = Listener::data) {
  auto result = find_route(listener, method, path);
  if (auto* error = std::get_if<ApiError>(&result)) {
    ADD_FAILURE() << method << " " << path << ": " << error->message;
    return {};
  }
  return std::get<RouteMatch>(result);
}

ApiError refused(std::string_view method,
                 std::string_view path,
                 Listener listener = Listener::data) {
  auto result = find_route(listener, method, path);
  if (auto* error = std::get_if<ApiError>(&result)) return *error;
  ADD_FAILURE() << method << " " << path << " was found";
  return {};
}

Route route_of(std::string_view method, std::string_view path, Listener listener = Listener::data) {
  RouteMatch match = found(method, path, listener);
  EXPECT_FALSE(match.options);
  return match.rule ? match.rule->route : Route::version;
}

TEST(Router, FindsEveryRoute) {
  EXPECT_EQ(route_of("POST", "/v1/completions"), Route::completions);
  EXPECT_EQ(route_of("GET", "/v1/models"), Route::models);
  EXPECT_EQ(route_of("GET", "/v1/models/m"), Route::model);
  EXPECT_EQ(route_of("GET", "/health"), Route::health);
  EXPECT_EQ(route_of("GET", "/ready"), Route::ready);
  EXPECT_EQ(route_of("GET", "/version"), Route::version);
  EXPECT_EQ(route_of("GET", "/metrics", Listener::management), Route::metrics);
}

TEST(Router, ServesProbesOnBothListenersAndNothingElse) {
  for (const RouteRule& rule : route_table()) {
    std::string path(rule.path);
    if (std::size_t open = path.find('{'); open != std::string::npos)
      path.replace(open, path.find('}') + 1 - open, "0");
    bool probe = path == "/health" || path == "/ready" || path == "/version";
    for (Listener listener : {Listener::data, Listener::management}) {
      if (probe || rule.listener == listener) {
        EXPECT_EQ(route_of(rule.method, path, listener), rule.route) << path;
      } else {
        EXPECT_EQ(refused(rule.method, path, listener).status, 404) << path;
      }
    }
  }
}

TEST(Router, FindsTheLaneOfAnOrder) {
  auto order = [](std::string_view path) { return found("POST", path, Listener::management); };
  RouteMatch restart = order("/admin/v1/workers/12/restart");
  EXPECT_EQ(restart.rule->route, Route::restart_worker);
  EXPECT_EQ(restart.id, "12");
  EXPECT_EQ(order("/admin/v1/breakers/x y/force-open").id, "x y");
  for (const char* path : {"/admin/v1/workers//restart",
                           "/admin/v1/workers/restart",
                           "/admin/v1/workers/1/2/restart",
                           "/admin/v1/workers/1/restart/",
                           "/admin/v1/workers/1",
                           "/admin/v1/workers/1/stop"})
    EXPECT_EQ(refused("POST", path, Listener::management).status, 404) << path;
  EXPECT_EQ(refused("GET", "/admin/v1/workers/1/restart", Listener::management).allow,
            "POST, OPTIONS");
}

TEST(Router, TakesAllThatFollowsAsTheModelsId) {
  EXPECT_EQ(found("GET", "/v1/models/m").id, "m");
  EXPECT_EQ(found("GET", "/v1/models/org/m v1/é").id, "org/m v1/é");
}

TEST(Router, TakesHeadWhereverItTakesGet) {
  for (const RouteRule& rule : route_table()) {
    std::string path(rule.path);
    if (std::size_t open = path.find('{'); open != std::string::npos)
      path.replace(open, path.find('}') + 1 - open, "0");
    Listener listener = rule.listener == Listener::both ? Listener::data : rule.listener;
    if (rule.method == "GET") {
      EXPECT_EQ(route_of("HEAD", path, listener), rule.route);
    } else {
      EXPECT_EQ(refused("HEAD", path, listener).status, 405) << path;
    }
  }
}

TEST(Router, RefusesOtherMethodsAndNamesTheRightOnes) {
  for (const char* method : {"PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "get"}) {
    ApiError error = refused(method, "/v1/models");
    EXPECT_EQ(error.status, 405) << method;
    EXPECT_EQ(error.code, "method_not_allowed");
    EXPECT_EQ(error.allow, "GET, HEAD, OPTIONS");
  }
  EXPECT_EQ(refused("GET", "/v1/completions").allow, "POST, OPTIONS");
  EXPECT_EQ(refused("POST", "/health").allow, "GET, HEAD, OPTIONS");
}

TEST(Router, AnswersOptionsWithTheMethods) {
  RouteMatch match = found("OPTIONS", "/v1/completions");
  EXPECT_TRUE(match.options);
  HttpResponse response = options_response(match, "req-1");

  HttpHeaders expected = {{"Allow", "POST, OPTIONS"}, {"X-Request-Id", "req-1"}};
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(response.headers, expected);
  EXPECT_EQ(response.body, "");
  EXPECT_EQ(found("OPTIONS", "/v1/models/m").allow, "GET, HEAD, OPTIONS");
  EXPECT_TRUE(found("OPTIONS", "*").options);
  EXPECT_EQ(refused("GET", "*").status, 404);
}

TEST(Router, KnowsNoOtherPaths) {
  for (const char* path : {"/",
                           "/v1",
                           "/v1/completion",
                           "/V1/completions",
                           "/v1/completionsx",
                           "/healthz",
                           "/v1/chat"}) {
    for (const char* method : {"GET", "POST", "OPTIONS", "BREW"}) {
      ApiError error = refused(method, path);
      EXPECT_EQ(error.status, 404) << method << path;
      EXPECT_EQ(error.code, "unknown_url");
      EXPECT_THAT(error.message, Not(HasSubstr("Did you mean")));
    }
  }
  EXPECT_EQ(refused("TRACE", "/nowhere").status, 405);
  EXPECT_NE(refused("CONNECT", "/nowhere").allow, "");
}

TEST(Router, NamesThePathWithoutTheSlashTooMany) {
  for (std::string path : {"/v1/completions", "/v1/models", "/v1/models/org/m", "/health"}) {
    ApiError error = refused("GET", path + "/");
    EXPECT_EQ(error.status, 404);
    EXPECT_EQ(error.code, "unknown_url");
    EXPECT_THAT(error.message, HasSubstr("Did you mean " + path + "?"));
  }
}

TEST(Router, ShortensLongPathsInItsMessages) {
  EXPECT_LT(refused("GET", "/" + std::string(8000, 'x')).message.size(), 300U);
}

TEST(Router, NeedsAKeyForAllButAnExplicitFew) {
  for (const RouteRule& rule : route_table()) {
    bool open = rule.path == "/health" || rule.path == "/ready" || rule.path == "/version" ||
                rule.path == "/metrics";
    EXPECT_EQ(rule.scope == Scope::open, open) << rule.path;
  }
}

}  // namespace
}  // namespace sluice
