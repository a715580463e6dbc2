// 1. One thread an output value: it lands all taps of its group itself, and every load is of one value.
#include "step.h"

namespace fdcn {

template <class T>
__device__ float value(T const* from) {
    return gpu::read<T, 1>(from)[0];
}

template <class T>
__global__ void naive(T const* projection, float const* prior, float const* s_max, T* out, Shape shape) {
    long long const index = 1LL * blockIdx.x * blockDim.x + threadIdx.x, token = index / shape.values();
    if (token >= shape.images * shape.tokens()) return;
    long long const image = token / shape.tokens(), channel = index % shape.values();
    T const* const values = projection + image * shape.tokens() * shape.width() + channel;
    T const* tap = projection + token * shape.width() + shape.values();
    tap += channel / shape.channels * shape.taps * kTapFields;
    float total[1] = {};
    for (int k = 0; k < shape.taps; ++k, tap += kTapFields) {
        float4 const numbers = {value(tap), value(tap + 1), value(tap + 2), value(tap + 3)};
        Corners const at = land_corners(numbers, prior + 2 * k, s_max + 2 * image, shape, token % shape.tokens());
        auto const add = [&](unsigned cell, float weight) {
            if (cell != gpu::kOutside) total[0] += weight * value(values + cell * shape.width());
        };
        add(at.cell.x, at.weight.x);
        add(at.cell.y, at.weight.y);
        add(at.cell.z, at.weight.z);
        add(at.cell.w, at.weight.w);
    }
    gpu::write(out + index, total);
}

template <class T>
cudaError_t step(Shape const& shape, T const* projection, float const* prior, float const* s_max, T* out,
                 cudaStream_t stream) {
    constexpr int kBlock = 256;
    unsigned const grid = blocks(shape.images * shape.tokens() * shape.values(), kBlock);
    return enqueue(naive<T>, grid, kBlock, 0, stream, {projection, prior, s_max, out, shape});
}

}  // namespace fdcn
