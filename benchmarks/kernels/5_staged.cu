// 5. A quarter of an image a block, and the group's values of the whole image in shared memory, where they fit.
#include "step.h"

namespace fdcn {

constexpr unsigned kParts = 4, kAtOnce = 64;  // tokens whose taps are landed together
constexpr int kMostShared = 227 << 10;

// Vectors in shared memory: all cells of the group and after them zeros, which corners outside read.
template <class T>
long long staged_bytes(Shape const& shape) {
    return (shape.tokens() + 1) * shape.channels * static_cast<long long>(sizeof(T));
}

template <class T>
__global__ void __launch_bounds__(2 * kThreads)
    staged(T const* projection, float const* prior, float const* s_max, T* out, Shape shape) {
    constexpr unsigned kTaps = kThreads / kTile, kCount = gpu::kVector / sizeof(T);
    __shared__ Corners landed[kAtOnce * kTaps];
#ifdef __CUDACC__
    extern __shared__ uint4 cells[];
#else
    static uint4 cells[kMostShared / sizeof(uint4)];
#endif
    unsigned const tokens = static_cast<unsigned>(shape.tokens()), vectors = shape.channels / kCount;
    long long const image = blockIdx.x / kParts, group = blockIdx.y, width = shape.width();
    T const* const from = projection + image * tokens * width;
    for (unsigned i = threadIdx.x; i < (tokens + 1) * vectors; i += blockDim.x) {
        T const* const vector = from + i / vectors * width + group * shape.channels + i % vectors * kCount;
        cells[i] = i < tokens * vectors ? __ldg(reinterpret_cast<uint4 const*>(vector)) : uint4{0, 0, 0, 0};
    }
    unsigned const part = (tokens + kParts - 1) / kParts, first = blockIdx.x % kParts * part;
    unsigned const end = min(first + part, tokens);
    for (unsigned start = first; start < end; start += kAtOnce) {
        unsigned const some = min(end - start, kAtOnce);
        if (unsigned const token = start + threadIdx.x / kTaps; token < start + some) {
            unsigned const k = threadIdx.x % kTaps;
            T const* const tap = from + token * width + shape.values() + (group * kTaps + k) * kTapFields;
            Corners at = land_corners(gpu::read_tap<true>(tap), prior + 2 * k, s_max + 2 * image, shape, token);
            at.cell = {min(at.cell.x, tokens) * vectors, min(at.cell.y, tokens) * vectors,
                       min(at.cell.z, tokens) * vectors, min(at.cell.w, tokens) * vectors};
            landed[threadIdx.x] = at;
        }
        __syncthreads();
        for (unsigned item = threadIdx.x; item < some * vectors; item += blockDim.x) {
            unsigned const token = item / vectors, vector = item % vectors;
            float total[kCount] = {};
            auto const add = [&](unsigned cell, float weight) {
                uint4 const words = cells[cell + vector];
                gpu::add(total, gpu::Values<T, kCount>{{words.x, words.y, words.z, words.w}}, weight);
            };
#pragma unroll 3
            for (unsigned k = 0; k < kTaps; ++k) {
                Corners const at = landed[token * kTaps + k];
                add(at.cell.x, at.weight.x);
                add(at.cell.y, at.weight.y);
                add(at.cell.z, at.weight.z);
                add(at.cell.w, at.weight.w);
            }
            T* const to = out + (image * tokens + start + token) * shape.values() + group * shape.channels;
            gpu::write(to + vector * kCount, total);
        }
        __syncthreads();
    }
}

template <class T>
cudaError_t step(Shape const& shape, T const* projection, float const* prior, float const* s_max, T* out,
                 cudaStream_t stream) {
    long long const shared = staged_bytes<T>(shape);
    if (shape.taps * kTile != kThreads || !wide<T>(shape)) return cudaErrorInvalidValue;
    if (shared + static_cast<int>(sizeof(Corners)) * kAtOnce * shape.taps > kMostShared) return cudaErrorInvalidValue;
    auto const most = cudaFuncAttributeMaxDynamicSharedMemorySize;
    cudaError_t const status = cudaFuncSetAttribute(staged<T>, most, static_cast<int>(shared));
    if (status != cudaSuccess) return status;
    dim3 const grid(static_cast<unsigned>(shape.images) * kParts, static_cast<unsigned>(shape.groups));
    return enqueue(staged<T>, grid, dim3(2 * kThreads), static_cast<size_t>(shared), stream,
                   {projection, prior, s_max, out, shape});
}

}  // namespace fdcn
