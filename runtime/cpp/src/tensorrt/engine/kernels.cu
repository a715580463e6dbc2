#include "tensorrt/engine/kernels.h"

#include <cuda_runtime.h>

#include <algorithm>

#include "native/sampler.cu"

namespace fdcn::impl::kernels {
namespace {

// A latent is small, and shall lie on many multiprocessors, for some are slow at the noise's float64.
constexpr unsigned kThreads = 64;
// More than run at once on any GPU: the kernels go on where the grid ends.
constexpr std::int64_t kMostBlocks = 1 << 14;

// An argument's own type: a kernel is told its values as they stand in its parameters.
template <class T>
struct As {
    using Type = T;
};

// A thread for each piece of work, as far as the grid goes, in each of `rows`.
template <class... Parameters>
cudaError_t launch(void (*kernel)(Parameters...), std::int64_t work, std::int64_t rows, cudaStream_t stream,
                   typename As<Parameters>::Type... values) {
    std::int64_t const blocks = std::min((work + kThreads - 1) / kThreads, kMostBlocks);
    if (blocks == 0 || rows == 0) return cudaSuccess;
    void* arguments[] = {&values...};
    return cudaLaunchKernel(kernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(rows)), dim3(kThreads),
                            arguments, 0, stream);
}

}  // namespace

cudaError_t begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
                  std::int64_t images, std::int64_t elements, int passes, cudaStream_t stream) {
    return launch(&fdcn_begin, images * Quad::in(elements), 1, stream, noise, seeds, base, point, latent,
                  images, elements, passes);
}

cudaError_t advance(Advance const& a, cudaStream_t stream) {
    return launch(&fdcn_advance, a.images * Quad::in(a.elements), 1, stream, a.row.numbers, a.velocity, a.seeds,
                  a.base, a.point, a.outputs, a.input, a.predicted, a.images, a.elements, a.guided, a.row.history,
                  a.newest, a.step, a.passes, a.next_passes);
}

cudaError_t move_rows(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                      std::int64_t width, bool scatter, cudaStream_t stream) {
    return launch(&fdcn_move_rows, Quad::in(width), rows, stream, numbers, source, target, width, scatter);
}

cudaError_t to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                      std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                      cudaStream_t stream) {
    auto const [width, height] = size;
    return launch(&fdcn_to_pixels, images * height * width, 1, stream, picture, pixels, images,
                  static_cast<int>(shape[0]), static_cast<int>(shape[1]), static_cast<int>(shape[2]),
                  static_cast<int>(height), static_cast<int>(width));
}

cudaError_t latent_preview(float const* latent, float* picture, std::int64_t images,
                           std::array<std::int64_t, 3> const& shape, std::int64_t factor, cudaStream_t stream) {
    std::int64_t const work = images * 3 * shape[1] * shape[2] * factor * factor;
    return launch(&fdcn_preview, work, 1, stream, latent, picture, images, static_cast<int>(shape[0]),
                  static_cast<int>(shape[1]), static_cast<int>(shape[2]), static_cast<int>(factor));
}

cudaError_t find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, cudaStream_t stream) {
    return launch(&fdcn_find_not_finite, count, 1, stream, values, count, flag);
}

}  // namespace fdcn::impl::kernels
