#include "api/operator_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using ::testing::HasSubstr;

OperatorRequest read(std::string_view body) {
  auto parsed = parse_operator_request(body);
  EXPECT_TRUE(std::holds_alternative<OperatorRequest>(parsed)) << body;
  auto* request = std::get_if<OperatorRequest>(&parsed);
  return request ? *request : OperatorRequest{};
}

std::string refusal(std::string_view body) {
  auto parsed = parse_operator_request(body);
  auto* error = std::get_if<ApiError>(&parsed);
  EXPECT_NE(error, nullptr) << body;
  return error ? error->message : "";
}

TEST(OperatorRequestTest, MaySayNothing) {
  for (const char* body : {"", "{}"}) {
    EXPECT_EQ(read(body).reason, "an operator");
    EXPECT_EQ(read(body).lasts, std::nullopt);
  }
}

TEST(OperatorRequestTest, MaySayWhyAndForHowLong) {
  OperatorRequest request = read(R"({"reason":"a fan is broken","for_s":60})");

  EXPECT_EQ(request.reason, "a fan is broken");
  EXPECT_EQ(request.lasts, std::chrono::seconds(60));
}

TEST(OperatorRequestTest, IsRefusedByTheNameOfWhatIsWrong) {
  EXPECT_THAT(refusal("[1]"), HasSubstr("not an object"));
  EXPECT_THAT(refusal("{"), HasSubstr("JSON"));
  EXPECT_THAT(refusal(R"({"why":"x"})"), HasSubstr("why"));
  for (const char* body : {R"({"reason":""})", R"({"reason":7})", R"({"reason":"two\nlines"})"})
    EXPECT_THAT(refusal(body), HasSubstr("reason must be one line of 1 to 200 bytes"));
  EXPECT_THAT(refusal("{\"reason\":\"" + std::string(201, 'x') + "\"}"), HasSubstr("reason"));
  for (const char* body :
       {R"({"for_s":0})", R"({"for_s":86401})", R"({"for_s":1.5})", R"({"for_s":"60"})"})
    EXPECT_THAT(refusal(body), HasSubstr("for_s must be an integer from 1 to 86400"));
}

}  // namespace
}  // namespace sluice
