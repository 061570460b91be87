// What is refused before its body is read.
#include "actors/gateway.h"

#include "tests/support/front_world.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice::testing {
namespace {

using ::testing::HasSubstr;

class GatewayTest : public FrontWorld {
 protected:
  static HttpRequest request() {
    HttpRequest request;
    request.method = "POST";
    request.path = "/v1/completions";
    request.headers = {{"Content-Type", "application/json"}};
    request.has_body = request.has_framing = true;
    request.body = R"({"prompt":"hello","max_tokens":1})";
    request.content_length = request.body.size();
    return request;
  }
  /// Its session begins, and runs when the world settles.
  void ask() {
    auto client = std::make_shared<FakeExchange>();
    clients.push_back(client);
    gateway->on_request(request(), client);
  }

  InlinePool pool;
  std::shared_ptr<GatewayOptions> options = std::make_shared<GatewayOptions>();
  std::unique_ptr<HttpHandler> gateway = make_gateway(
      system,
      front,
      options,
      std::make_shared<Intake>(system, front, options->limits, pool, options->idempotency));
};

TEST_F(GatewayTest, RefusesFromTheHeadWhoeverWouldStandInTooLongALineBeforeAdmission) {
  bring_up();
  const std::size_t most = front->options.admission.queue_capacity + model->slots;
  for (std::size_t i = 0; i < most; ++i)
    ask();
  EXPECT_FALSE(gateway->on_head(request())) << "that many may wait for its word";
  ask();

  auto refusal = gateway->on_head(request());

  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 429);
  EXPECT_THAT(refusal->body, HasSubstr(R"("code":"overloaded")"));
  EXPECT_THAT(refusal->body, HasSubstr(std::to_string(most + 1) + " requests wait"));
  settle();
  EXPECT_FALSE(gateway->on_head(request())) << "all have been heard";
}

TEST_F(GatewayTest, KeepsWhatWasRefusedFromItsHeadUnderTheIdThatTheClientIsTold) {
  bring_up();
  DegradationLadder top(6, DegradationTerm::host_memory, TimePoint());
  front->options.degradation = true;
  front->degradation.publish(top);

  auto refusal = gateway->on_head(request());

  ASSERT_TRUE(refusal);
  auto last = front->decisions.last();
  ASSERT_EQ(last.size(), 1U);
  EXPECT_THAT(
      refusal->headers,
      ::testing::Contains(std::pair<std::string, std::string>("X-Request-Id", last[0].request_id)));
  EXPECT_EQ(last[0].decision.refused, Refusal::degraded);
  EXPECT_EQ(last[0].level, 6U);
  EXPECT_EQ(last[0].model, "") << "nobody has read it";
  EXPECT_EQ(front->counters.refused, 1U);
}

TEST_F(GatewayTest, SaysFromTheHeadThatTheServerShutsDown) {
  bring_up();
  front->draining = true;

  auto refusal = gateway->on_head(request());

  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->status, 503);
  Decision decision = front->decisions.last().at(0).decision;
  EXPECT_EQ(decision.refused, Refusal::draining);
  EXPECT_THAT(refusal->body, HasSubstr(decision.message));
}

}  // namespace
}  // namespace sluice::testing
