// A step as the operations take it: the batch checked and laid out as integers on the device.
#pragma once

#include "base/result.h"
#include "gpu/device.h"
#include "gpu/tensor.h"
#include "kernels/ops.h"
#include "models/model.h"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice {

/// A step's sizes and plan. The views lie in the `StepInputs` that made them.
struct Step {
  std::int64_t rows = 0;
  std::int64_t logit_rows = 0;
  TensorView tokens;  ///< [rows] i32
  TensorView chosen;  ///< [logit_rows] i32
  RowPlan plan;
};

/// Memory for the integers of one step: staged in pinned memory of the host, and copied to the
/// device if that is elsewhere. Allocates only in `allocate`.
class StepInputs {
 public:
  /// For steps within `limits` of sequences within `positions_max`. Errors: those of `Device`.
  Result<void> allocate(Device& device, const ModelLimits& limits, std::int32_t positions_max);

  /// Lays out a batch; breaking the limits is a broken invariant (CHECK). The step is valid until
  /// the next call. Errors: device_lost.
  Result<Step> stage(const StepBatch& batch, Device& device, Stream& stream);

 private:
  // Where each part begins, in integers: tokens, positions, sequences, rows that want logits,
  // windows, block tables.
  [[nodiscard]] std::size_t positions_at() const { return static_cast<std::size_t>(limits_.rows); }
  [[nodiscard]] std::size_t sequences_at() const { return 2 * positions_at(); }
  [[nodiscard]] std::size_t logit_rows_at() const { return 3 * positions_at(); }
  [[nodiscard]] std::size_t windows_at() const {
    return logit_rows_at() + static_cast<std::size_t>(limits_.logit_rows);
  }
  [[nodiscard]] std::size_t tables_at() const {
    return windows_at() + static_cast<std::size_t>(limits_.sequences);
  }
  [[nodiscard]] std::int32_t* staged(std::size_t offset) const {
    return static_cast<std::int32_t*>(host_->data()) + offset;
  }
  [[nodiscard]] TensorView view(std::size_t offset, std::int64_t count) const;
  /// Blocks that the longest sequence of the batch needs, at least 1; checks the segments.
  [[nodiscard]] std::int64_t table_width(const StepBatch& batch) const;

  ModelLimits limits_;
  std::int32_t positions_max_ = 0;
  std::unique_ptr<Buffer> host_;
  std::unique_ptr<Buffer> device_;  // null: the device reads the host's memory
};

}  // namespace sluice
