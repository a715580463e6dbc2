// The kernel under names that a program can look up, one a type: what NVIDIA's runtime compiler is given.
// Every size is an int, and the output comes last: the order in which an engine that embeds a kernel passes them.
#include "kernel.cuh"

#define FDCN_ENTRY(name, T)                                                                                          \
    extern "C" __global__ void __launch_bounds__(fdcn::kThreads, fdcn::kResidentBlocks)                              \
        name(T const* __restrict__ projection, float const* __restrict__ prior, float const* __restrict__ s_max,     \
             int images, int rows, int columns, int groups, int channels, int taps, T* __restrict__ out) {           \
        fdcn::multi_scale_dcn_block(projection, prior, s_max, out,                                                   \
                                    fdcn::Shape{images, rows, columns, groups, channels, taps});                     \
    }

#ifdef FDCN_FLOAT32
FDCN_ENTRY(fdcn_float32, float)
#endif
#ifdef FDCN_FLOAT16
FDCN_ENTRY(fdcn_float16, __half)
#endif
#ifdef FDCN_BFLOAT16
FDCN_ENTRY(fdcn_bfloat16, __nv_bfloat16)
#endif
