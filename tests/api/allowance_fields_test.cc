#include "api/allowance_fields.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

TEST(AllowanceFields, TellWhatIsLeftOfEachLimitThereIs) {
  HttpHeaders headers;
  append_allowances(headers, {Allowance{50, 49, milliseconds(100)}, std::nullopt});

  EXPECT_EQ(headers,
            (HttpHeaders{{"x-ratelimit-limit-requests", "50"},
                         {"x-ratelimit-remaining-requests", "49"},
                         {"x-ratelimit-reset-requests", "100ms"}}));

  headers.clear();
  append_allowances(headers, {std::nullopt, Allowance{100, 0, minutes(1)}});

  EXPECT_EQ(headers,
            (HttpHeaders{{"x-ratelimit-limit-tokens", "100"},
                         {"x-ratelimit-remaining-tokens", "0"},
                         {"x-ratelimit-reset-tokens", "1m0s"}}));
}

TEST(AllowanceFields, WriteDurationsAsGoDoesAndRoundUp) {
  const std::pair<Duration, const char*> rows[] = {
      {Duration::zero(), "0s"},
      {microseconds(1), "1ms"},
      {milliseconds(999), "999ms"},
      {microseconds(999'001), "1s"},
      {milliseconds(1001), "2s"},
      {seconds(60), "1m0s"},
      {minutes(6), "6m0s"},
      {seconds(3661), "1h1m1s"},
  };
  for (const auto& [duration, text] : rows) {
    HttpHeaders headers;
    append_allowances(headers, {Allowance{1, 0, duration}, std::nullopt});
    EXPECT_EQ(headers.back().second, text);
  }
}

}  // namespace
}  // namespace sluice
