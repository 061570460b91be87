#include "plugins/bundled/pii_redact/redactor.h"
#include "tests/plugins/plugin_fixture.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using pii::redact;

void expect(const std::vector<std::pair<std::string, std::string>>& cases) {
  for (const auto& [text, redacted] : cases)
    EXPECT_EQ(redact(text), redacted) << text;
}

TEST(Redactor, ReplacesEmailAddresses) {
  expect({
      {"joe@example.com", "[email]"},
      {"Write to joe.b+x@mail.example.co.uk.", "Write to [email]."},
      {"<joe@example.com>, (ann@x.org)", "<[email]>, ([email])"},
      {".joe@example.com", ".[email]"},
      {"joe@example.com-", "[email]-"},
      {"joe@example", "joe@example"},
      {"joe@.com joe@-x.com @x.com joe.@x.com", "joe@.com joe@-x.com @x.com joe.@x.com"},
      {"joe@x.c joe@x.1", "joe@x.c joe@x.1"},
      {"joe@x.com.1", "[email].1"},
      {"éjoe@x.com€", "é[email]€"},
      {std::string(64, 'a') + "@x.com", "[email]"},
      {std::string(65, 'a') + "@x.com", std::string(65, 'a') + "@x.com"},
  });
}

TEST(Redactor, ReplacesPhoneNumbers) {
  expect({
      {"+49 30 1234567", "[phone]"},
      {"call +1 (212) 555-0123 now", "call [phone] now"},
      {"0049 30/123 45 67", "[phone]"},
      {"+491701234567.", "[phone]."},
      {"212-555-0123, (212) 555-0123, 1 212.555.0123", "[phone], [phone], [phone]"},
      {"030 / 123 45 67", "[phone]"},
      {"(030) 1234-567", "[phone]"},
      {"0301234567", "0301234567"},                // no separator: any number
      {"+1234567", "+1234567"},                    // too short
      {"+1234567890123456", "+1234567890123456"},  // too long
      {"+", "+"},
      {"1 + 2 = 3", "1 + 2 = 3"},
      {"2024-01-15 12:30", "2024-01-15 12:30"},
      {"112-555-0123", "112-555-0123"},
      {"212-555-01234", "212-555-01234"},
      {"x212-555-0123", "x212-555-0123"},
      {"01.02.2024", "01.02.2024"},
  });
}

TEST(Redactor, ReplacesCardNumbersWithARightCheckDigit) {
  expect({
      {"4111 1111 1111 1111", "[card]"},
      {"4111111111111111.", "[card]."},
      {"3782-822463-10005", "[card]"},
      {"4111 1111 1111 1111 5", "[card] 5"},
      {"4111 1111 1111 1112", "4111 1111 1111 1112"},
      {"4111111111111111x", "4111111111111111x"},
      {"41111111111111110000000", "41111111111111110000000"},
      {"4222222222222", "[card]"},
  });
}

TEST(Redactor, ReplacesAccountNumbersWithRightCheckDigits) {
  expect({
      {"DE89 3704 0044 0532 0130 00", "[iban]"},
      {"gb82WEST12345698765432", "[iban]"},
      {"NO9386011117947 is mine", "[iban] is mine"},
      {"DE89 3704 0044 0532 0130 00 AND MORE", "[iban] AND MORE"},
      {"DE88370400440532013000", "DE88370400440532013000"},
      {"DE893704004405320130001", "DE893704004405320130001"},
      {"ZZ89370400440532013000", "ZZ89370400440532013000"},
  });
}

TEST(Redactor, ReplacesInternetAddresses) {
  expect({
      {"from 192.168.0.1:80 to 10.0.0.255.", "from [ip]:80 to [ip]."},
      {"256.1.1.1 1.2.3 1.2.3.04", "256.1.1.1 1.2.3 1.2.3.04"},
      {"1.2.3.4.5", "1.2.3.4.5"},
      {"v1.2.3.4", "v1.2.3.4"},
      {"2001:db8::1", "[ip]"},
      {"[fe80::1%eth0]", "[[ip]%eth0]"},
      {"::1 and ::ffff:192.0.2.1.", "[ip] and [ip]."},
      {"1:2:3:4:5:6:7:8", "[ip]"},
      {"1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8:9"},
      {"at 12:30:45", "at 12:30:45"},
      {"dead::beef std::vector a::b ::", "dead::beef std::vector a::b ::"},
      {"1::2::3", "1::2::3"},
  });
}

TEST(Redactor, ReplacesOnlyTheKindsAskedFor) {
  std::string text = "joe@x.com 192.168.0.1";

  EXPECT_EQ(redact(text, pii::bit(pii::Kind::ip)), "joe@x.com [ip]");
  EXPECT_EQ(redact(text, pii::bit(pii::Kind::email)), "[email] 192.168.0.1");
}

const std::vector<std::string>& samples() {
  static const std::vector<std::string> texts = {
      "Hi joe@example.com, call +1 (212) 555-0123 or 212-555-0123. Pay 4111 1111 1111 1111 5.",
      "IBAN DE89 3704 0044 0532 0130 00 from 10.0.0.1, fe80::1 and ::ffff:1.2.3.4. End",
      "é😀joe@x.com€ no@thing, 4111 1111 1111 1112; +49 30/123 45 67 (030) 1234-567",
      "0049 30 1234567 ::1 1.2.3.4.5 a@b.co-m.org-x dead::beef 1:2:3:4:5:6:7:8 joe@x.com.1",
      "4111 1111 1111 1111 4111 1111 1111 1111 DE89370400440532013000DE joe@x.com@y.org (",
      "+",
      "joe@",
      "1",
      "",
      "DE",
      ":",
      "(0",
      "00",
  };
  return texts;
}

/// Pieces are of whole characters.
bool is_border(const std::string& text, std::size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

TEST(Redactor, GivesTheSameForEveryCutInThree) {
  for (const std::string& text : samples()) {
    std::string whole = redact(text);
    for (std::size_t i = 0; i <= text.size(); ++i) {
      for (std::size_t j = i; j <= text.size() && is_border(text, i); ++j) {
        if (!is_border(text, j)) continue;
        pii::Redactor redactor;
        std::string out = redactor.push(text.substr(0, i), false);
        out += redactor.push(text.substr(i, j - i), false);
        out += redactor.push(text.substr(j), true);
        ASSERT_EQ(out, whole) << text << " cut at " << i << " and " << j;
      }
    }
  }
}

TEST(Redactor, GivesTheSameForSingleCharactersAndHoldsLittleBack) {
  std::string all;
  for (const std::string& text : samples())
    all += text + " ";
  all += std::string(500, 'a') + "@" + std::string(60, 'b') + "@" + std::string(1000, 'c') +
         ".com" + std::string(200, '1') + " " + std::string(200, ':');
  pii::Redactor redactor;
  std::string out;
  std::size_t held_max = 0;
  for (std::size_t i = 0; i < all.size();) {
    std::size_t end = i + 1;
    while (!is_border(all, end))
      ++end;
    out += redactor.push(all.substr(i, end - i), false);
    held_max = std::max(held_max, redactor.held_bytes());
    i = end;
  }
  out += redactor.push("", true);

  EXPECT_EQ(out, redact(all));
  EXPECT_LE(held_max, pii::kHeldBytesMax);
  EXPECT_EQ(redactor.held_bytes(), 0U);
}

TEST(Redactor, GivesPlainWordsOutWithTheNextOne) {
  pii::Redactor redactor;

  EXPECT_EQ(redactor.push("Hello", false), "");
  EXPECT_EQ(redactor.push(" world", false), "Hello ");
  EXPECT_EQ(redactor.push("!", false), "world!");
}

class PiiRedact : public ::testing::Test {
 protected:
  static std::shared_ptr<const PluginLibrary> library() {
    auto opened = PluginLibrary::open({"", std::string(SLUICE_PLUGIN_DIR) + "/pii_redact.so", ""});
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? *opened : nullptr;
  }

  /// What the client sees of one piece.
  std::string piece(std::uint64_t stream,
                    const std::string& delta,
                    bool last = false,
                    bool aborted = false) {
    HookCall call;
    call.hook = Hook::output;
    call.payload = delta;
    call.stream = stream;
    call.last = last;
    call.aborted = aborted;
    plugin.instance->start(std::move(call));
    HookReply reply = plugin.sink.replies().back();
    const std::string* text = reply.changes.find(CallKey::text);
    return text ? *text : delta;
  }

  PluginUnderTest plugin{library()};
};

TEST_F(PiiRedact, RewritesPromptsAndMessages) {
  EXPECT_EQ(plugin.ask(Hook::preprocess, {{CallKey::prompt, "I am joe@x.com"}}).changes,
            (CallFields{{CallKey::prompt, "I am [email]"}}));
  EXPECT_TRUE(plugin.ask(Hook::preprocess, {{CallKey::prompt, "I am Joe"}}).changes.empty());
  EXPECT_EQ(plugin
                .ask(Hook::preprocess,
                     {{CallKey::messages_json,
                       R"([{"role":"user","content":"joe@x.com","n":1.50},{"role":"user","content":
                         [{"type":"text","text":"ip 10.0.0.1"},{"type":"image"}]},{"content":null}])"}})
                .changes.get(CallKey::messages_json),
            R"([{"role":"user","content":"[email]","n":1.50},{"role":"user","content":)"
            R"([{"type":"text","text":"ip [ip]"},{"type":"image"}]},{"content":null}])");
  EXPECT_EQ(plugin.ask(Hook::preprocess, {{CallKey::messages_json, "{"}}).status,
            HookStatus::error);
  EXPECT_EQ(plugin.instance->metrics()[0].value, 2);
  EXPECT_EQ(plugin.instance->metrics()[4].value, 1);
}

TEST_F(PiiRedact, RewritesStreamsEachByItself) {
  EXPECT_EQ(piece(1, "Mail jo"), "Mail ");
  EXPECT_EQ(piece(2, "e@x.com "), "[email] ");
  EXPECT_EQ(piece(1, "e@x.com"), "");
  EXPECT_EQ(piece(1, "", true), "[email]");
  EXPECT_EQ(piece(2, "ab"), "");
  EXPECT_EQ(piece(2, "", true, true), "");
  EXPECT_EQ(piece(2, "c", true), "c") << "an aborted stream is forgotten";
}

TEST_F(PiiRedact, RewritesWholeAnswers) {
  EXPECT_EQ(plugin.ask(Hook::postprocess, {}, "joe@x.com").changes.get(CallKey::text), "[email]");
}

TEST_F(PiiRedact, LeavesAloneWhatItIsToldTo) {
  ASSERT_EQ(plugin.ask(Hook::reload, {}, R"({"prompts": false, "kinds": ["ip"]})").status,
            HookStatus::ok);
  EXPECT_EQ(plugin.ask(Hook::preprocess, {{CallKey::prompt, "10.0.0.1"}}).status, HookStatus::skip);
  EXPECT_EQ(plugin.ask(Hook::postprocess, {}, "joe@x.com 10.0.0.1").changes.get(CallKey::text),
            "joe@x.com [ip]");
}

}  // namespace
}  // namespace sluice
