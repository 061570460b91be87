#include "trace/log.h"

#include "trace/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

namespace sluice::trace {
namespace {

using ::testing::HasSubstr;

/// Gives every field a value of its own, so that two that are mixed up show.
class Filler {
 public:
  template <class Field>
  void operator()(std::string_view, Field& field) {
    ++count_;
    fill(field);
  }

 private:
  void fill(bool& value) { value = !value; }
  template <class Number>
  void fill(Number& value) requires std::is_arithmetic_v<Number> {
    value = static_cast<Number>(count_ * 1000 + 1);
  }
  template <class Tag, class Number>
  void fill(Id<Tag, Number>& id) {
    fill(id.value);
  }
  void fill(Duration& duration) { duration = Duration(Duration::rep{1'000'000'007} * count_); }
  void fill(TimePoint& time) { time = TimePoint(Duration(Duration::rep{1'000'000'009} * count_)); }
  void fill(Outcome& outcome) { outcome = Outcome::poison; }
  void fill(Why& why) { why = Why::retry; }
  void fill(Probe::Step& step) { step = Probe::Step::expired; }
  void fill(Claimed::Answer& answer) { answer = Claimed::Answer::reserve; }
  void fill(std::vector<TokenId>& ids) { ids = {0, -1, 256, 2'147'483'647}; }
  void fill(std::string& text) { text = "a \"quoted\" \\ line\n\t\x01\x1f and \xC3\xA9"; }

  int count_ = 0;
};

template <std::size_t I>
void expect_round_trip() {
  Event event;
  event.at = TimePoint(Duration(123'456'789'012'345));
  event.body.emplace<I>();
  std::visit([](auto& body) { each_field(Filler(), body); }, event.body);

  std::string line = to_line(event);
  auto again = from_line(line);

  ASSERT_TRUE(again.has_value()) << line << ": " << again.error().message;
  EXPECT_EQ(again->at, event.at);
  EXPECT_EQ(to_line(*again), line);
  EXPECT_EQ(line.find('\n'), std::string::npos);
}

template <std::size_t... I>
void expect_round_trips(std::index_sequence<I...>) {
  (expect_round_trip<I>(), ...);
}

TEST(TraceLog, ReadsBackEveryKindOfEvent) {
  expect_round_trips(std::make_index_sequence<std::variant_size_v<Body>>());
}

TEST(TraceLog, WritesALineThatPeopleCanRead) {
  Event event{TimePoint(Duration(5)), Emitted{{7}, 2, 3, {97, 98}, true}};

  EXPECT_EQ(to_line(event),
            R"({"at":5,"event":"Emitted","sequence":7,"epoch":2,"first":3,)"
            R"("ids":[97,98],"finished":true})");
}

TEST(TraceLog, KeepsTheLastMomentAndNumbersInFull) {
  Gate gate{{3}, std::numeric_limits<std::uint64_t>::max(), 0.1, 4, true};
  Accepted accepted{{1}, 1, 2, TimePoint::max()};

  auto read_gate = from_line(to_line({TimePoint(), gate}));
  auto read_accepted = from_line(to_line({TimePoint(), accepted}));

  EXPECT_EQ(std::get<Gate>(read_gate->body).weight, 0.1);
  EXPECT_EQ(std::get<Gate>(read_gate->body).generation, gate.generation);
  EXPECT_EQ(std::get<Accepted>(read_accepted->body).deadline, TimePoint::max());
}

TEST(TraceLog, RefusesWhatItWouldNotWrite) {
  std::string good = to_line({TimePoint(), Ended{{7}, Outcome::completed}});
  ASSERT_TRUE(from_line(good).has_value());

  for (std::size_t cut = 0; cut < good.size(); ++cut)
    EXPECT_FALSE(from_line(good.substr(0, cut)).has_value()) << cut;
  for (const char* bad : {
           R"({"at":0,"event":"Ended","request":7,"outcome":"completed"} )",
           R"({"at":0,"event":"Ended","outcome":"completed","request":7})",
           R"({"at":0,"event":"Ended","request":-7,"outcome":"completed"})",
           R"({"at":0,"event":"Ended","request":7,"outcome":"finished"})",
           R"({"at":0,"event":"Finished","request":7})",
           R"({"at":0,"event":"Restarted","path":"a\u0041"})",
           R"({"at":0,"event":"Restarted","path":"a\n"})",
       })
    EXPECT_FALSE(from_line(bad).has_value()) << bad;
}

TEST(TraceLog, NamesTheFieldThatCannotBeRead) {
  auto event = from_line(R"({"at":0,"event":"Ended","request":7,"outcome":"gone"})");

  ASSERT_FALSE(event.has_value());
  EXPECT_THAT(event.error().message, HasSubstr("'outcome'"));
}

TEST(FileSink, WritesOneLineAnEvent) {
  std::string path = ::testing::TempDir() + "file_sink_test.trace";
  {
    auto sink = FileSink::create(path);
    ASSERT_TRUE(sink.has_value());
    for (std::uint64_t i = 0; i < 5000; ++i)
      (*sink)->record({TimePoint(Duration(i)), Released{{i}}});
    EXPECT_EQ((*sink)->lost(), 0U);
  }

  std::ifstream file(path);
  std::string line;
  std::uint64_t count = 0;
  for (; std::getline(file, line); ++count) {
    auto event = from_line(line);
    ASSERT_TRUE(event.has_value()) << line;
    EXPECT_EQ(std::get<Released>(event->body).request.value, count);
  }
  EXPECT_EQ(count, 5000U);
  std::filesystem::remove(path);
}

TEST(FileSink, SaysWhyAFileCannotBeWritten) {
  auto sink = FileSink::create(::testing::TempDir() + "no/such/folder/trace");

  ASSERT_FALSE(sink.has_value());
  EXPECT_THAT(sink.error().message, HasSubstr("No such file"));
}

TEST(FileSink, CountsWhatAFullDiskDoesNotTake) {
  auto sink = FileSink::create("/dev/full");
  if (!sink) GTEST_SKIP() << sink.error().message;

  (*sink)->record({TimePoint(), Released{{1}}});
  (*sink)->record({TimePoint(), Released{{2}}});
  (*sink)->flush();

  EXPECT_EQ((*sink)->lost(), 2U);
}

}  // namespace
}  // namespace sluice::trace
