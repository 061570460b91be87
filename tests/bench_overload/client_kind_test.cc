#include "bench/overload/client_kind.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <fstream>

namespace sluice::overload {
namespace {

std::string file_with(const std::string& text) {
  std::string path = testing::TempDir() + "/" + std::to_string(::getpid()) + "-mix.toml";
  std::ofstream(path) << text;
  return path;
}

TEST(ClientKind, IsReadFromTheCommandLine) {
  auto kind = parse_client_kind(
      "tenant=shop,class=low,key=sk-1,service_tier=flex,share=0.5,max_tokens=8,stream=true,"
      "objective_ms=250,patience_ms=1500,deadline_ms=900,retry=storm,retry_delay_ms=0.5");

  ASSERT_TRUE(kind) << kind.error().message;
  EXPECT_EQ(kind->tenant, "shop");
  EXPECT_EQ(kind->priority_class, "low");
  EXPECT_EQ(kind->service_tier, "flex");
  EXPECT_EQ(kind->share, 0.5);
  EXPECT_TRUE(kind->stream);
  EXPECT_EQ(kind->objective, std::chrono::milliseconds(250));
  EXPECT_EQ(kind->retry, ClientKind::Retry::storm);
  EXPECT_EQ(kind->retry_delay, std::chrono::microseconds(500));
}

TEST(ClientKind, SaysWhatIsWrong) {
  auto message = [](const char* text) { return parse_client_kind(text).error().message; };

  EXPECT_EQ(message("tenant"), "client: expected FIELD=VALUE, got \"tenant\"");
  EXPECT_EQ(message("colour=red"), "clients have no field \"colour\"");
  EXPECT_EQ(message("max_tokens=0"), "max_tokens: expected a number from 1 to 10000000, got \"0\"");
  EXPECT_EQ(message("retry=often"), "retry: expected none, polite or storm, got \"often\"");
  EXPECT_EQ(message("key=a\nb"), "key: expected a plain word, got \"a\nb\"");
}

TEST(ClientKind, IsReadFromAFile) {
  auto kinds =
      read_mix(file_with("[[client]]\ntenant = \"shop\"\nshare = 3\n\n[[client]]\nstream = true\n"
                         "objective_ms = 20.5\n"));

  ASSERT_TRUE(kinds) << kinds.error().message;
  ASSERT_EQ(kinds->size(), 2U);
  EXPECT_EQ(kinds->at(0).tenant, "shop");
  EXPECT_EQ(kinds->at(0).share, 3);
  EXPECT_TRUE(kinds->at(1).stream);
  EXPECT_EQ(kinds->at(1).objective, std::chrono::microseconds(20'500));
}

TEST(ClientKind, OfAFileIsWrongInALine) {
  auto message = [](const char* text) {
    std::string all = read_mix(file_with(text)).error().message;
    return all.substr(all.rfind("mix.toml"));
  };

  EXPECT_EQ(message("[[client]]\nshare = -1\n"),
            "mix.toml:2: share: expected a number above 0, got \"-1\"");
  EXPECT_EQ(message("[client]\n"), "mix.toml:1: has no [[client]]");
  EXPECT_NE(read_mix("/nowhere/mix.toml").error().message, "");
}

TEST(ClientKind, IsChosenByItsShare) {
  std::vector<ClientKind> kinds(3);
  kinds[0].share = 1;
  kinds[1].share = 2;
  kinds[2].share = 1;
  std::array<int, 3> chosen{};

  for (int i = 0; i < 400; ++i)
    ++chosen[choose_kind(kinds, i / 400.0)];

  EXPECT_EQ(chosen, (std::array<int, 3>{100, 200, 100}));
}

}  // namespace
}  // namespace sluice::overload
