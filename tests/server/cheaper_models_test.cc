#include "server/cheaper_models.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

const std::vector<std::string> kServed{"big", "small", "tiny"};

std::string error_of(const std::vector<std::string>& texts) {
  auto pairs = parse_cheaper(texts, kServed);
  return pairs ? "" : pairs.error().message;
}

TEST(CheaperModels, AreReadInPairs) {
  auto pairs = parse_cheaper({"big=small", "small=tiny"}, kServed);

  ASSERT_TRUE(pairs);
  EXPECT_EQ(*pairs, (Pairs{{"big", "small"}, {"small", "tiny"}}));
  EXPECT_TRUE(parse_cheaper({}, kServed)->empty());
}

TEST(CheaperModels, AreRefusedWithTheReason) {
  for (const char* text : {"big", "big=", "=small", ""})
    EXPECT_EQ(error_of({text}),
              "--cheaper " + std::string(text) +
                  ": is written MODEL=OTHER, the names of two models that are served");
  EXPECT_EQ(error_of({"big=little"}),
            "--cheaper big=little: no model little is served; there is big, small, tiny");
  EXPECT_EQ(error_of({"huge=small"}),
            "--cheaper huge=small: no model huge is served; there is big, small, tiny");
  EXPECT_EQ(error_of({"big=big"}), "--cheaper big=big: a model is not cheaper than itself");
  EXPECT_EQ(error_of({"big=small", "big=tiny"}),
            "--cheaper big=tiny: the model big has been given another one already");
}

}  // namespace
}  // namespace sluice
