// The kernels of native/sampler.cu on the host, with the same arithmetic.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "native/pixels.h"
#include "sampler/host_device.h"

namespace fdcn::impl {

void HostDevice::begin(float const* noise, unsigned long long const* seeds, float* base, float* point, float* latent,
                       std::int64_t images, std::int64_t elements, int passes, Stream) {
    Begin const begin{noise, seeds, base, point, latent, images, elements, passes};
    bool const vectors = begin.vectors();
    for (std::int64_t i = 0; i < images * Quad::in(elements); ++i) begin(Quad(i, elements, vectors));
}

void HostDevice::advance(Advance const& advance, Stream) {
    bool const vectors = advance.vectors();
    for (std::int64_t i = 0; i < advance.images * Quad::in(advance.elements); ++i)
        advance(Quad(i, advance.elements, vectors));
}

void HostDevice::gather(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                        std::int64_t width, Stream) {
    std::size_t const bytes = sizeof(float) * static_cast<std::size_t>(width);
    for (std::int64_t row = 0; row < rows; ++row)
        if (numbers[row] >= 0) std::memcpy(target + row * width, source + numbers[row] * width, bytes);
}

void HostDevice::scatter(std::int32_t const* numbers, float const* source, float* target, std::int64_t rows,
                         std::int64_t width, Stream) {
    std::size_t const bytes = sizeof(float) * static_cast<std::size_t>(width);
    for (std::int64_t row = 0; row < rows; ++row)
        if (numbers[row] >= 0) std::memcpy(target + numbers[row] * width, source + row * width, bytes);
}

void HostDevice::to_pixels(float const* picture, std::uint8_t* pixels, std::int64_t images,
                           std::array<std::int64_t, 3> const& shape, std::array<std::int64_t, 2> const& size,
                           Stream) {
    auto const [channels, rows, columns] = shape;
    auto const [width, height] = size;
    for (std::int64_t image = 0; image < images; ++image)
        for (std::int64_t y = 0; y < height; ++y)
            for (std::int64_t x = 0; x < width; ++x)
                for (std::int64_t c = 0; c < channels; ++c)
                    *pixels++ = level(picture[((image * channels + c) * rows + y) * columns + x]);
}

void HostDevice::latent_preview(float const* latent, float* picture, std::int64_t images,
                                std::array<std::int64_t, 3> const& shape, std::int64_t factor, Stream) {
    auto const [channels, rows, columns] = shape;
    for (std::int64_t image = 0; image < images; ++image)
        for (std::int64_t c = 0; c < 3; ++c) {
            float const* const from = latent + (image * channels + (channels < 3 ? 0 : c)) * rows * columns;
            for (std::int64_t y = 0; y < rows * factor; ++y)
                for (std::int64_t x = 0; x < columns * factor; ++x)
                    *picture++ = shade(from[y / factor * columns + x / factor]);
        }
}

void HostDevice::find_not_finite(float const* values, std::int64_t count, std::int32_t* flag, Stream) {
    if (!std::all_of(values, values + count, [](float value) { return std::isfinite(value); })) *flag = 1;
}

}  // namespace fdcn::impl
