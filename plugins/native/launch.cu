#include "launch.h"

#include <cuda_runtime.h>

#include "kernel.cuh"

namespace fdcn {
namespace {

constexpr long long kMostBlocks = (1LL << 31) - 1, kMostBlocksDown = 65535;  // of a grid's axes

long long ceil_divide(long long a, long long b) { return (a + b - 1) / b; }

template <class T>
cudaError_t launch(Shape const& shape, void const* projection, float const* prior, float const* s_max, void* out,
                   cudaStream_t stream) {
    dim3 const grid(static_cast<unsigned>(shape.images * ceil_divide(shape.columns, kTileColumns)),
                    static_cast<unsigned>(ceil_divide(shape.rows, kTileRows)), static_cast<unsigned>(shape.groups));
    auto const* from = static_cast<T const*>(projection);
    auto* to = static_cast<T*>(out);
    Shape sizes = shape;
    void* arguments[] = {&from, &prior, &s_max, &to, &sizes};
    return cudaLaunchKernel(multi_scale_dcn_kernel<T>, grid, dim3(kThreads), arguments, 0, stream);
}

}  // namespace

bool can_launch(Shape const& shape) noexcept {
    // In this order no product overflows.
    return !shape.empty() && shape.valid() && shape.groups <= kMostBlocksDown && shape.width() < (1LL << 26) &&
           shape.tokens() < (1LL << 31) && ceil_divide(shape.rows, kTileRows) <= kMostBlocksDown &&
           shape.images <= kMostBlocks / ceil_divide(shape.columns, kTileColumns);
}

cudaError_t multi_scale_dcn(Type type, Shape const& shape, void const* projection, float const* prior,
                            float const* s_max, void* out, cudaStream_t stream) noexcept {
    bool const nothing = shape.images == 0 || shape.rows == 0 || shape.columns == 0;
    if (nothing && shape.groups > 0 && shape.channels > 0 && shape.taps > 0) return cudaSuccess;
    if (!can_launch(shape) || !projection || !prior || !s_max || !out) return cudaErrorInvalidValue;
    switch (type) {
        case Type::kFloat32: return launch<float>(shape, projection, prior, s_max, out, stream);
        case Type::kFloat16: return launch<__half>(shape, projection, prior, s_max, out, stream);
        case Type::kBFloat16: return launch<__nv_bfloat16>(shape, projection, prior, s_max, out, stream);
    }
    return cudaErrorInvalidValue;
}

}  // namespace fdcn
