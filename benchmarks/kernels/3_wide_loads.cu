// 3. 16 bytes a load: a thread sums eight halves, a tap's four numbers come at once, and a block takes 32 groups.
#include "step.h"

namespace fdcn {

constexpr int kUnits = 32;  // a unit is one group of one token

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    wide_loads(T const* projection, float const* prior, float const* s_max, T* out, Shape shape) {
    constexpr int kTaps = kThreads / kUnits, kCount = gpu::kVector / sizeof(T);
    __shared__ Corners landed[kThreads];
    long long const units = shape.images * shape.tokens() * shape.groups, first = 1LL * blockIdx.x * kUnits;
    auto const token_of = [&](long long unit) { return unit / shape.groups; };
    auto const group_of = [&](long long unit) { return unit % shape.groups; };
    int const thread = threadIdx.x;
    if (long long const unit = first + thread / kTaps; unit < units) {
        long long const token = token_of(unit), k = thread % kTaps;
        T const* const taps = projection + token * shape.width() + shape.values();
        float4 const tap = gpu::read_tap<true>(taps + (group_of(unit) * kTaps + k) * kTapFields);
        float const* const reach = s_max + 2 * (token / shape.tokens());
        landed[thread] = land_corners(tap, prior + 2 * k, reach, shape, token % shape.tokens());
    }
    __syncthreads();
    int const vectors = shape.channels / kCount;
    for (int item = thread; item < kUnits * vectors; item += kThreads) {
        long long const unit = first + item / vectors, token = token_of(unit);
        if (unit >= units) break;
        long long const channel = group_of(unit) * shape.channels + item % vectors * kCount;
        T const* const values = projection + token / shape.tokens() * shape.tokens() * shape.width() + channel;
        float total[kCount] = {};
        auto const add = [&](unsigned cell, float weight) {
            if (cell != gpu::kOutside) gpu::add(total, gpu::read<T, kCount>(values + cell * shape.width()), weight);
        };
        for (int k = 0; k < kTaps; ++k) {
            Corners const at = landed[item / vectors * kTaps + k];
            add(at.cell.x, at.weight.x);
            add(at.cell.y, at.weight.y);
            add(at.cell.z, at.weight.z);
            add(at.cell.w, at.weight.w);
        }
        gpu::write(out + token * shape.values() + channel, total);
    }
}

template <class T>
cudaError_t step(Shape const& shape, T const* projection, float const* prior, float const* s_max, T* out,
                 cudaStream_t stream) {
    if (shape.taps * kUnits != kThreads || !wide<T>(shape)) return cudaErrorInvalidValue;
    unsigned const grid = blocks(shape.images * shape.tokens() * shape.groups, kUnits);
    return enqueue(wide_loads<T>, grid, dim3(kThreads), 0, stream, {projection, prior, s_max, out, shape});
}

}  // namespace fdcn
