// The vector code of one level, written once against the lanes of lanes_*.h. Included at the end of
// each level_*.cc, which is compiled with flags of its own: everything here has internal linkage,
// but for the table.
#pragma once

#include "kernels/cpu/kernel_table.h"

// The order matters: later ones use earlier ones.
// clang-format off
#include "kernels/cpu/level_rows.h"
#include "kernels/cpu/level_linear.h"
#include "kernels/cpu/level_attention.h"
// clang-format on

namespace sluice {

const KernelTable SLUICE_LEVEL_TABLE = {
    .level = SLUICE_LEVEL_NAME,
    .unit_columns = kTileColumns,
    .scale = scale_all,
    .rms_norm = rms_norm_rows,
    .linear = linear_units,
    .gated = gated_units,
    .rope = rope_heads,
    .store_kv = store_kv_rows,
    .attention = attention_items,
    .gate_mul = gate_mul_all,
};

}  // namespace sluice
