// sampler.cu on a CPU: launched by name, as cuLaunchKernel is given it. See tests/plugins/emulator.
#include "cuda_runtime.h"

#include "sampler.cu"

#define LAUNCH(kernel) \
    if (!std::strcmp(name, #kernel)) return cudaLaunchKernel(&kernel, grid, block, arguments, 0, nullptr)

extern "C" int emulator_launch(char const* name, unsigned x, unsigned y, unsigned threads, void** arguments) {
    dim3 const grid(x, y), block(threads);
    LAUNCH(fdcn_begin);
    LAUNCH(fdcn_advance);
    LAUNCH(fdcn_move_rows);
    LAUNCH(fdcn_to_pixels);
    LAUNCH(fdcn_preview);
    LAUNCH(fdcn_find_not_finite);
    return -1;
}
