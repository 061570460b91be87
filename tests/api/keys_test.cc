#include "api/keys.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace sluice {
namespace {

std::string hex(const Sha256& digest) {
  std::string text;
  for (std::uint8_t byte : digest) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

KeyRing ring() {
  auto second = std::make_shared<const Tenant>(Tenant{{.name = "shop"}, 0, nullptr});
  auto created = KeyRing::create(
      {{"first", hex(sha256("sk-one"))}, {"second", hex(sha256("sk-two")), second}});
  EXPECT_TRUE(created.has_value());
  return std::move(*created);
}

std::string key_id(const KeyRing& keys,
                   std::optional<std::string_view> authorization,
                   std::optional<std::string_view> x_api_key = std::nullopt) {
  auto result = keys.authenticate(authorization, x_api_key);
  if (auto* error = std::get_if<ApiError>(&result))
    return std::to_string(error->status) + " " + error->code;
  return std::string(std::get<Client>(result).key_id);
}

TEST(Sha256, GivesThePublishedDigests) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(KeyRing, KnowsItsKeysByEitherHeader) {
  KeyRing keys = ring();

  EXPECT_EQ(key_id(keys, "Bearer sk-one"), "first");
  EXPECT_EQ(key_id(keys, "bearer sk-two"), "second");
  EXPECT_EQ(key_id(keys, "BEARER    sk-one "), "first");
  EXPECT_EQ(key_id(keys, std::nullopt, "sk-two"), "second");
  EXPECT_EQ(key_id(keys, "Bearer sk-one", "sk-one"), "first");
}

TEST(KeyRing, SaysWhoseKeyItIs) {
  KeyRing keys = ring();
  auto result = keys.authenticate("Bearer sk-two", std::nullopt);

  EXPECT_EQ(std::get<Client>(result).tenant->policy.name, "shop");
}

TEST(KeyRing, RefusesAllOthers) {
  KeyRing keys = ring();

  EXPECT_EQ(key_id(keys, std::nullopt), "401 missing_api_key");
  for (const char* authorization : {"Bearer sk-three",
                                    "Bearer sk-on",
                                    "Bearer sk-onex",
                                    "Bearer SK-ONE",
                                    "Bearer",
                                    "Bearer ",
                                    "",
                                    "sk-one",
                                    "Bearersk-one",
                                    "Basic c2stb25l"})
    EXPECT_EQ(key_id(keys, authorization), "401 invalid_api_key") << authorization;
  EXPECT_EQ(key_id(keys, std::nullopt, ""), "401 invalid_api_key");
  // The digest is no key.
  EXPECT_EQ(key_id(keys, "Bearer " + hex(sha256("sk-one"))), "401 invalid_api_key");
}

TEST(KeyRing, RefusesTwoHeadersThatDiffer) {
  EXPECT_EQ(key_id(ring(), "Bearer sk-one", "sk-two"), "400 invalid_header");
}

TEST(KeyRing, TakesEverybodyWhenItIsEmpty) {
  KeyRing none;

  EXPECT_TRUE(none.anonymous());
  EXPECT_FALSE(ring().anonymous());
  EXPECT_EQ(key_id(none, std::nullopt), "anonymous");
  EXPECT_EQ(key_id(none, "Bearer TEST_KEY"), "anonymous");
  EXPECT_EQ(key_id(none, "nonsense", "x"), "anonymous");
}

TEST(KeyRing, IsReplacedAsAWhole) {
  CurrentKeys keys;
  std::shared_ptr<const KeyRing> before = keys.get();
  keys.replace(ring());

  EXPECT_TRUE(before->anonymous());
  EXPECT_EQ(key_id(*keys.get(), "Bearer sk-one"), "first");
}

TEST(KeyRing, RefusesEntriesThatAreNoKeys) {
  std::string digest = hex(sha256("sk-one"));
  const std::vector<std::vector<KeyEntry>> refused = {
      {{"a", "abc"}},
      {{"a", digest + "00"}},
      {{"a", digest.substr(0, 63) + "g"}},
      {{"a", digest}, {"a", hex(sha256("sk-two"))}},
      {{"a", digest}, {"b", digest}},
  };
  for (const auto& entries : refused) {
    auto created = KeyRing::create(entries);
    ASSERT_FALSE(created.has_value());
    EXPECT_EQ(created.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(created.error().message.find("\"a\""), std::string::npos);
  }
}

}  // namespace
}  // namespace sluice
