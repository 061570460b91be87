#include "api/status_bodies.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

TEST(StatusBodies, ShowAModel) {
  ListedModel model;
  model.id = "org/m";
  model.created = 1700000000;
  model.max_model_len = 2048;
  model.root = "m";
  model.state = "loading";
  const std::string json =
      R"({"id":"org/m","object":"model","created":1700000000,"owned_by":"sluice",)"
      R"("max_model_len":2048,"root":"m","parent":null,"capabilities":["completion"],)"
      R"("state":"loading"})";

  EXPECT_EQ(model_body(model), json);
  std::vector<ListedModel> models = {model, model};
  EXPECT_EQ(models_body(models), R"({"object":"list","data":[)" + json + "," + json + "]}");
  EXPECT_EQ(models_body({}), R"({"object":"list","data":[]})");
}

TEST(StatusBodies, ShowHealth) {
  HealthInfo health;
  health.uptime_s = 12;
  EXPECT_EQ(health_body(health), R"({"status":"ok","uptime_s":12,"loops":[],"engines":[]})");
  health.stalled = true;
  health.loops = {{"data-0", 1}, {"data-1", 61000}};
  health.engines = {{"m", 3, 12}};

  EXPECT_EQ(health_body(health),
            R"({"status":"stalled","uptime_s":12,"loops":[{"name":"data-0","lag_ms":1},)"
            R"({"name":"data-1","lag_ms":61000}],)"
            R"("engines":[{"model":"m","running":3,"last_step_age_ms":12}]})");
}

TEST(StatusBodies, ShowReadiness) {
  EXPECT_EQ(ready_body({}), R"({"status":"ready"})");
  std::vector<std::string> reasons = {"model m: loading 45%", "draining"};
  EXPECT_EQ(ready_body(reasons),
            R"({"status":"not_ready","reasons":["model m: loading 45%","draining"]})");
}

TEST(StatusBodies, ShowTheVersion) {
  VersionInfo version{"1.2.3", "abc", "release", "g++ 12.2.0", {"tls"}};

  EXPECT_EQ(version_body(version),
            R"({"version":"1.2.3","git":"abc","build":"release",)"
            R"("protocol":{"http":"1.1","srp":"1.0"},"compiler":"g++ 12.2.0",)"
            R"("features":["tls"]})");
  EXPECT_EQ(hidden_version_body("1.2.3"), R"({"version":"1"})");
}

TEST(StatusBodies, EscapeTheirTexts) {
  ListedModel model;
  model.id = "a\"b\n";
  auto body = boost::json::parse(model_body(model)).as_object();

  EXPECT_EQ(body["id"].as_string(), "a\"b\n");
}

}  // namespace
}  // namespace sluice
