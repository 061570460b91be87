#include "trace/order_judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sluice::trace {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::uint32_t kRealtime = 0;
constexpr std::uint32_t kBatch = 1;
constexpr std::uint32_t kLow = 2;

class OrderJudgeTest : public ::testing::Test {
 protected:
  /// A sequence of a millisecond and ten tokens, which came so many milliseconds after the first.
  static Queued work(std::uint64_t sequence, int arrived, std::uint32_t class_index = kBatch) {
    Queued queued;
    queued.sequence = SequenceId{sequence};
    queued.class_index = class_index;
    queued.arrival = TimePoint(1h) + std::chrono::milliseconds(arrived);
    queued.cost = 1ms;
    queued.tokens = 10;
    return queued;
  }
  void queue(const Queued& queued) { judge_.on(queued); }
  void pick(std::uint64_t sequence) { judge_.on(Picked{{sequence}, 0, {0}, ++round_}); }
  /// In the round of what is picked next.
  void pass(std::uint64_t sequence, bool whole_class = false) {
    judge_.on(Passed{{sequence}, 0, round_ + 1, whole_class});
  }

  std::vector<std::string> broken_;
  std::uint64_t round_ = 0;
  OrderJudge judge_{[this](const char* invariant, const std::string& what) {
    broken_.push_back(std::string(invariant) + ": " + what);
  }};
};

TEST_F(OrderJudgeTest, LetsShortWorkGoFirstThatCameALittleLater) {
  Queued large = work(1, 0);
  large.cost = 2s;  // its place is a second before its arrival, that of short work ten
  queue(large);
  queue(work(2, 8'999));
  pick(2);
  pick(1);
  judge_.end();

  EXPECT_THAT(broken_, IsEmpty());
  EXPECT_EQ(judge_.choices().inside_tenants, 1U);
}

TEST_F(OrderJudgeTest, SeesShortWorkThatCameTooLateToGoFirst) {
  Queued large = work(1, 0);
  large.cost = 2s;
  queue(large);
  queue(work(2, 9'001));
  pick(2);

  EXPECT_THAT(broken_,
              ElementsAre("C9: sequence 2 is picked before sequence 1, which came 9.001 s earlier "
                          "and has its place 0.001 s before it"));
}

TEST_F(OrderJudgeTest, SeesLargeWorkThatGoesBeforeShort) {
  Queued large = work(1, 0);
  large.cost = 2s;
  queue(large);
  queue(work(2, 8'999));
  pick(1);

  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C9: sequence 1 is picked before sequence 2")));
}

TEST_F(OrderJudgeTest, SeesTheLastWhoIsFirst) {
  queue(work(1, 0, kRealtime));
  queue(work(2, 1, kRealtime));
  pick(2);

  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C9: sequence 2 is picked before sequence 1")));
}

TEST_F(OrderJudgeTest, CountsPriorityAsTimeOfArrival) {
  for (auto [sequence, arrived] : {std::pair{2, 29'999}, std::pair{3, 30'001}}) {
    Queued unimportant = work(1, 0, kLow);
    unimportant.priority = 50;
    queue(unimportant);
    queue(work(static_cast<std::uint64_t>(sequence), arrived, kLow));
    pick(static_cast<std::uint64_t>(sequence));
    judge_.on(Unqueued{{1}, 0});
  }

  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C9: sequence 3 is picked before sequence 1")));
}

TEST_F(OrderJudgeTest, DoesNotWaitForWhatHasNoRoom) {
  queue(work(1, 0));
  queue(work(2, 1));
  queue(work(3, 2));
  pass(1);
  pick(2);
  EXPECT_THAT(broken_, IsEmpty());

  // In the next round it is asked again.
  pick(3);
  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C9: sequence 3 is picked before sequence 1")));
}

TEST_F(OrderJudgeTest, WantsWhatHasHadItsTurnInFrontOfItsClass) {
  Queued back = work(3, 5'000);
  back.resumed = true;
  queue(work(1, 0));
  queue(work(2, 0, kRealtime));
  queue(back);
  pick(2);
  EXPECT_THAT(broken_, IsEmpty());
  pick(1);
  EXPECT_THAT(broken_,
              ElementsAre("C9: sequence 1 is picked before sequence 3, which has had its turn "
                          "before"));
}

TEST_F(OrderJudgeTest, WantsWhatHasHadItsTurnInOrderOfArrival) {
  for (std::uint64_t sequence : {1, 2}) {
    Queued back = work(sequence, static_cast<int>(sequence));
    back.cost = sequence == 1 ? Duration(5s) : Duration(1ms);
    back.resumed = true;
    queue(back);
  }
  pick(2);

  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C9: sequence 2 is picked before sequence 1")));
}

TEST_F(OrderJudgeTest, SeesAnArrivalThatIsMadeAnew) {
  judge_.on(Offered{{1}, {1}, 0, Why::first, 0, 0, 0, 0});
  queue(work(1, 0));
  pick(1);
  Queued back = work(1, 20);
  back.resumed = true;
  queue(back);
  EXPECT_THAT(broken_,
              ElementsAre("C9: sequence 1 waits again, and its arrival is 0.020 s later than it "
                          "was"));

  // Whoever gets its number when it has ended is somebody else.
  pick(1);
  judge_.on(Ended{{1}, Outcome::completed});
  queue(work(1, 40));
  EXPECT_EQ(broken_.size(), 1U);
}

TEST_F(OrderJudgeTest, SeesWhatIsPickedAndDoesNotWait) {
  queue(work(1, 0));
  judge_.on(Unqueued{{1}, 0});
  pick(1);
  queue(work(2, 0));
  judge_.on(Picked{{2}, 3, {0}, 9});
  queue(work(2, 0));

  EXPECT_THAT(broken_,
              ElementsAre("C9: sequence 1 of epoch 0 is picked and does not wait",
                          "C9: sequence 2 of epoch 3 is picked and does not wait",
                          "C9: sequence 2 waits twice"));
}

TEST_F(OrderJudgeTest, SeesWhatStillWaitsAtTheEnd) {
  queue(work(1, 0));
  judge_.on(QueueBorn{0});
  queue(work(2, 0));
  judge_.end();

  EXPECT_THAT(broken_, ElementsAre("C9: sequence 2 still waits for a lane"));
}

/// Classes and tenants that have work all the time.
class SharesTest : public OrderJudgeTest {
 protected:
  SharesTest() { limit(20ms); }
  void limit(Duration quantum) {
    Limits limits;
    limits.quantum = quantum;
    judge_.on(limits);
  }
  /// The next of the class, and another one stands behind it.
  void serve(std::uint32_t class_index) { serve(class_index, 0); }
  void serve_tenant(std::uint32_t tenant) { serve(kBatch, tenant); }
  void serve(std::uint32_t class_index, std::uint32_t tenant) {
    auto& line = lines_[{class_index, tenant}];
    while (line.size() < 2)
      add(class_index, tenant);
    pick(line.front());
    line.pop_front();
  }
  std::uint64_t add(std::uint32_t class_index, std::uint32_t tenant = 0) {
    ++last_;
    Queued queued = work(last_, static_cast<int>(last_), class_index);
    queued.cost = 50ms;
    queued.tenant = tenant;
    queued.tenant_weight = tenant + 1;
    queued.tokens = 100;
    queue(queued);
    lines_[{class_index, tenant}].push_back(last_);
    return last_;
  }

  std::map<std::pair<std::uint32_t, std::uint32_t>, std::deque<std::uint64_t>> lines_;
  std::uint64_t last_ = 0;
};

TEST_F(SharesTest, LetsClassesShareByWeight) {
  limit(50ms);
  add(kLow);
  add(kBatch);
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 8; ++i)
      serve(kRealtime);
    for (int i = 0; i < 3; ++i)
      serve(kBatch);
    serve(kLow);
  }
  EXPECT_THAT(broken_, IsEmpty());
}

TEST_F(SharesTest, SeesAClassThatIsServedAlone) {
  add(kLow);
  // 0.02 + 0.05 / 8 + 0.05 s for a unit of weight: twelve of them fit into that, not thirteen.
  for (int i = 0; i < 12; ++i)
    serve(kRealtime);
  EXPECT_THAT(broken_, IsEmpty());
  serve(kRealtime);
  EXPECT_THAT(broken_,
              ElementsAre("C9: class realtime is given 0.081 s of a lane more than class low for "
                          "each of its weight, 0.076 s are allowed"));
}

TEST_F(SharesTest, SeesAClassThatIsServedTooOften) {
  add(kRealtime);
  serve(kLow);
  EXPECT_THAT(broken_, IsEmpty());
  serve(kLow);
  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C9: class low is given 0.100 s of a lane more")));
}

TEST_F(SharesTest, DoesNotCountAsTwoWhatWaitsAlone) {
  for (int i = 0; i < 100; ++i)
    serve(kRealtime);
  add(kLow);
  for (int i = 0; i < 12; ++i)
    serve(kRealtime);
  EXPECT_THAT(broken_, IsEmpty());
  EXPECT_EQ(judge_.choices().between_classes, 12U);
}

TEST_F(SharesTest, OwesNothingToAClassWithoutRoom) {
  std::uint64_t low = add(kLow);
  for (int i = 0; i < 100; ++i) {
    if (i % 10 == 0) pass(low);
    serve(kRealtime);
  }
  EXPECT_THAT(broken_, IsEmpty());
}

TEST_F(SharesTest, OwesNothingToAClassOfWhichOneIsPassedForAll) {
  std::uint64_t low = add(kLow);
  add(kLow);
  for (int i = 0; i < 100; ++i) {
    if (i % 10 == 0) pass(low, true);
    serve(kRealtime);
  }
  EXPECT_THAT(broken_, IsEmpty());

  // The other one might have been served.
  for (int i = 0; i < 20; ++i) {
    if (i == 10) pass(low);
    serve(kRealtime);
  }
  EXPECT_THAT(broken_, Not(IsEmpty()));
}

TEST_F(SharesTest, LetsTenantsShareByWeight) {
  for (std::uint32_t tenant : {0, 1, 2})
    add(kBatch, tenant);
  std::array<std::uint32_t, 3> served{};
  for (int i = 0; i < 600; ++i) {
    // Who has had least for its weight, which is 1, 2 or 3.
    std::uint32_t least = 0;
    for (std::uint32_t tenant : {1, 2})
      if (served[tenant] * (least + 1) < served[least] * (tenant + 1)) least = tenant;
    serve_tenant(least);
    ++served[least];
  }
  EXPECT_THAT(broken_, IsEmpty());
  EXPECT_THAT(served, ElementsAre(100, 200, 300));
}

TEST_F(SharesTest, SeesTenantsWhoseWeightsAreForgotten) {
  for (std::uint32_t tenant : {0, 2})
    add(kBatch, tenant);
  // 100 and 33 tokens for a unit of weight: one is two thirds of a request behind each time.
  serve_tenant(0);
  serve_tenant(2);
  EXPECT_THAT(broken_, IsEmpty());
  serve_tenant(0);
  EXPECT_THAT(broken_,
              ElementsAre(AllOf(HasSubstr("C10: tenant 0 of class batch is charged 166.667 tokens "
                                          "more than tenant 2"),
                                HasSubstr("133.333 are allowed"))));
}

TEST_F(SharesTest, GivesNoCreditForIdleness) {
  for (int i = 0; i < 10; ++i)
    serve_tenant(0);
  // Tenant 1 comes, and may be given 100 + 50 tokens for a unit of weight more than the other.
  for (int i = 0; i < 3; ++i)
    serve_tenant(1);
  EXPECT_THAT(broken_, IsEmpty());
  serve_tenant(1);
  EXPECT_THAT(broken_, ElementsAre(HasSubstr("C10: tenant 1 of class batch is charged 200.000")));
}

TEST_F(SharesTest, SeesWhatIsChargedTwice) {
  judge_.on(Offered{{1}, {1}, 0, Why::first, 0, 0, 0, 0});
  Queued one = work(1, 0);
  queue(one);
  pick(1);
  Queued free = one;
  free.resumed = true;
  queue(free);
  pick(1);
  // A queue that has just been born has charged nobody.
  judge_.on(QueueBorn{0});
  queue(one);
  pick(1);
  EXPECT_THAT(broken_, IsEmpty());
  queue(one);
  pick(1);
  EXPECT_THAT(broken_, ElementsAre("C10: sequence 1 is charged again and has not run"));
  // Its session could not know that it had not been lost with admission.
  judge_.on(AdmissionBorn{});
  queue(one);
  pick(1);
  EXPECT_EQ(broken_.size(), 1U);
}

}  // namespace
}  // namespace sluice::trace
