#include "actors/body_memory.h"

#include <string>
#include <utility>

namespace sluice {
namespace {

/// Asks the budget only when there is more than what is free: most requests never do.
class BudgetShare final : public BodyShare {
 public:
  BudgetShare(std::shared_ptr<ByteBudget> budget, std::string address, TimePoint begun)
      : budget_(std::move(budget)), address_(std::move(address)), begun_(begun) {}

  bool open(std::uint64_t expected, const std::function<void()>& give_way) {
    share_ = budget_->open(address_, expected, give_way, begun_);
    if (share_ && complete_) share_->complete();
    return share_ != nullptr;
  }
  bool resize(std::size_t bytes) override {
    if (!share_ && bytes <= BodyMemory::kFreeBytes) return true;
    if (!share_ && !open(bytes, [] {})) return false;
    return share_->resize(bytes);
  }
  void complete() override {
    complete_ = true;
    if (share_) share_->complete();
  }

 private:
  std::shared_ptr<ByteBudget> budget_;
  std::string address_;
  TimePoint begun_;
  bool complete_ = false;
  std::unique_ptr<ByteBudget::Share> share_;  ///< null: what is free is enough
};

class BudgetMemory final : public BodyMemory {
 public:
  BudgetMemory(std::shared_ptr<ByteBudget> budget, std::shared_ptr<const Clock> clock)
      : budget_(std::move(budget)), clock_(std::move(clock)) {}

  std::shared_ptr<BodyShare> open(const std::string& address,
                                  std::uint64_t expected,
                                  std::function<void()> give_way) override {
    auto share = std::make_shared<BudgetShare>(budget_, address, clock_->now());
    bool small = expected > 0 && expected <= kFreeBytes;
    return small || share->open(expected, give_way) ? share : nullptr;
  }

 private:
  std::shared_ptr<ByteBudget> budget_;
  std::shared_ptr<const Clock> clock_;
};

}  // namespace

std::shared_ptr<BodyMemory> make_body_memory(std::shared_ptr<ByteBudget> budget,
                                             std::shared_ptr<const Clock> clock) {
  return std::make_shared<BudgetMemory>(std::move(budget), std::move(clock));
}

}  // namespace sluice
