#include "bench/overload/request_text.h"

#include <gtest/gtest.h>

#include <string_view>

namespace sluice::overload {
namespace {

using namespace std::string_view_literals;

TEST(RequestText, IsARequestWithAllThatItsKindAsksFor) {
  std::vector<ClientKind> kinds(2);
  kinds[1].key = "sk-1";
  kinds[1].service_tier = "flex";
  kinds[1].stream = true;
  kinds[1].deadline = std::chrono::milliseconds(250);
  RequestText text("[::1]:80", "/v1/completions", "hash", kinds);

  EXPECT_EQ(text.make(1, 0xabc, 20, 7),
            "POST /v1/completions HTTP/1.1\r\n"
            "Host: [::1]:80\r\n"
            "Content-Type: application/json\r\n"
            "Authorization: Bearer sk-1\r\n"
            "x-request-timeout-ms: 250\r\n"
            "Content-Length: 126\r\n"
            "\r\n"
            R"({"prompt":"0000000000000abcand ","seed":1,"ignore_eos":true,"model":"hash",)"
            R"("service_tier":"flex","stream":true,"max_tokens":7})"sv);
}

TEST(RequestText, HasPromptsOfTheirLengthAndTheirOwn) {
  RequestText text("h:1", "/", "", {ClientKind{}});

  auto prompt = [&](std::uint64_t number, std::uint32_t chars) {
    std::string all(text.make(0, number, chars, 1));
    std::size_t begin = all.find(R"({"prompt":")") + 11;
    return all.substr(begin, all.find('"', begin) - begin);
  };
  EXPECT_EQ(prompt(1, 100).size(), 100U);
  EXPECT_EQ(prompt(1, 1).size(), 16U) << "its number at least";
  EXPECT_NE(prompt(1, 100), prompt(2, 100));
}

}  // namespace
}  // namespace sluice::overload
