#include "tests/sim/sim_device.h"

#include "base/hash.h"
#include "models/hash/hash_model.h"
#include "tests/sim/coverage.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace sluice::sim {
namespace {

/// Others that may follow, with this distance to the most likely one.
constexpr std::int32_t kOthers = 4;
constexpr float kDistance = 0.7F;
/// Tokens between the one that poisons slowly and the end.
constexpr std::int32_t kSlowPoisonTokens = 9;

class SimDevice final : public Model {
 public:
  SimDevice(DeviceOrders* orders,
            StepClock* clock,
            Chance* chance,
            std::uint32_t dialect,
            std::uint64_t weights)
      : orders_(orders),
        clock_(clock),
        chance_(chance),
        rotation_(static_cast<std::ptrdiff_t>((dialect + 7 * weights) % 26)),
        model_(make_hash_model()),
        info_(model_->info()) {
    info_.fingerprint = fingerprint_of(weights);
  }

  [[nodiscard]] const ModelInfo& info() const override { return info_; }

  Result<void> allocate(const ModelLimits& limits) override { return model_->allocate(limits); }

  Result<void> launch(const StepBatch& batch) override {
    keys_.clear();
    std::size_t row = 0;
    std::size_t wanted = 0;
    for (const StepBatch::Segment& segment : batch.segments) {
      for (std::int32_t i = 0; i < segment.rows; ++i, ++row) {
        std::int32_t position = segment.first_position + i;
        taste(segment.blocks[0], position, batch.tokens[row]);
        if (wanted == batch.logit_rows.size() ||
            static_cast<std::size_t>(batch.logit_rows[wanted]) != row)
          continue;
        keys_.push_back(mix64(static_cast<std::uint64_t>(position) << 32 |
                              static_cast<std::uint32_t>(batch.tokens[row])));
        ++wanted;
      }
    }
    if (orders_) {
      auto rows = static_cast<std::int32_t>(batch.tokens.size());
      orders_->rows = rows;
      clock_->run_ahead(duration_of(rows));
      if (due(orders_->crash_in)) {
        orders_->crashed = true;
        mark(Fault::exit_inside);
      }
      if (due(orders_->hang_in)) {
        orders_->hung = true;
        mark(Fault::hang);
      }
      if (due(orders_->lost_in)) {
        mark(Fault::sticky_late);
        return Error{ErrorCode::device_lost, "an illegal address was used some steps ago"};
      }
      if (out_of_memory(rows))
        return Error{ErrorCode::resource_exhausted, "the device has no memory"};
    }
    return model_->launch(batch);
  }

  Result<std::span<float>> wait() override {
    auto logits = model_->wait();
    if (!logits) return logits;
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      auto row = logits->subspan(i * static_cast<std::size_t>(info().vocabulary),
                                 static_cast<std::size_t>(info().vocabulary));
      std::rotate(row.begin() + 'a', row.begin() + 'a' + rotation_, row.begin() + 'z' + 1);
      for (std::int32_t k = 0; k < kOthers; ++k) {
        auto other =
            'a' + static_cast<std::size_t>(mix64(keys_[i] + static_cast<unsigned>(k)) % 26);
        row[other] = std::max(row[other], -kDistance * static_cast<float>(k + 1));
      }
    }
    if (orders_ && (orders_->nan_one || orders_->nan_all) && !keys_.empty()) spoil(*logits);
    return logits;
  }

 private:
  static bool due(std::uint32_t& countdown) { return countdown > 0 && --countdown == 0; }

  [[nodiscard]] Duration duration_of(std::int32_t rows) {
    double factor = 1 + orders_->jitter * (2 * chance_->real() - 1);
    if (clock_->now() < orders_->slow_until) {
      factor *= orders_->slow;
      mark(Fault::slow_steps);
    }
    Duration even = orders_->step + (rows - 1) * orders_->row;
    return Duration(static_cast<Duration::rep>(static_cast<double>(even.count()) * factor));
  }

  bool out_of_memory(std::int32_t rows) {
    if (orders_->oom_passes > 0) {
      --orders_->oom_passes;
      mark(Fault::oom_once);
      return true;
    }
    if (orders_->oom_rows == 0 || rows <= orders_->oom_rows) return false;
    mark(Fault::oom_always);
    return true;
  }

  void spoil(std::span<float> logits) {
    bool all = std::exchange(orders_->nan_all, false);
    orders_->nan_one = orders_->nan_one && all;
    mark(all ? Fault::nan_all : Fault::nan_one);
    std::size_t victim = chance_->below(keys_.size());
    for (std::size_t i = 0; i < keys_.size(); ++i)
      if (all || i == victim)
        logits[i * static_cast<std::size_t>(info().vocabulary) + 'q'] =
            std::numeric_limits<float>::quiet_NaN();
  }

  /// A sequence is known by its first block.
  void taste(std::int32_t block, std::int32_t position, TokenId token) {
    if (!orders_) return;
    if (position == 0) poisoned_.erase(block);
    if (token == kPoisonToken) orders_->poisoned = orders_->crashed = true;
    if (token == kSlowPoisonToken) poisoned_[block] = position + kSlowPoisonTokens;
    auto found = poisoned_.find(block);
    if (found != poisoned_.end() && position >= found->second)
      orders_->poisoned = orders_->crashed = true;
  }

  DeviceOrders* orders_;
  StepClock* clock_;
  Chance* chance_;
  std::ptrdiff_t rotation_;  // of the letters that it says
  std::unique_ptr<Model> model_;
  ModelInfo info_;
  std::vector<std::uint64_t> keys_;                // of the rows whose logits are wanted
  std::map<std::int32_t, std::int32_t> poisoned_;  // first block, position of the end
};

}  // namespace

std::unique_ptr<Model> make_sim_device(DeviceOrders* orders,
                                       StepClock* clock,
                                       Chance* chance,
                                       std::uint32_t dialect,
                                       std::uint64_t weights) {
  return std::make_unique<SimDevice>(orders, clock, chance, dialect, weights);
}

std::uint64_t fingerprint_of(std::uint64_t weights) {
  return mix64(0x5157'E167'0000'0001 + weights);
}

}  // namespace sluice::sim
