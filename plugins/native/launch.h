// The operator on a GPU, for any program: plain pointers, a stream, and what CUDA says of the launch.
#pragma once

#include <cuda_runtime_api.h>

#include "shape.h"

namespace fdcn {

// What the projection and the output hold; the prior and s_max are always float32.
enum class Type : int { kFloat32, kFloat16, kBFloat16 };

// Whether one launch can be of this shape. Beside what Shape asks: G and ceil(H / 4) up to 65,535 and N·ceil(W / 8) up
// to 2³¹ − 1, which are CUDA's limits of a grid; H·W below 2³¹; and a token's G·(C + 4·K) numbers below 2²⁶.
bool can_launch(Shape const& shape) noexcept;

// Enqueue out = MultiScaleDCN(projection, prior, s_max), as plugins/spec.py has it, on a stream.
//
// All pointers are device memory of the current device, aligned to their element at least; the output overlaps no
// input. It allocates nothing and waits for nothing, so a stream may be captured. An empty shape succeeds and launches
// nothing; a shape that cannot be, or a null pointer, is cudaErrorInvalidValue; the rest is what the launch returns.
cudaError_t multi_scale_dcn(Type type, Shape const& shape, void const* projection, float const* prior,
                            float const* s_max, void* out, cudaStream_t stream) noexcept;

}  // namespace fdcn
