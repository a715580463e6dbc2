#include "request/noise.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "messages.h"
#include "request/sizes.h"
#include "tables.h"
#include "text/python_text.h"

namespace fdcn {

Noise Noise::copied(float const* data, std::array<std::int64_t, 4> const& shape) {
    std::size_t const count = impl::noise_elements(shape);
    std::shared_ptr<float[]> const copy(new float[count]);
    std::copy(data, data + count, copy.get());
    return {std::shared_ptr<float const>(copy, copy.get()), shape, false};
}

Noise Noise::borrowed(float const* data, std::array<std::int64_t, 4> const& shape, bool on_device) {
    return {std::shared_ptr<float const>(std::shared_ptr<void>(), data), shape, on_device};
}

namespace impl {
namespace {

bool finite(float const* values, std::size_t count) {
    bool every = true;  // without an early end, so that the loop is vectorised
    for (std::size_t i = 0; i < count; ++i) every &= std::fabs(values[i]) <= std::numeric_limits<float>::max();
    return every;
}

void check_shape(Manifest const& manifest, Noise const& noise) {
    auto const& shape = noise.shape;
    std::int64_t const channels = manifest.model.channels, patch = manifest.model.patch;
    bool const right = shape[1] == channels && shape[2] % patch == 0 && shape[3] % patch == 0;
    if (!right || noise_elements(shape) == 0)
        throw Error(messages::request::noise_shape(list({shape.begin(), shape.end()}), channels, patch));
}

}  // namespace

std::size_t noise_elements(std::array<std::int64_t, 4> const& shape) {
    std::int64_t count = 1;
    for (std::int64_t const side : shape)
        if (side < 0 || __builtin_mul_overflow(count, side, &count)) return 0;
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / sizeof(float);
    return count > kMost ? 0 : static_cast<std::size_t>(count);
}

void check_noise(Manifest const& manifest, Noise const& noise) {
    if (!noise.data) throw Error(messages::request::noise_empty());
    check_shape(manifest, noise);
    if (!noise.on_device && !finite(noise.data.get(), noise_elements(noise.shape)))
        throw Error(messages::request::noise_not_finite("float32"));
}

Size size_of_noise(Manifest const& manifest, Noise const& noise, std::optional<std::int64_t> width,
                   std::optional<std::int64_t> height) {
    // A longer side than can be asked for stays too long.
    auto const pixels = [&](std::int64_t side) { return std::min(side, tables::kAtMost + 1) * manifest.pixel_factor; };
    Size const whole{pixels(noise.shape[3]), pixels(noise.shape[2])};
    Size const size{width.value_or(whole[0]), height.value_or(whole[1])};
    if (size == whole) return whole;
    bool const possible = std::max(size[0], size[1]) <= tables::kAtMost;
    std::array<std::int64_t, 2> const latent{noise.shape[2], noise.shape[3]};
    if (!possible || latent_size(manifest, size) != latent)
        throw Error(messages::request::noise_size(format_size(whole), format_size(size)));
    return size;
}

}  // namespace impl
}  // namespace fdcn
