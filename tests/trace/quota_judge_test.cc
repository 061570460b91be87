#include "trace/quota_judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::trace {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Answer = Claimed::Answer;

class QuotaJudgeTest : public ::testing::Test {
 protected:
  QuotaJudgeTest() { limit({}); }

  void limit(Flow rate,
             std::uint64_t core_kept = 0,
             std::uint64_t low_kept = 0,
             std::uint64_t share_kept = 0) {
    Limits limits;
    limits.skew = skew_;
    limits.rate = rate;
    limits.core_kept = core_kept;
    limits.low_kept = low_kept;
    limits.share_kept = share_kept;
    judge_.on(limits);
  }
  void tenant(std::uint32_t number,
              Flow requests,
              Flow tokens = {},
              std::uint32_t in_flight_max = 0,
              bool core = false,
              std::uint32_t weight = 1) {
    judge_.on(TenantLimits{number, requests, tokens, in_flight_max, core, weight}, now_);
  }
  void claim(std::uint64_t request,
             Answer answer,
             std::uint32_t tenant = 0,
             std::uint64_t tokens = 10,
             bool is_low = false) {
    judge_.on(Claimed{{request}, tenant, now_, is_low, tokens, answer});
  }
  void settle(std::uint64_t request, std::uint64_t used) { judge_.on(Settled{{request}, used}); }

  Duration skew_{};
  TimePoint now_{1h};
  std::vector<std::string> broken_;
  QuotaJudge judge_{[this](const char* invariant, const std::string& what) {
    broken_.push_back(std::string(invariant) + ": " + what);
  }};
};

TEST_F(QuotaJudgeTest, LetsATenantHaveWhatItHas) {
  tenant(0, {1, 1s, 2}, {10, 1s, 30}, 2);
  claim(1, Answer::taken, 0, 20);
  claim(2, Answer::own_limit, 0, 11);
  claim(3, Answer::never, 0, 31);
  settle(1, 5);
  claim(4, Answer::taken, 0, 25);
  claim(5, Answer::own_limit, 0, 0);
  now_ += 1s;
  claim(6, Answer::taken, 0, 10);
  claim(7, Answer::own_limit, 0, 0);
  EXPECT_EQ(judge_.inside(), 2U);
  settle(4, 25);
  settle(6, 10);
  judge_.end();

  EXPECT_THAT(broken_, IsEmpty());
}

TEST_F(QuotaJudgeTest, SeesWhatIsTakenAndIsNotThere) {
  tenant(0, {1, 1s, 1});
  claim(1, Answer::taken);
  claim(2, Answer::taken);
  tenant(1, {}, {10, 1s, 30});
  claim(3, Answer::taken, 1, 31);
  tenant(2, {}, {}, 1);
  claim(4, Answer::taken, 2);
  claim(5, Answer::taken, 2);

  EXPECT_THAT(broken_,
              ElementsAre("C7: request 2 was told \"taken\", its buckets say \"own_limit\"",
                          "C7: request 3 was told \"taken\", its buckets say \"never\"",
                          "C7: request 5 was told \"taken\", its buckets say \"own_limit\""));
}

TEST_F(QuotaJudgeTest, SeesAReserveThatIsLent) {
  limit({1, 1s, 10}, 3, 5);
  tenant(0, {});
  tenant(1, {}, {}, 0, true);
  std::uint64_t request = 0;
  for (int i = 0; i < 5; ++i)
    claim(++request, Answer::taken, 0, 10, true);
  claim(++request, Answer::reserve, 0, 10, true);
  claim(++request, Answer::reserve, 1, 10, true);
  claim(++request, Answer::taken, 0);
  claim(++request, Answer::taken, 0);
  EXPECT_THAT(broken_, IsEmpty());

  claim(++request, Answer::taken, 0);
  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C8: request 10 was told \"taken\"")));
  claim(++request, Answer::taken, Claimed::kNobody);
  EXPECT_EQ(broken_.size(), 2U);
}

TEST_F(QuotaJudgeTest, SeesWhoTakesMoreThanItsShare) {
  limit({8, 1s, 20}, 0, 0, 4);
  tenant(0, {});
  tenant(1, {}, {}, 0, false, 2);
  tenant(2, {}, {}, 0, true);
  std::uint64_t request = 0;
  for (int i = 0; i < 16; ++i)
    claim(++request, Answer::taken, 0);
  claim(++request, Answer::share, 0);
  claim(++request, Answer::taken, 1);
  EXPECT_THAT(broken_, IsEmpty()) << "of 8 a second, by weight, the second one's share is 4";
  claim(++request, Answer::taken, 0);
  EXPECT_THAT(broken_, ElementsAre("C7: request 19 was told \"taken\", its buckets say \"share\""));
  claim(++request, Answer::share, 1);
  EXPECT_THAT(broken_, SizeIs(2)) << "it has had one of four, and leaves one of two";
  claim(++request, Answer::taken, 2);
  claim(++request, Answer::taken, 2);
  EXPECT_THAT(broken_, SizeIs(2)) << "the core API leaves nothing";
}

TEST_F(QuotaJudgeTest, SeesWhoIsRefusedWhatIsThere) {
  limit({1, 1s, 10}, 3, 5);
  tenant(0, {});
  tenant(1, {}, {}, 0, true);
  claim(1, Answer::own_limit);
  claim(2, Answer::shared_limit);
  claim(3, Answer::reserve, 1);

  EXPECT_THAT(broken_,
              ElementsAre("C7: request 1 was told \"own_limit\", its buckets say \"taken\"",
                          "C7: request 2 was told \"shared_limit\", its buckets say \"taken\"",
                          "C8: request 3 was told \"reserve\", its buckets say \"taken\""));
}

TEST_F(QuotaJudgeTest, DoesNotJudgeRefusalsWhereThreadsRace) {
  skew_ = 20ms;
  limit({});
  tenant(0, {});
  claim(1, Answer::own_limit);
  EXPECT_THAT(broken_, IsEmpty());
}

TEST_F(QuotaJudgeTest, SeesClaimsThatAreTakenTwiceOrNeverSettled) {
  tenant(0, {});
  claim(1, Answer::taken);
  claim(1, Answer::taken);
  settle(2, 0);
  claim(3, Answer::taken, 7);
  judge_.end();

  EXPECT_THAT(broken_,
              ElementsAre("C7: request 1 is charged a second time",
                          "C7: request 3 is of a tenant that nobody has named",
                          HasSubstr("C6: request 1 has ended, and what it took"),
                          HasSubstr("C6: request 3 has ended, and what it took")));
}

TEST_F(QuotaJudgeTest, KeepsTheLevelWhenLimitsChange) {
  tenant(0, {1, 1s, 10});
  for (std::uint64_t request = 1; request <= 8; ++request)
    claim(request, Answer::taken);
  tenant(0, {1, 1h, 5});
  claim(9, Answer::taken);
  claim(10, Answer::taken);
  claim(11, Answer::own_limit);
  tenant(0, {1, 1h, 1});
  claim(12, Answer::own_limit);
  tenant(0, {});
  claim(13, Answer::taken);
  EXPECT_THAT(broken_, IsEmpty());
}

}  // namespace
}  // namespace sluice::trace
