// The device's kernels: CudaDevice's half that launches.
#include "tensorrt/engine/cuda.h"
#include "tensorrt/engine/cuda_device.h"
#include "tensorrt/engine/kernels.h"

namespace fdcn::impl {
namespace {

cudaStream_t cuda(Stream stream) { return static_cast<cudaStream_t>(stream); }

void launched(char const* kernel, cudaError_t status) { check(kernel, "cudaLaunchKernel", status); }

}  // namespace

void CudaDevice::begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
                       std::int64_t images, std::int64_t elements, int passes, Stream stream) {
    launched("beginning", kernels::begin(noise, seeds, base, point, latent, images, elements, passes, cuda(stream)));
}

void CudaDevice::advance(Advance const& advance, Stream stream) {
    launched("advancing", kernels::advance(advance, cuda(stream)));
}

void CudaDevice::gather(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                        std::int64_t width, Stream stream) {
    launched("gathering rows", kernels::move_rows(numbers, source, target, rows, width, false, cuda(stream)));
}

void CudaDevice::scatter(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                         std::int64_t width, Stream stream) {
    launched("scattering rows", kernels::move_rows(numbers, source, target, rows, width, true, cuda(stream)));
}

void CudaDevice::to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                           std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                           Stream stream) {
    launched("making pixels", kernels::to_pixels(picture, pixels, images, shape, size, cuda(stream)));
}

void CudaDevice::latent_preview(float const* latent, float* picture, std::int64_t images,
                                std::array<std::int64_t, 3> const& shape, std::int64_t factor, Stream stream) {
    launched("making a preview", kernels::latent_preview(latent, picture, images, shape, factor, cuda(stream)));
}

void CudaDevice::find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, Stream stream) {
    launched("looking for values that are not finite",
             kernels::find_not_finite(values, count, flag, cuda(stream)));
}

}  // namespace fdcn::impl
