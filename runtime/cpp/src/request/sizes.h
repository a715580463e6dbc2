// Sizes in pixels: how they are written, and the latent that holds a picture. sizes.py
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "bundle/manifest.h"

namespace fdcn::impl {

// Read WIDTHxHEIGHT, as 512x256. Throws Error with the reason.
Size parse_size(std::string const& text);
// (height, width) of the latent that covers a picture in whole patches; sides of up to kAtMost.
std::array<std::int64_t, 2> latent_size(Manifest const& manifest, Size const& size);

}  // namespace fdcn::impl
