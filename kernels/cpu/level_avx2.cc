// Level "avx2": AVX2, FMA and F16C; bf16 is widened and multiplied in f32.
#include "kernels/cpu/lanes_avx2.h"

#define SLUICE_LEVEL_NAME "avx2"
#define SLUICE_LEVEL_TABLE kAvx2Kernels
#include "kernels/cpu/level_kernels.h"
