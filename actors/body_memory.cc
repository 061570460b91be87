#include "actors/body_memory.h"

#include <string>
#include <utility>

namespace sluice {
namespace {

class BudgetShare final : public BodyShare {
 public:
  explicit BudgetShare(std::unique_ptr<ByteBudget::Share> share) : share_(std::move(share)) {}
  bool resize(std::size_t bytes) override { return share_->resize(bytes); }
  void complete() override { share_->complete(); }

 private:
  std::unique_ptr<ByteBudget::Share> share_;
};

class BudgetMemory final : public BodyMemory {
 public:
  BudgetMemory(std::shared_ptr<ByteBudget> budget, std::shared_ptr<const Clock> clock)
      : budget_(std::move(budget)), clock_(std::move(clock)) {}

  std::shared_ptr<BodyShare> open(const std::string& address,
                                  std::uint64_t expected,
                                  std::function<void()> give_way) override {
    auto share = budget_->open(address, expected, std::move(give_way), clock_->now());
    return share ? std::make_shared<BudgetShare>(std::move(share)) : nullptr;
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
