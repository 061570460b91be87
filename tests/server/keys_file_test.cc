#include "server/keys_file.h"

#include "admission/quotas.h"
#include "net/sha256.h"
#include "server/entrance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

namespace sluice {
namespace {

using std::chrono::minutes;

const std::string kDigestA(64, 'a');
const std::string kDigestB(64, 'b');

std::string error_of(const std::string& text) {
  auto file = parse_keys_file(text, "keys.toml");
  EXPECT_FALSE(file) << text;
  return file ? "" : file.error().message;
}

/// A key with further lines; the first of them is line 4.
std::string key(const std::string& lines) {
  return "[[key]]\nid = \"a\"\nsha256 = \"" + kDigestA + "\"\n" + lines;
}
std::string tenant(const std::string& lines) {
  return "[[tenant]]\nname = \"t\"\n" + lines;
}

TEST(KeysFile, SaysWhoMayAskAndHowMuch) {
  auto file = parse_keys_file(R"(
[[tenant]]
name = "shop"
class = "batch"
max_class = "realtime"
scopes = ["priority"]
core = true
degradation = "never"
weight = 2
rpm = 600
burst = 50
tpm = 100000
max_inflight = 8

[[key]]
id = "web"
sha256 = ")" + kDigestA + R"("
tenant = "shop"

[[key]]
id = "nightly"
sha256 = ")" + kDigestB + R"("
class = "low"
rpm = 60
)",
                              "keys.toml");
  ASSERT_TRUE(file) << file.error().message;

  ASSERT_EQ(file->tenants.size(), 2U);
  EXPECT_EQ(file->tenants[0],
            (TenantPolicy{.name = "shop",
                          .default_class = PriorityClass::batch,
                          .max_class = PriorityClass::realtime,
                          .may_prioritize = true,
                          .core = true,
                          .may_be_degraded = false,
                          .weight = 2,
                          .requests = {600, minutes(1), 50},
                          .tokens = {100000, minutes(1), 100000},
                          .in_flight_max = 8}));
  EXPECT_EQ(file->tenants[1],
            (TenantPolicy{.name = "nightly",
                          .default_class = PriorityClass::low,
                          .requests = {60, minutes(1), 60}}));
  ASSERT_EQ(file->keys.size(), 2U);
  EXPECT_EQ(file->keys[0].id, "web");
  EXPECT_EQ(file->keys[0].sha256, kDigestA);
  EXPECT_EQ(file->keys[0].tenant, 0U);
  EXPECT_EQ(file->keys[1].tenant, 1U);
}

TEST(KeysFile, SaysWhatTheAnonymousMayDo) {
  auto file = parse_keys_file("[[tenant]]\nname = \"anonymous\"\nrpm = 10\n", "keys.toml");
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->keys.empty());
  EXPECT_EQ(file->tenants[0].requests.units, 10U);

  Quotas quotas;
  auto tenants = quotas.enroll(file->tenants, TimePoint());
  auto client = make_key_ring(*file, tenants).authenticate(std::nullopt, std::nullopt);
  EXPECT_EQ(std::get<Client>(client).tenant, tenants[0]);
}

TEST(KeysFile, MakesAKeyRing) {
  std::string digest;
  for (std::uint8_t byte : sha256("sk-one")) {
    digest += "0123456789ABCDEF"[byte >> 4];
    digest += "0123456789ABCDEF"[byte & 15];
  }
  auto file = parse_keys_file(
      "[[key]]\nid = \"a\"\nsha256 = \"" + digest + "\"\nmax_inflight = 7\n", "keys.toml");
  ASSERT_TRUE(file);
  Quotas quotas;
  KeyRing ring = make_key_ring(*file, quotas.enroll(file->tenants, TimePoint()));

  auto client = ring.authenticate("Bearer sk-one", std::nullopt);
  ASSERT_TRUE(std::holds_alternative<Client>(client));
  EXPECT_EQ(std::get<Client>(client).key_id, "a");
  EXPECT_EQ(std::get<Client>(client).tenant->policy.in_flight_max, 7U);
}

TEST(KeysFile, NamesLineColumnFieldAndReason) {
  struct Bad {
    std::string text;
    std::string says;
  };
  const std::string range = "expected a whole number from 1 to ";
  const Bad table[] = {
      {"",
       "keys.toml:1:1: holds no key; a key is written [[key]] with an id and the sha256 of its "
       "token below"},
      {"[[tenant]]\nname = \"t\"\n", "keys.toml:1:1: holds no key; "},
      {"web " + kDigestA + "\n", "keys.toml:1:"},
      {"x = 1\n", "keys.toml:1:1: x: is not known here; known are key, tenant"},
      {"key = 3\n", "keys.toml:1:7: key: is written [[key]]"},
      {"[key]\nid = \"a\"\n", "keys.toml:1:1: key: is written [[key]]"},
      {"key = [1]\n", "keys.toml:1:7: key: is written [[key]]"},
      {"[[key]]\nsha256 = \"" + kDigestA + "\"\n", "keys.toml:1:1: id: is missing"},
      {"[[key]]\nid = \"a\"\n", "keys.toml:1:1: sha256: is missing"},
      {"[[key]]\nid = \"a\"\nsha256 = \"abc\"\n",
       "keys.toml:3:10: sha256: expected 64 hexadecimal digits, got 3 characters"},
      {"[[key]]\nid = \"a\"\nsha256 = \"" + std::string(64, 'g') + "\"\n",
       "keys.toml:3:10: sha256: expected 64 hexadecimal digits, got 64 characters"},
      {"[[key]]\nid = 7\nsha256 = \"" + kDigestA + "\"\n",
       "keys.toml:2:6: id: expected 1 to 128 letters, digits or signs without spaces, got 7"},
      {"[[key]]\nid = \"a b\"\nsha256 = \"" + kDigestA + "\"\n",
       "keys.toml:2:6: id: expected 1 to 128 "},
      {"[[key]]\nid = \"anonymous\"\nsha256 = \"" + kDigestA + "\"\n",
       "keys.toml:2:6: id: anonymous are those who have no key"},
      {key("[[key]]\nid = \"a\"\nsha256 = \"" + kDigestB + "\"\n"),
       "keys.toml:5:6: id: a is given twice"},
      {key("[[key]]\nid = \"b\"\nsha256 = \"" + std::string(64, 'A') + "\"\n"),
       "keys.toml:6:10: sha256: is that of the key a"},
      {key("rmp = 3\n"),
       "keys.toml:4:1: rmp: is not known here; known are id, sha256, tenant, class, "},
      {key("rpm = -5\n"), "keys.toml:4:7: rpm: " + range + "1000000000000, got -5"},
      {key("rpm = 0\n"), "keys.toml:4:7: rpm: " + range + "1000000000000, got 0"},
      {key("rpm = 1.5\n"), "keys.toml:4:7: rpm: " + range + "1000000000000, got 1.5"},
      {key("rpm = \"60\"\n"), "keys.toml:4:7: rpm: " + range + "1000000000000, got \"60\""},
      {key("burst = 5\n"), "keys.toml:4:9: burst: means something only beside rpm"},
      {key("tpm = -1\n"), "keys.toml:4:7: tpm: " + range},
      {key("weight = 0\n"), "keys.toml:4:10: weight: " + range + "1000, got 0"},
      {key("max_inflight = 0\n"), "keys.toml:4:16: max_inflight: " + range + "1000000, got 0"},
      {key("class = \"urgent\"\n"),
       "keys.toml:4:9: class: expected one of realtime, batch, low, got \"urgent\""},
      {key("class = 1\n"), "keys.toml:4:9: class: expected one of realtime, batch, low, got 1"},
      {key("max_class = \"low\"\n"),
       "keys.toml:4:13: max_class: low is less than the class of its requests, realtime"},
      {key("core = 1\n"), "keys.toml:4:8: core: expected true or false, got 1"},
      {key("core = \"yes\"\n"), "keys.toml:4:8: core: expected true or false, got \"yes\""},
      {key("degradation = \"maybe\"\n"),
       "keys.toml:4:15: degradation: expected one of allow, never, got \"maybe\""},
      {key("degradation = true\n"),
       "keys.toml:4:15: degradation: expected one of allow, never, got true"},
      {key("scopes = \"priority\"\n"), "keys.toml:4:10: scopes: expected a list, got \"priority\""},
      {key("scopes = [\"admin\"]\n"),
       "keys.toml:4:11: scopes: expected one of priority, got \"admin\""},
      {key("scopes = [[]]\n"), "keys.toml:4:11: scopes: expected one of priority, got a list"},
      {key("tenant = \"t\"\n"), "keys.toml:4:10: tenant: there is no [[tenant]] of the name t"},
      {key("tenant = \"anonymous\"\n"),
       "keys.toml:4:10: tenant: anonymous are those who have no key"},
      {tenant(key("tenant = \"t\"\nrpm = 5\n")), "keys.toml:7:7: rpm: is up to the tenant, t"},
      {"[[tenant]]\nname = \"a\"\n" + key(""),
       "keys.toml:4:6: id: there is a tenant a; for its key say tenant = \"a\""},
      {tenant(tenant("")) + key(""), "keys.toml:4:8: name: t is given twice"},
      {tenant("sha256 = \"x\"\n") + key(""),
       "keys.toml:3:1: sha256: is not known here; known are name, class, "},
      {"[[tenant]]\n" + key(""), "keys.toml:1:1: name: is missing"},
  };
  for (const Bad& bad : table)
    EXPECT_EQ(error_of(bad.text).substr(0, bad.says.size()), bad.says) << bad.text;
}

TEST(KeysFile, SaysNothingThatFollowsFromAnotherMistakeAlone) {
  EXPECT_EQ(error_of(key("class = \"nightly\"\nmax_class = \"batch\"\n")),
            "keys.toml:4:9: class: expected one of realtime, batch, low, got \"nightly\"");
  EXPECT_EQ(error_of(key("tpm =\n")).find("written [[key]]"), std::string::npos);
}

TEST(KeysFile, ReportsAllThatIsWrongInOrder) {
  EXPECT_EQ(error_of(key("max_inflight = 0\ncore = 2\nrpm = -1\n")),
            "keys.toml:4:16: max_inflight: expected a whole number from 1 to 1000000, got 0\n"
            "keys.toml:5:8: core: expected true or false, got 2\n"
            "keys.toml:6:7: rpm: expected a whole number from 1 to 1000000000000, got -1");
  std::string many;
  for (int i = 0; i < 30; ++i)
    many += "unknown" + std::to_string(i) + " = 1\n";
  std::string error = error_of(many);
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 20);
  EXPECT_TRUE(error.ends_with("\nand 10 more")) << error;
}

TEST(KeysFile, RefusesANameOfVeryManyParts) {
  std::string name = "a";
  for (int i = 0; i < 200'000; ++i)
    name += ".a";
  for (const std::string& text : {"# keys\n" + name + " = 1\n", "\n[[" + name + "]]\n"}) {
    auto file = parse_keys_file(text, "keys.toml");
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().message, "keys.toml:2:1: this line has more than 1000 dots");
  }
}

TEST(KeysFile, TakesAsManyKeysAsItSays) {
  std::string text;
  char digest[65] = {};
  for (int i = 0; i <= 10'000; ++i) {
    std::snprintf(digest, sizeof digest, "%064x", i);
    text += "[[key]]\nid = \"k" + std::to_string(i) + "\"\nsha256 = \"" + digest + "\"\n";
  }
  EXPECT_EQ(error_of(text), "keys.toml:30002:6: id: is one of more than 10000 keys");
}

TEST(KeysFile, IsNamedWhenItCannotBeRead) {
  auto missing = read_keys_file("--api-keys", "/nowhere/keys.toml");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "--api-keys /nowhere/keys.toml: cannot be read");
  for (const char* path : {"/", "/dev/zero"})
    EXPECT_FALSE(read_keys_file("--api-keys", path)) << path;
}

}  // namespace
}  // namespace sluice
