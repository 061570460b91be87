// The language of faults: what it reads as, and what it says of mistakes.
#include "worker/faults/fault.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice {
namespace {

using What = Fault::What;
using When = Fault::When;

std::vector<Fault> faults(std::string_view text) {
  auto plan = FaultPlan::parse(text);
  if (!plan) {
    ADD_FAILURE() << text << ": " << plan.error().message;
    return std::vector<Fault>(1);
  }
  return plan->faults();
}

std::string why(std::string_view text) {
  auto plan = FaultPlan::parse(text);
  if (plan) return "none";
  EXPECT_EQ(plan.error().code, ErrorCode::invalid_argument);
  return plan.error().message;
}

TEST(FaultPlan, ReadsEveryFault) {
  auto all = faults(
      "exit(70)@step=100; raise(11)@step=2; hang@step=50; stop@step=30; slow(20)@step=10..60;"
      "device_lost(3)@step=20; device_lost@step=21; oom@step=5; oom@rows>64; nan@step=12;"
      "nan(all)@step=12; wrong@step>7; invalid_token@step=9; flip@frame=40; truncate@frame=40;"
      "double@frame=7; reorder@frame=9; old_epoch@frame=11; repeat@step=3; drop@step=4;"
      "stall_link@step=20; exit(6)@load; slow(5s)@load; slow(2.5ms)@step=1;"
      "exit(139)@tokens=13,14,15; no_exit; leak(8)@step>100; leak_threads(2)@rows=3;"
      "slice_link@step=5; huge@frame=6; deep@frame=7");

  ASSERT_EQ(all.size(), 31U);
  EXPECT_EQ(all[0].what, What::exit);
  EXPECT_EQ(all[0].number, 70);
  EXPECT_EQ(all[0].when, When::step);
  EXPECT_TRUE(all[0].range.contains(100));
  EXPECT_FALSE(all[0].range.contains(99));
  EXPECT_FALSE(all[0].range.contains(101));
  EXPECT_EQ(all[4].factor, 20.0);
  EXPECT_TRUE(all[4].range.contains(10) && all[4].range.contains(60));
  EXPECT_FALSE(all[4].range.contains(61));
  EXPECT_EQ(all[5].number, 3);
  EXPECT_EQ(all[6].number, 0);
  EXPECT_EQ(all[8].when, When::rows);
  EXPECT_FALSE(all[8].range.contains(64));
  EXPECT_TRUE(all[8].range.contains(65));
  EXPECT_FALSE(all[9].all);
  EXPECT_TRUE(all[10].all);
  EXPECT_EQ(all[13].when, When::frame);
  EXPECT_EQ(all[15].what, What::double_frame);
  EXPECT_EQ(all[21].when, When::load);
  EXPECT_EQ(all[22].longer, std::chrono::seconds(5));
  EXPECT_EQ(all[22].factor, 0.0);
  EXPECT_EQ(all[23].longer, std::chrono::microseconds(2500));
  EXPECT_EQ(all[24].tokens, (std::vector<TokenId>{13, 14, 15}));
  EXPECT_EQ(all[25].what, What::no_exit);
  EXPECT_EQ(all[25].when, When::always);
  EXPECT_EQ(all[26].what, What::leak);
  EXPECT_EQ(all[26].number, 8);
  EXPECT_TRUE(all[26].range.contains(101));
  EXPECT_EQ(all[27].what, What::leak_threads);
  EXPECT_EQ(all[27].number, 2);
  EXPECT_EQ(all[27].when, When::rows);
  EXPECT_EQ(all[28].what, What::slice_link);
  EXPECT_EQ(all[29].what, What::huge);
  EXPECT_EQ(all[30].what, What::deep);
}

TEST(FaultPlan, ReadsConditions) {
  auto all = faults("hang@step=1 if incarnation=1; hang@step>0 if incarnation>2 and p=0.25");

  EXPECT_TRUE(all[0].incarnations.contains(1));
  EXPECT_FALSE(all[0].incarnations.contains(2));
  EXPECT_EQ(all[0].probability, 1.0);
  EXPECT_FALSE(all[1].incarnations.contains(2));
  EXPECT_TRUE(all[1].incarnations.contains(3));
  EXPECT_EQ(all[1].probability, 0.25);
}

TEST(FaultPlan, IsEmptyForAnEmptyText) {
  EXPECT_TRUE(faults("").empty());
  EXPECT_TRUE(faults(" ; ;").empty());
}

TEST(FaultPlan, NamesThePlaceOfAMistakeAndWhatWasExpected) {
  EXPECT_EQ(why("exit@step=1"), "position 5: expected ( after exit, found '@'");
  EXPECT_EQ(why("exit(700)@step=1"), "position 6: expected an exit code up to 255, found '7'");
  EXPECT_EQ(why("leak@step=1"), "position 5: expected ( after leak, found '@'");
  EXPECT_EQ(why("leak(0)@step=1"), "position 6: expected a number from 1 to 10000, found '0'");
  EXPECT_EQ(why("leak_threads(1)@load"), "position 17: expected step or rows or tokens, found 'l'");
  EXPECT_EQ(why("hang@step"), "position 10: expected = or >, found the end");
  EXPECT_EQ(why("hang@step=x"), "position 11: expected a number, found 'x'");
  EXPECT_EQ(why("hang@step=9..3"), "position 14: expected a number of at least 9, found '3'");
  EXPECT_EQ(why("hang@frame=1"), "position 6: expected load or step or rows or tokens, found 'f'");
  EXPECT_EQ(why("flip@step=1"), "position 6: expected frame, found 's'");
  EXPECT_EQ(why("hang"),
            "position 5: expected @ and load or step or rows or tokens, found the end");
  EXPECT_EQ(why("hang@step=1 oops"), "position 13: expected ; or the end, found 'o'");
  EXPECT_EQ(why("hang@step=1 if q=2"), "position 16: expected incarnation or p, found 'q'");
  EXPECT_EQ(why("hang@step=1 if p=2"),
            "position 18: expected a probability from 0 to 1, found '2'");
  EXPECT_EQ(why("nan(some)@step=1"), "position 5: expected all, found 's'");
  EXPECT_EQ(why("slow(0)@step=1").substr(0, 39), "position 6: expected a factor from 1 to");
  EXPECT_NE(why("slow(20)@load").find("only a duration"), std::string::npos);
  EXPECT_EQ(why("stop@step=1; bogus@step=2").substr(0, 35), "position 14: expected one of exit, ");
}

// Whatever stands there, it is read or refused, with a place within the text.
TEST(FaultPlan, SurvivesEveryCutAndEveryWrongLetter) {
  std::string text =
      "slow(2.5s)@step=10..60 if incarnation=1 and p=0.5; exit(1)@tokens=1,2; leak(3)@rows=1;"
      "no_exit";
  for (std::size_t at = 0; at <= text.size(); ++at) {
    (void)why(text.substr(0, at));
    for (char c : {'(', ')', '@', ';', '-', '9', '\0', 'z', '\xff'}) {
      std::string damaged = text;
      damaged.insert(at, 1, c);
      auto plan = FaultPlan::parse(damaged);
      if (plan) continue;
      std::size_t place = std::stoul(plan.error().message.substr(9));
      EXPECT_GE(place, 1U);
      EXPECT_LE(place, damaged.size() + 1);
    }
  }
}

}  // namespace
}  // namespace sluice
