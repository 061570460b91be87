#include "client/chat_input.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using Kind = ChatInput::Kind;

void expect_input(std::string_view line, Kind kind, std::string_view text) {
  ChatInputReader reader;
  auto input = reader.take_line(line);
  ASSERT_TRUE(input) << line;
  EXPECT_EQ(input->kind, kind) << line;
  EXPECT_EQ(input->text, text) << line;
}

TEST(ChatInput, TellsCommandsFromMessages) {
  expect_input("hello /new", Kind::message, "hello /new");
  expect_input(" /new is a message", Kind::message, " /new is a message");
  expect_input("/new", Kind::forget, "");
  expect_input("/new ", Kind::forget, "");
  expect_input("/help", Kind::help, "");
  expect_input("/exit", Kind::exit, "");
  expect_input("/system  Be brief. ", Kind::system, "Be brief.");
  expect_input("/system", Kind::system, "");
  expect_input("/nwe", Kind::unknown, "/nwe");
  expect_input("/new chat", Kind::unknown, "/new");
  expect_input("/etc/passwd: what is it?", Kind::unknown, "/etc/passwd:");
}

TEST(ChatInput, GoesOnAfterABackslash) {
  ChatInputReader reader;
  EXPECT_FALSE(reader.take_line("one\\"));
  EXPECT_TRUE(reader.continues());
  EXPECT_FALSE(reader.take_line("/new\\"));
  auto input = reader.take_line("three");

  ASSERT_TRUE(input);
  EXPECT_EQ(input->kind, Kind::message);
  EXPECT_EQ(input->text, "one\n/new\nthree");
  EXPECT_FALSE(reader.continues());
  EXPECT_EQ(reader.take_line("next")->text, "next");
}

TEST(ChatInput, TakesBlankLinesForNothing) {
  ChatInputReader reader;
  for (const char* line : {"", "  ", "\t", "\r"})
    EXPECT_FALSE(reader.take_line(line));
  EXPECT_FALSE(reader.take_line("\\"));
  EXPECT_FALSE(reader.take_line(""));
  EXPECT_FALSE(reader.continues());
}

}  // namespace
}  // namespace sluice
