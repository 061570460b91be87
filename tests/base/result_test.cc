#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace sluice {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0)
    return Error{ErrorCode::invalid_argument, std::to_string(number) + " is odd"};
  return number / 2;
}

Result<void> only_even(int number) {
  if (auto result = half(number); !result) return result.error();
  return {};
}

TEST(Result, HoldsAValue) {
  Result<int> result = half(8);

  ASSERT_TRUE(result);
  EXPECT_EQ(*result, 4);
  EXPECT_EQ(result.value_or(-1), 4);
}

TEST(Result, HoldsTheReasonWhyThereIsNoValue) {
  Result<int> result = half(7);

  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(result.error().message, "7 is odd");
  EXPECT_EQ(result.value_or(-1), -1);
}

TEST(Result, MovesAValueThatCannotBeCopied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);

  std::unique_ptr<int> taken = *std::move(result);

  EXPECT_EQ(*taken, 5);
}

TEST(Result, OfVoidIsSuccessOrAnError) {
  EXPECT_TRUE(only_even(2));
  ASSERT_FALSE(only_even(3));
  EXPECT_EQ(only_even(3).error().message, "3 is odd");
}

TEST(ResultDeathTest, EndsTheProcessWhenAMissingValueIsRead) {
  Result<int> result = half(7);

  EXPECT_DEATH(static_cast<void>(*result), "CHECK failed");
}

TEST(ErrorCode, HasANameOfItsOwnForEveryCode) {
  std::set<std::string_view> names;
  for (int code = 0; code <= static_cast<int>(ErrorCode::device_lost); ++code)
    names.insert(to_string(static_cast<ErrorCode>(code)));

  EXPECT_EQ(names.size(), static_cast<std::size_t>(ErrorCode::device_lost) + 1);
  EXPECT_FALSE(names.contains("unknown"));
}

}  // namespace
}  // namespace sluice
