// The sampler's kernels, as the host has them, in a stream's order; sampler.cu itself is compared with those in
// kernels_test.cpp.
#include "sampler/host_device.h"
#include "simulated_gpu.h"
#include "tensorrt/engine/kernels.h"

namespace fdcn::impl::kernels {
namespace {

HostDevice& host() {
    static HostDevice device;
    return device;
}

void expect_inside(void const* memory, std::int64_t count, std::size_t size) {
    if (!simulated::inside(memory, static_cast<std::size_t>(count) * size))
        simulated::violation("a kernel is given what is not the GPU's");
}

cudaError_t given(cudaStream_t stream, std::function<void()> work) {
    return simulated::give(stream, std::move(work)) ? cudaSuccess : cudaErrorInvalidValue;
}

}  // namespace

cudaError_t begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
                  std::int64_t images, std::int64_t elements, int passes, cudaStream_t stream) {
    if (noise != nullptr) expect_inside(noise, images * elements, sizeof(float));
    expect_inside(seeds, images, sizeof *seeds);
    for (float* each : {base, point}) expect_inside(each, images * elements, sizeof(float));
    expect_inside(latent, passes * images * elements, sizeof(float));
    return given(stream, [=] { host().begin(noise, seeds, base, point, latent, images, elements, passes, nullptr); });
}

cudaError_t advance(Advance const& a, cudaStream_t stream) {
    std::int64_t const batch = a.images * a.elements;
    expect_inside(a.velocity, a.passes * batch, sizeof(float));
    expect_inside(a.outputs, a.row.history * batch, sizeof(float));
    expect_inside(a.input, a.next_passes * batch, sizeof(float));
    return given(stream, [a] { host().advance(a, nullptr); });
}

cudaError_t move_rows(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                      std::int64_t width, bool scatter, cudaStream_t stream) {
    expect_inside(numbers, rows, sizeof *numbers);
    expect_inside(scatter ? source : target, rows * width, sizeof(float));
    return given(stream, [=] {
        if (scatter)
            host().scatter(numbers, source, target, rows, width, nullptr);
        else
            host().gather(numbers, source, target, rows, width, nullptr);
    });
}

cudaError_t to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                      std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                      cudaStream_t stream) {
    expect_inside(picture, images * shape[0] * shape[1] * shape[2], sizeof(float));
    expect_inside(pixels, images * size[0] * size[1] * shape[0], 1);
    return given(stream, [=] { host().to_pixels(picture, pixels, images, shape, size, nullptr); });
}

cudaError_t latent_preview(float const* latent, float* picture, std::int64_t images,
                           std::array<std::int64_t, 3> const& shape, std::int64_t factor, cudaStream_t stream) {
    expect_inside(picture, images * 3 * shape[1] * shape[2] * factor * factor, sizeof(float));
    return given(stream, [=] { host().latent_preview(latent, picture, images, shape, factor, nullptr); });
}

cudaError_t find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, cudaStream_t stream) {
    expect_inside(values, count, sizeof(float));
    return given(stream, [=] { host().find_not_finite(values, count, flag, nullptr); });
}

}  // namespace fdcn::impl::kernels
