// The order and the judge of it, which know nothing of each other's code, over random histories.
#include "trace/order_judge.h"

#include "scheduling/waiting_order.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace sluice {
namespace {

using std::chrono::milliseconds;
using ::testing::IsEmpty;

/// A queue in small: what needs no more than `room` is given.
class JudgedQueue {
 public:
  explicit JudgedQueue(WaitingOrder::Options options) : order_(options) {
    trace::Limits limits;
    limits.quantum = options.quantum;
    limits.ageing = options.ageing;
    judge_.on(limits);
  }

  void push(const WaitingOrder::Item& item, std::uint32_t need) {
    judge_.on(trace::Offered{{item.id.value}, item.id, 0, trace::Why::first, 0, 0, 0, 0});
    ASSERT_TRUE(order_.push(item));
    needs_[item.id] = need;
    judge_.on(trace::Queued{0,
                            item.id,
                            0,
                            item.class_index,
                            item.tenant,
                            item.tenant_weight,
                            item.arrival,
                            item.priority,
                            item.resumed,
                            item.cost,
                            item.tokens});
  }
  void remove_one() {
    if (needs_.empty()) return;
    SequenceId id = needs_.begin()->first;
    needs_.erase(id);
    ASSERT_TRUE(order_.remove(id));
    judge_.on(trace::Unqueued{id, 0});
  }
  void feed(std::uint32_t places, std::uint32_t room) {
    ++round_;
    while (places > 0) {
      const WaitingOrder::Item* next = order_.next();
      if (!next) break;
      SequenceId id = next->id;
      if (needs_.at(id) > room) {
        // Sometimes nothing else of its class is asked, either.
        bool whole_class = id.value % 3 == 0;
        order_.pass(whole_class);
        judge_.on(trace::Passed{id, 0, round_, whole_class});
        continue;
      }
      order_.take();
      judge_.on(trace::Picked{id, 0, {0}, round_});
      needs_.erase(id);
      --places;
    }
    order_.end_round();
  }
  void end() { judge_.end(); }

  [[nodiscard]] bool empty() const { return order_.empty(); }
  [[nodiscard]] const WaitingOrder& order() const { return order_; }
  [[nodiscard]] const trace::OrderChoices& choices() const { return judge_.choices(); }
  [[nodiscard]] const std::vector<std::string>& broken() const { return broken_; }

 private:
  WaitingOrder order_;
  std::vector<std::string> broken_;
  trace::OrderJudge judge_{[this](const char* invariant, const std::string& what) {
    broken_.push_back(std::string(invariant) + ": " + what);
  }};
  std::map<SequenceId, std::uint32_t> needs_;  ///< of what waits
  std::uint64_t round_ = 0;
};

WaitingOrder::Item draw(std::mt19937_64& random, std::uint64_t number) {
  WaitingOrder::Item item;
  item.id = SequenceId{number};
  item.class_index = static_cast<std::uint8_t>(random() % 3);
  item.resumed = random() % 10 == 0;
  item.tenant = static_cast<std::uint32_t>(random() % 4);
  item.tenant_weight = 1 + 2 * item.tenant;
  item.priority = random() % 4 == 0 ? static_cast<std::int32_t>(random() % 201) - 100 : 0;
  item.arrival = TimePoint(milliseconds(20 * number + random() % 100));
  item.cost = milliseconds(1 + random() % (random() % 10 == 0 ? 20'000 : 300));
  item.tokens = 1 + random() % (item.tenant == 0 ? 1000 : 100);
  return item;
}

TEST(WaitingOrderJudged, BreaksNoRuleOverRandomHistories) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    WaitingOrder::Options options;
    options.quantum = milliseconds(1 + random() % 100);
    for (Duration& ageing : options.ageing)
      ageing /= seed % 2 == 0 ? 100 : 1;
    JudgedQueue queue(options);
    std::uint64_t number = 0;
    for (int step = 0; step < 1500; ++step) {
      auto what = random() % 100;
      if (what < (step < 800 ? 55U : 45U)) {
        std::uint32_t need = random() % 5 == 0 ? 1 + static_cast<std::uint32_t>(random() % 4) : 1;
        queue.push(draw(random, ++number), need);
      } else if (what < 97) {
        queue.feed(1 + static_cast<std::uint32_t>(random() % 2),
                   static_cast<std::uint32_t>(random() % 5));
      } else {
        queue.remove_one();
      }
    }
    while (!queue.empty())
      queue.feed(1, 4);
    queue.end();
    ASSERT_THAT(queue.broken(), IsEmpty()) << "seed " << seed;
    EXPECT_EQ(queue.order().starved(), 0U);
    EXPECT_GT(queue.choices().between_classes, 100U);
    EXPECT_GT(queue.choices().between_tenants, 100U);
    EXPECT_GT(queue.choices().inside_tenants, 100U);
  }
}

}  // namespace
}  // namespace sluice
