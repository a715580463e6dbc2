// 4. A block's 32 tokens are a tile of neighbours in one group, so that most gathers hit the multiprocessor's cache.
#include "step.h"

namespace fdcn {

template <class T>
__global__ void __launch_bounds__(kThreads, kResidentBlocks)
    tiles(T const* projection, float const* prior, float const* s_max, T* out, Shape shape) {
    constexpr unsigned kTaps = kThreads / kTile, kCount = gpu::kVector / sizeof(T);
    __shared__ gpu::Landed landed;
    gpu::Tile<T> const tile = gpu::this_tile(projection, prior, s_max, out, shape);
    if (unsigned const token = threadIdx.x / kTaps; tile.has(token))
        gpu::land_tap<true>(tile, token, threadIdx.x % kTaps, 1, landed, threadIdx.x);
    __syncthreads();
    unsigned const vectors = shape.channels / kCount;
    for (unsigned item = threadIdx.x; item < kTile * vectors; item += kThreads) {
        unsigned const token = item / vectors, channel = item % vectors * kCount;
        if (!tile.has(token)) continue;
        float total[kCount] = {};
        auto const add = [&](unsigned cell, float weight) {
            if (cell == gpu::kOutside) return;
            gpu::add(total, gpu::read<T, kCount>(tile.values + channel + 1LL * cell * tile.width), weight);
        };
        for (unsigned i = token * kTaps; i < (token + 1) * kTaps; ++i) {
            add(landed.cell[i].x, landed.weight[i].x);
            add(landed.cell[i].y, landed.weight[i].y);
            add(landed.cell[i].z, landed.weight[i].z);
            add(landed.cell[i].w, landed.weight[i].w);
        }
        gpu::write(tile.out + tile.cell_of(token) * tile.out_width + channel, total);
    }
}

template <class T>
cudaError_t step(Shape const& shape, T const* projection, float const* prior, float const* s_max, T* out,
                 cudaStream_t stream) {
    if (shape.taps * kTile != kThreads || !wide<T>(shape)) return cudaErrorInvalidValue;
    dim3 const grid(static_cast<unsigned>(shape.images) * blocks(shape.columns, kTileColumns),
                    blocks(shape.rows, kTileRows), static_cast<unsigned>(shape.groups));
    return enqueue(tiles<T>, grid, dim3(kThreads), 0, stream, {projection, prior, s_max, out, shape});
}

}  // namespace fdcn
