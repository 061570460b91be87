#include "models/decoder/step_inputs.h"

#include "base/check.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

std::int64_t blocks_for(std::int64_t positions) {
  return (positions + kBlockTokens - 1) / kBlockTokens;
}

}  // namespace

Result<void> StepInputs::allocate(Device& device,
                                  const ModelLimits& limits,
                                  std::int32_t positions_max) {
  limits_ = limits;
  positions_max_ = positions_max;
  auto tables = static_cast<std::size_t>(blocks_for(positions_max) * limits.sequences);
  std::size_t bytes = (tables_at() + tables) * sizeof(std::int32_t);
  auto host = device.allocate_pinned(bytes);
  if (!host) return host.error();
  host_ = std::move(*host);
  if (device.is_host()) return {};
  auto buffer = device.allocate(bytes);
  if (!buffer) return buffer.error();
  device_ = std::move(*buffer);
  return {};
}

TensorView StepInputs::view(std::size_t offset, std::int64_t count) const {
  const Buffer& buffer = device_ ? *device_ : *host_;
  return {static_cast<std::int32_t*>(buffer.data()) + offset, DType::i32, {count}};
}

std::int64_t StepInputs::table_width(const StepBatch& batch) const {
  auto within = [](std::size_t count, std::int32_t limit) {
    return count <= static_cast<std::size_t>(limit);
  };
  CHECK(within(batch.tokens.size(), limits_.rows));
  CHECK(within(batch.segments.size(), limits_.sequences));
  CHECK(within(batch.logit_rows.size(), limits_.logit_rows));
  std::int64_t width = 1;
  for (const StepBatch::Segment& segment : batch.segments) {
    CHECK(segment.rows >= 1 && segment.first_position >= 0 && segment.window >= 0);
    CHECK(segment.first_position <= positions_max_ - segment.rows);
    std::int64_t needed = blocks_for(segment.first_position + segment.rows);
    CHECK(static_cast<std::size_t>(needed) <= segment.blocks.size());
    width = std::max(width, needed);
  }
  return width;
}

Result<Step> StepInputs::stage(const StepBatch& batch, Device& device, Stream& stream) {
  std::int64_t width = table_width(batch);
  std::int32_t* positions = staged(positions_at());
  std::int32_t* sequences = staged(sequences_at());
  std::int32_t* windows = staged(windows_at());
  std::int32_t* table = staged(tables_at());
  std::size_t row = 0;
  for (std::size_t s = 0; s < batch.segments.size(); ++s, table += width) {
    const StepBatch::Segment& segment = batch.segments[s];
    CHECK(static_cast<std::size_t>(segment.rows) <= batch.tokens.size() - row);
    for (std::int32_t i = 0; i < segment.rows; ++i, ++row) {
      positions[row] = segment.first_position + i;
      sequences[row] = static_cast<std::int32_t>(s);
    }
    windows[s] = segment.window;
    std::size_t copied = std::min(segment.blocks.size(), static_cast<std::size_t>(width));
    std::copy_n(segment.blocks.begin(), copied, table);
    std::fill(table + copied, table + width, 0);
  }
  CHECK(row == batch.tokens.size());
  std::copy(batch.tokens.begin(), batch.tokens.end(), staged(0));
  std::copy(batch.logit_rows.begin(), batch.logit_rows.end(), staged(logit_rows_at()));
  if (device_) {
    std::size_t used = tables_at() + batch.segments.size() * static_cast<std::size_t>(width);
    auto copied =
        device.copy_to_device(stream, device_->data(), host_->data(), used * sizeof(std::int32_t));
    if (!copied) return copied.error();
  }
  Step step;
  step.rows = static_cast<std::int64_t>(batch.tokens.size());
  step.logit_rows = static_cast<std::int64_t>(batch.logit_rows.size());
  step.tokens = view(0, step.rows);
  step.chosen = view(logit_rows_at(), step.logit_rows);
  step.plan.positions = view(positions_at(), step.rows);
  step.plan.sequences = view(sequences_at(), step.rows);
  step.plan.windows = view(windows_at(), static_cast<std::int64_t>(batch.segments.size()));
  step.plan.block_tables = {view(tables_at(), 0).data,
                            DType::i32,
                            {static_cast<std::int64_t>(batch.segments.size()), width}};
  return step;
}

}  // namespace sluice
