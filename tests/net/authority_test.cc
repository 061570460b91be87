// Hosts and origins, in one spelling.
#include "net/authority.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

TEST(Authority, IsTakenApartInOneSpelling) {
  struct Row {
    const char* text;
    const char* host;
    int port;  // -1: none
    bool is_address;
    bool is_loopback;
  };
  for (const Row& row : {Row{"localhost", "localhost", -1, false, true},
                         Row{"LocalHost.:8000", "localhost", 8000, false, true},
                         Row{"Api.Example:80", "api.example", 80, false, false},
                         Row{"127.0.0.1:8000", "127.0.0.1", 8000, true, true},
                         Row{"127.9.9.9", "127.9.9.9", -1, true, true},
                         Row{"10.0.0.1", "10.0.0.1", -1, true, false},
                         Row{"[::1]:8000", "::1", 8000, true, true},
                         Row{"[0:0:0:0:0:0:0:1]", "::1", -1, true, true},
                         Row{"[2001:DB8::1]", "2001:db8::1", -1, true, false},
                         Row{"[::ffff:127.0.0.1]", "127.0.0.1", -1, true, true},
                         Row{"localhost.evil.example", "localhost.evil.example", -1, false, false},
                         Row{"127.0.0.1.evil.example", "127.0.0.1.evil.example", -1, false, false},
                         Row{"2130706433", "2130706433", -1, false, false}}) {
    const auto authority = parse_authority(row.text);
    ASSERT_TRUE(authority) << row.text;
    EXPECT_EQ(authority->host, row.host) << row.text;
    EXPECT_EQ(authority->port ? int{*authority->port} : -1, row.port) << row.text;
    EXPECT_EQ(authority->is_address, row.is_address) << row.text;
    EXPECT_EQ(authority->is_loopback, row.is_loopback) << row.text;
  }
}

TEST(Authority, IsNoneWhereTheTextNamesNoHost) {
  for (const char* text : {"",
                           ":80",
                           "host:",
                           "host:x",
                           "host:65536",
                           "host:-1",
                           "host:1:2",
                           "[::1",
                           "[::1]x",
                           "[localhost]",
                           "::1",
                           "user@host",
                           "a b",
                           "a/b"})
    EXPECT_FALSE(parse_authority(text)) << text;
  EXPECT_FALSE(parse_authority(std::string(300, 'a')));
}

TEST(Origin, HasThePortOfItsScheme) {
  EXPECT_EQ(parse_origin("HTTP://A.example")->port(), 80);
  EXPECT_EQ(parse_origin("https://a.example")->port(), 443);
  EXPECT_EQ(parse_origin("https://a.example:8443")->port(), 8443);
  EXPECT_EQ(parse_origin("app://obsidian.md")->port(), std::nullopt);
  EXPECT_EQ(parse_origin("http://[::1]:3000")->authority.host, "::1");
}

TEST(Origin, IsNoneWhereTheTextIsNot) {
  for (const char* text :
       {"", "null", "a.example", "://a", "http:/a", "http://", "http://a/path", "ht tp://a"})
    EXPECT_FALSE(parse_origin(text)) << text;
}

}  // namespace
}  // namespace sluice
