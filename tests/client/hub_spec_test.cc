#include "client/hub_spec.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

TEST(HubSpec, NamesAModelItsQuantizationAndItsRevision) {
  auto plain = parse_hub_spec("hf:HuggingFaceTB/SmolLM2-135M-Instruct");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->id(), "HuggingFaceTB/SmolLM2-135M-Instruct");
  EXPECT_EQ(plain->revision, "main");
  EXPECT_EQ(plain->quantization, "");

  auto all = parse_hub_spec("hf:a_b/c.d:Q4_K_M@refs/pr/1");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->organization, "a_b");
  EXPECT_EQ(all->name, "c.d");
  EXPECT_EQ(all->quantization, "Q4_K_M");
  EXPECT_EQ(all->revision, "refs/pr/1");
}

TEST(HubSpec, RefusesWhatCouldLeaveAFolder) {
  for (const char* text :
       {"",           "a/b",         "hf:",         "hf:a",        "hf:/b",
        "hf:a/",      "hf:a/b/c",    "hf:../b",     "hf:a/..",     "hf:.a/b",
        "hf:a/b.",    "hf:-a/b",     "hf:a--b/c",   "hf:a/b c",    "hf:a/b\x1b",
        "hf:a/b:",    "hf:a/b:Q/4",  "hf:a/b@",     "hf:a/b@..",   "hf:a/b@x/../y",
        "hf:a/b@/x",  "hf:a/b@x/",   "hf:a/b@x//y", "hf:a/b@.",    "hf:a/b@x/.y",
        "hf:a/b@x y", "hf:a/b@x\ny", "hf:a/b@x:y",  "hf:a/b@x@{1}"}) {
    auto spec = parse_hub_spec(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(spec.error().message.find("hf:ORG/NAME"), std::string::npos);
    EXPECT_EQ(spec.error().message.find('\x1b'), std::string::npos);
  }
  EXPECT_FALSE(parse_hub_spec("hf:a/" + std::string(97, 'b')));
  EXPECT_FALSE(parse_hub_spec("hf:a/b@" + std::string(201, 'c')));
}

TEST(HubSpec, KnowsCommits) {
  EXPECT_TRUE(is_commit("0123456789abcdef0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789ABCDEF0123456789abcdef01234567"));
  EXPECT_FALSE(is_commit("0123456789abcdef0123456789abcdef0123456"));
  EXPECT_FALSE(is_commit("main"));
}

}  // namespace
}  // namespace sluice
