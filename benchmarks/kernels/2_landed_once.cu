// 2. A block a token and group: its threads land each tap once, in shared memory, and all its channels use that.
#include "step.h"

namespace fdcn {

constexpr int kMostTaps = 64, kBlock = 64;

template <class T>
__device__ float value(T const* from) {
    return gpu::read<T, 1>(from)[0];
}

template <class T>
__global__ void landed_once(T const* projection, float const* prior, float const* s_max, T* out, Shape shape) {
    __shared__ Corners landed[kMostTaps];
    long long const token = blockIdx.x, image = token / shape.tokens(), group = blockIdx.y;
    for (int k = threadIdx.x; k < shape.taps; k += kBlock) {
        T const* const taps = projection + token * shape.width() + shape.values();
        T const* const tap = taps + (group * shape.taps + k) * kTapFields;
        float4 const numbers = {value(tap), value(tap + 1), value(tap + 2), value(tap + 3)};
        landed[k] = land_corners(numbers, prior + 2 * k, s_max + 2 * image, shape, token % shape.tokens());
    }
    __syncthreads();
    T const* const values = projection + image * shape.tokens() * shape.width() + group * shape.channels;
    for (int channel = threadIdx.x; channel < shape.channels; channel += kBlock) {
        float total[1] = {};
        auto const add = [&](unsigned cell, float weight) {
            if (cell != gpu::kOutside) total[0] += weight * value(values + channel + cell * shape.width());
        };
        for (int k = 0; k < shape.taps; ++k) {
            add(landed[k].cell.x, landed[k].weight.x);
            add(landed[k].cell.y, landed[k].weight.y);
            add(landed[k].cell.z, landed[k].weight.z);
            add(landed[k].cell.w, landed[k].weight.w);
        }
        gpu::write(out + token * shape.values() + group * shape.channels + channel, total);
    }
}

template <class T>
cudaError_t step(Shape const& shape, T const* projection, float const* prior, float const* s_max, T* out,
                 cudaStream_t stream) {
    if (shape.taps > kMostTaps) return cudaErrorInvalidValue;
    dim3 const grid(static_cast<unsigned>(shape.images * shape.tokens()), static_cast<unsigned>(shape.groups));
    return enqueue(landed_once<T>, grid, kBlock, 0, stream, {projection, prior, s_max, out, shape});
}

}  // namespace fdcn
