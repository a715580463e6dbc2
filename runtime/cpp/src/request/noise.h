// The initial latent of a request, checked.
#pragma once

#include <optional>

#include "bundle/manifest.h"
#include "fdcn/fdcn.hpp"

namespace fdcn::impl {

// How many numbers a shape has; 0 where that is none, or more than any memory has.
std::size_t noise_elements(std::array<std::int64_t, 4> const& shape);
// Throws Error where it is no noise for this model. Nobody looks at the numbers of one that lies on a GPU.
void check_noise(Manifest const& manifest, Noise const& noise);
// The size that a noise implies, or the one asked for where it is covered by just this latent; a side that was not
// asked for is the implied one. Throws Error for any other.
Size size_of_noise(Manifest const& manifest, Noise const& noise, std::optional<std::int64_t> width,
                   std::optional<std::int64_t> height);

}  // namespace fdcn::impl
