// What the steps share: each defines step<T>, and so is another launcher for launch.h.
#pragma once

#include <cuda_runtime.h>

#include <tuple>

#include "kernel.cuh"
#include "launch.h"

namespace fdcn {

// Enqueues the step's kernel; cudaErrorInvalidValue for a shape that it was not written for.
template <class T>
cudaError_t step(Shape const& shape, T const* projection, float const* prior, float const* s_max, T* out,
                 cudaStream_t stream);

cudaError_t multi_scale_dcn(Type type, Shape const& shape, void const* projection, float const* prior,
                            float const* s_max, void* out, cudaStream_t stream) noexcept {
    auto const run = [&](auto* to) {
        return step(shape, static_cast<decltype(to)>(const_cast<void*>(projection)), prior, s_max, to, stream);
    };
    switch (type) {
        case Type::kFloat32: return run(static_cast<float*>(out));
        case Type::kFloat16: return run(static_cast<__half*>(out));
        case Type::kBFloat16: return run(static_cast<__nv_bfloat16*>(out));
    }
    return cudaErrorInvalidValue;
}

template <class... Parameters>
cudaError_t enqueue(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                    std::tuple<Parameters...> arguments) {
    return std::apply(
        [&](auto&... argument) {
            void* pointers[] = {&argument...};
            return cudaLaunchKernel(kernel, grid, block, pointers, shared, stream);
        },
        arguments);
}

inline unsigned blocks(long long work, long long each) { return static_cast<unsigned>((work + each - 1) / each); }

// Whether groups' values can be loaded 16 bytes at a time; the tensors are aligned here.
template <class T>
bool wide(Shape const& shape) {
    return shape.channels * sizeof(T) % gpu::kVector == 0 && shape.width() * sizeof(T) % gpu::kVector == 0;
}

// Where a tap lands: its corners' cells in the image, gpu::kOutside where there is none, and their weights.
struct Corners {
    uint4 cell;
    float4 weight;
};

// Land a tap whose four numbers are at hand; `cell` counts the token in its image.
__device__ inline Corners land_corners(float4 tap, float const* prior, float const* s_max, Shape const& shape,
                                       long long cell) {
    int const columns = static_cast<int>(shape.columns), rows = static_cast<int>(shape.rows);
    float const scale = sigmoid(tap.z);
    float const x = position(static_cast<int>(cell % columns), tap.x, __ldg(prior), scale * __ldg(s_max));
    float const y = position(static_cast<int>(cell / columns), tap.y, __ldg(prior + 1), scale * __ldg(s_max + 1));
    Landing const at = land(x, y, columns, rows);
    Corners corners = {{gpu::kOutside, gpu::kOutside, gpu::kOutside, gpu::kOutside}, {0, 0, 0, 0}};
    bool const left = at.counts && inside(at.column, columns), right = at.counts && inside(at.column + 1, columns);
    bool const near = inside(at.row, rows), far = inside(at.row + 1, rows);
    unsigned const first = static_cast<unsigned>(at.row * columns + at.column);
    if (near && left) corners.cell.x = first, corners.weight.x = tap.w * (1 - at.below) * (1 - at.right);
    if (near && right) corners.cell.y = first + 1, corners.weight.y = tap.w * (1 - at.below) * at.right;
    if (far && left) corners.cell.z = first + columns, corners.weight.z = tap.w * at.below * (1 - at.right);
    if (far && right) corners.cell.w = first + columns + 1, corners.weight.w = tap.w * at.below * at.right;
    return corners;
}

}  // namespace fdcn
