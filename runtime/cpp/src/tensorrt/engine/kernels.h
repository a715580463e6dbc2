// The kernels of native/sampler.cu, launched on a stream: runtime/kernels.py. A launch waits for nothing.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <cstdint>

#include "native/advance.h"

namespace fdcn::impl::kernels {

cudaError_t begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
                  std::int64_t images, std::int64_t elements, int passes, cudaStream_t stream);
cudaError_t advance(Advance const& advance, cudaStream_t stream);
// target[i] = source[numbers[i]], or the other way round where `scatter`.
cudaError_t move_rows(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                      std::int64_t width, bool scatter, cudaStream_t stream);
cudaError_t to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                      std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                      cudaStream_t stream);
cudaError_t latent_preview(float const* latent, float* picture, std::int64_t images,
                           std::array<std::int64_t, 3> const& shape, std::int64_t factor, cudaStream_t stream);
cudaError_t find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, cudaStream_t stream);

}  // namespace fdcn::impl::kernels
