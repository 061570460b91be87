// What a request leaves behind in the metrics, and the page that shows them.
#include "actors/front_metrics.h"
#include "actors/metrics_page.h"
#include "api/errors.h"
#include "tests/support/front_world.h"

#include <caf/actor_system.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class MetricsTest : public FrontWorld {
 protected:
  std::string page() {
    HttpResponse response = metrics_response(*front, options, system.metrics(), "req-1");
    EXPECT_EQ(response.status, 200);
    return response.body;
  }

  /// The line of a series, without its value.
  std::string value(const std::string& series) {
    std::string text = page();
    auto at = text.find("\n" + series + " ");
    if (at == std::string::npos) return "none";
    at += series.size() + 2;
    return text.substr(at, text.find('\n', at) - at);
  }

  /// Asks as one who came through the door.
  std::shared_ptr<FakeExchange> ask_measured(OpenAiRequest request) {
    auto client = std::make_shared<FakeExchange>();
    clients.push_back(client);
    request.request_id = "req";
    auto answer = answer_to(request, client);
    const RouteRule* rule =
        std::get<RouteMatch>(find_route(Listener::data, "POST", "/v1/completions")).rule;
    RequestMeter meter(*front->metrics, rule, "POST", front->clock->now());
    SessionStart start{std::move(request), {}, memory, front->clock->now()};
    spawn_session(system,
                  front,
                  model,
                  {std::move(start.request), {}, memory, start.arrival, nullptr, std::move(meter)},
                  std::move(answer));
    settle();
    return client;
  }

  static std::string ends(const std::string& code, const std::string& reason) {
    return R"(sluice_requests_total{class="realtime",code=")" + code +
           R"(",model="hash",reason=")" + reason + R"(",route="/v1/completions"})";
  }

  GatewayOptions options;
};

TEST_F(MetricsTest, CountACompleteRequestOnceInEveryFamily) {
  bring_up();

  ask_measured(completion("hello", 5));
  EXPECT_EQ(value(R"(sluice_requests_running{model="hash"})"), "1");
  EXPECT_EQ(value(R"(sluice_requests_waiting{class="realtime",model="hash"})"), "0");
  run_to_end();

  EXPECT_EQ(value(ends("200", "length")), "1");
  EXPECT_EQ(value(ends("200", "stop")), "0");
  EXPECT_EQ(value(R"(sluice_requests_running{model="hash"})"), "0");
  EXPECT_EQ(value(R"(sluice_prompt_tokens_total{model="hash"})"), "5");
  EXPECT_EQ(value(R"(sluice_generation_tokens_total{model="hash"})"), "5");
  EXPECT_EQ(value(R"(sluice_inter_token_latency_seconds_count{model="hash"})"), "4");
  for (const char* family : {"sluice_time_to_first_token_seconds",
                             "sluice_queue_time_seconds",
                             "sluice_prefill_time_seconds",
                             "sluice_decode_time_seconds"})
    EXPECT_EQ(value(std::string(family) + R"(_count{class="realtime",model="hash"})"), "1")
        << family;
  EXPECT_EQ(
      value(
          R"(sluice_request_duration_seconds_count{class="realtime",model="hash",stream="false"})"),
      "1");
  for (const char* family : {"sluice_time_per_output_token_seconds",
                             "sluice_request_prompt_tokens",
                             "sluice_request_generation_tokens",
                             "sluice_request_max_tokens",
                             "sluice_request_params_n"})
    EXPECT_EQ(value(std::string(family) + R"(_count{model="hash"})"), "1") << family;
  EXPECT_EQ(value(R"(sluice_admission_admitted_total{class="realtime"})"), "1");
  EXPECT_EQ(value(R"(sluice_requests_inside)"), "0");
  expect_idle();
}

TEST_F(MetricsTest, TakeTimesFromTheClockOfTheFront) {
  bring_up();

  ask_measured(completion("hello", 3));
  advance(std::chrono::seconds(3));
  run_to_end();

  EXPECT_EQ(
      value(R"(sluice_time_to_first_token_seconds_bucket{class="realtime",model="hash",le="2.5"})"),
      "0");
  EXPECT_EQ(
      value(R"(sluice_time_to_first_token_seconds_bucket{class="realtime",model="hash",le="5"})"),
      "1");
  EXPECT_EQ(value(R"(sluice_prefill_time_seconds_sum{class="realtime",model="hash"})"), "3");
}

TEST_F(MetricsTest, SayWhereARequestStoodWhenItsClientLeft) {
  bring_up();
  auto early = ask_measured(completion("hello", 5));

  early->vanish();
  settle();
  auto late = ask_measured(completion("hello", 5));
  launcher->alive()[0]->step();
  settle();
  late->vanish();
  settle();

  EXPECT_EQ(value(R"(sluice_client_disconnects_total{phase="prefill"})"), "1");
  EXPECT_EQ(value(R"(sluice_client_disconnects_total{phase="decode"})"), "1");
  EXPECT_EQ(value(R"(sluice_client_disconnects_total{phase="queue"})"), "0");
  EXPECT_EQ(value(R"(sluice_wasted_tokens_total{model="hash",reason="cancelled"})"), "1");
  EXPECT_EQ(value(ends("499", "cancelled")), "2");
  EXPECT_EQ(value(R"(sluice_requests_running{model="hash"})"), "0");
}

TEST_F(MetricsTest, CountASequenceThatGoesOnElsewhere) {
  bring_up();
  auto client = ask_measured(completion("hello", 5));
  launcher->alive()[0]->step();
  settle();

  launcher->alive()[0]->die();
  settle();
  EXPECT_EQ(value(R"(sluice_requests_waiting{class="realtime",model="hash"})"), "1");
  EXPECT_EQ(value(R"(sluice_requests_running{model="hash"})"), "0");
  bring_up();
  run_to_end();

  EXPECT_TRUE(client->ended);
  EXPECT_EQ(value(R"(sluice_resumed_requests_total{model="hash",reason="lane_lost"})"), "1");
  EXPECT_EQ(value(R"(sluice_generation_tokens_total{model="hash"})"), "5");
  EXPECT_EQ(value(R"(sluice_prompt_tokens_total{model="hash"})"), "5") << "once, although computed "
                                                                          "twice";
  EXPECT_EQ(value(R"(sluice_worker_restarts_total{worker="0",reason="outside"})"), "1");
  EXPECT_NE(value(R"(sluice_breaker_transitions_total{model="hash",worker="0",to="closed"})"), "0");
  EXPECT_EQ(value(ends("200", "length")), "1");
}

TEST_F(MetricsTest, ShowHowLanesAndModelsAre) {
  EXPECT_EQ(value(R"(sluice_model_state{model="hash",state="ready"})"), "0");
  EXPECT_EQ(value(R"(sluice_worker_up{worker="0",model="hash"})"), "0");

  bring_up();
  launcher->alive().front()->blocks_free = 0;
  advance(std::chrono::milliseconds(50));

  EXPECT_EQ(value(R"(sluice_model_state{model="hash",state="ready"})"), "1");
  EXPECT_EQ(value(R"(sluice_model_state{model="hash",state="loading"})"), "0");
  EXPECT_EQ(value(R"(sluice_worker_up{worker="0",model="hash"})"), "1");
  EXPECT_EQ(value(R"(sluice_breaker_state{model="hash",worker="0"})"), "0");
  EXPECT_EQ(value(R"(sluice_kv_cache_usage_ratio{model="hash"})"), "1");
  EXPECT_EQ(value(R"(sluice_kv_cache_blocks{model="hash",state="free"})"), "0");
  EXPECT_NE(value(R"(sluice_kv_cache_blocks{model="hash",state="used"})"), "0");
  front->stopping = true;
  EXPECT_EQ(value(R"(sluice_model_state{model="hash",state="draining"})"), "1");
}

TEST_F(MetricsTest, ForeseeWhatWillBeAsked) {
  bring_up();
  EXPECT_EQ(value(R"(sluice_lanes_wanted{model="hash"})"), "1");

  // Four lanes' time: 256 requests a minute of a second each.
  for (int i = 0; i < 10; ++i) {
    for (int j = 0; j < 256; ++j)
      model->arrivals.arrived(0, std::chrono::seconds(1), front->clock->now());
    advance(std::chrono::minutes(1));
  }
  ask(completion("a", 1));
  run_to_end();

  EXPECT_EQ(value(R"(sluice_lanes_wanted{model="hash"})"), "6");
  EXPECT_NE(value(R"(sluice_forecast_requests_per_second{model="hash",class="realtime"})"), "0");
  EXPECT_EQ(value(R"(sluice_forecast_requests_per_second{model="hash",class="low"})"), "0");
  EXPECT_EQ(value(R"(sluice_forecast_error_ratio{model="hash",class="low"})"), "0");
}

TEST_F(MetricsTest, EscapeTheNamesOfTenants) {
  TenantPolicy policy;
  policy.name = "a\"b\\c\nd";
  policy.requests = {60, std::chrono::minutes(1), 5};

  enroll(*front, {policy});

  EXPECT_EQ(value(R"(sluice_tenant_requests_left{tenant="a\"b\\c\nd"})"), "5");
}

TEST_F(MetricsTest, CountRequestsAndTokensOfEachTenant) {
  bring_up();
  auto tenants = enroll(
      *front, {{.name = "shop", .requests = {60, std::chrono::minutes(1), 1}}, {.name = "other"}});

  ask(completion("hello", 5), tenants[0]);
  ask(completion("hello", 5), tenants[0]);
  ask(completion("ab", 3), tenants[1]);
  run_to_end();

  auto of = [this](const std::string& figure, const std::string& tenant) {
    return value("sluice_tenant_" + figure + "_total{tenant=\"" + tenant + "\"}");
  };
  EXPECT_EQ(of("requests_admitted", "shop"), "1");
  EXPECT_EQ(of("prompt_tokens", "shop"), "5");
  EXPECT_EQ(of("generation_tokens", "shop"), "5");
  EXPECT_EQ(of("requests_admitted", "other"), "1");
  EXPECT_EQ(of("prompt_tokens", "other"), "2");
  EXPECT_EQ(of("generation_tokens", "other"), "3");
  const std::string rejected = "sluice_tenant_requests_rejected_total";
  EXPECT_EQ(value(rejected + R"({tenant="shop",reason="rate_limited"})"), "1");
  EXPECT_EQ(value(rejected + R"({tenant="other",reason="rate_limited"})"), "none");
}

TEST_F(MetricsTest, BoundTheSeriesOfAFamilyHoweverManyTenantsThereAre) {
  std::vector<TenantPolicy> policies(MetricsPage::kSeriesMax + 10);
  for (std::size_t i = 0; i < policies.size(); ++i)
    policies[i].name = "tenant-" + std::to_string(i);

  enroll(*front, policies);
  page();

  EXPECT_EQ(value("sluice_metrics_dropped_series_total"), "40") << "ten of each that all have";
}

TEST_F(MetricsTest, BeginEachFamilyOnce) {
  bring_up();
  ask_measured(completion("hello", 5));
  run_to_end();
  std::string text = page();

  std::set<std::string> begun;
  for (std::size_t at = text.find("# TYPE "); at != std::string::npos;
       at = text.find("# TYPE ", at + 1)) {
    std::string line = text.substr(at, text.find('\n', at) - at);
    EXPECT_TRUE(begun.insert(line).second) << line;
  }
  EXPECT_GT(begun.size(), 50U);
}

TEST(RequestMeter, CountsWhoeverNobodyHasAnsweredAsGone) {
  FrontMetrics metrics(std::make_shared<SystemClock>());
  ModelMetrics& model = metrics.add_model("m\"");
  const RouteRule* rule =
      std::get<RouteMatch>(find_route(Listener::data, "POST", "/v1/chat/completions")).rule;

  {
    RequestMeter meter(metrics, rule, "POST", SystemClock().now());
    RequestMeter moved(std::move(meter));
    moved.read(model, PriorityClass::low);
  }
  RequestMeter(metrics, rule, "POST", SystemClock().now()).end({429, EndReason::overloaded});
  RequestMeter(metrics, rule, "OPTIONS", SystemClock().now()).end({204, EndReason::stop});
  MetricsPage page;
  write_registry(metrics.registry().caf(), page);

  EXPECT_THAT(page.text(),
              HasSubstr(R"(sluice_requests_total{class="low",code="499",model="m\"",)"
                        R"(reason="cancelled",route="/v1/chat/completions"} 1)"));
  EXPECT_THAT(page.text(),
              HasSubstr(R"(sluice_requests_total{class="unknown",code="429",model="unknown",)"
                        R"(reason="overloaded",route="/v1/chat/completions"} 1)"));
  EXPECT_THAT(page.text(), Not(HasSubstr("204")));
  EXPECT_THAT(page.text(),
              HasSubstr(R"(sluice_http_request_duration_seconds_count{code="2xx",)"
                        R"(method="OPTIONS",route="/v1/chat/completions"} 1)"));
}

TEST(FrontMetrics, KeepToClosedListsOfLabels) {
  FrontMetrics metrics(std::make_shared<SystemClock>());

  metrics.count_fault(Listener::data, "made_up");
  metrics.count_ignored("echo,made_up,also_made_up");
  metrics.observe(nullptr, FrontMetrics::method_of("BREW"), 404, Duration::zero());
  MetricsPage page;
  write_registry(metrics.registry().caf(), page);

  EXPECT_THAT(page.text(), Not(HasSubstr("made_up")));
  EXPECT_THAT(page.text(), Not(HasSubstr("BREW")));
  EXPECT_THAT(page.text(), HasSubstr("sluice_ignored_params_total{param=\"other\"} 2\n"));
  EXPECT_THAT(page.text(), HasSubstr("sluice_ignored_params_total{param=\"echo\"} 1\n"));
}

TEST(RequestEnd, NamesAReasonForEveryRefusal) {
  EXPECT_EQ(RequestEnd::of(errors::overloaded(std::chrono::seconds(1))).reason,
            EndReason::overloaded);
  EXPECT_EQ(RequestEnd::of(errors::rate_limit_exceeded("", std::chrono::seconds(1))).reason,
            EndReason::rate_limited);
  EXPECT_EQ(RequestEnd::of(errors::breaker_open("m", std::chrono::seconds(1))).reason,
            EndReason::breaker);
  EXPECT_EQ(RequestEnd::of(errors::no_replica("m", Duration::zero())).reason, EndReason::breaker);
  EXPECT_EQ(RequestEnd::of(errors::draining()).reason, EndReason::shed);
  EXPECT_EQ(RequestEnd::of(errors::not_ready("m")).reason, EndReason::shed);
  EXPECT_EQ(RequestEnd::of(errors::deadline_exceeded("queue", Duration(), false)).reason,
            EndReason::deadline);
  EXPECT_EQ(RequestEnd::of(errors::poison_request()).reason, EndReason::poison);
  EXPECT_EQ(RequestEnd::of(errors::poison_kind("of this tenant", Duration())).reason,
            EndReason::poison);
  EXPECT_EQ(RequestEnd::of(errors::invalid_api_key()).reason, EndReason::invalid);
  EXPECT_EQ(RequestEnd::of(errors::invalid_api_key()).status, 401);
  EXPECT_EQ(RequestEnd::of(errors::backend_lost()).reason, EndReason::error);
  EXPECT_EQ(RequestEnd::of(errors::internal_error("r")).reason, EndReason::error);
}

}  // namespace
}  // namespace sluice::testing
