// Level "portable": plain C++ for every machine.
#include "kernels/cpu/lanes_portable.h"

#define SLUICE_LEVEL_NAME "portable"
#define SLUICE_LEVEL_TABLE kPortableKernels
#include "kernels/cpu/level_kernels.h"
