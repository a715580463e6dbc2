// Images that are sampled together, and what became of them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "bundle/manifest.h"
#include "fdcn/fdcn.hpp"
#include "plan/plan.h"

namespace fdcn::impl {

struct Batch {
    std::shared_ptr<SamplerPlan const> plan;
    std::vector<std::int64_t> labels;  // a class an image
    std::vector<std::uint64_t> seeds;  // one an image
    std::int64_t null;                 // the class of unconditional passes
    std::array<std::int64_t, 3> latent;  // C, h, w
    Size size;                           // the picture is cropped to it
    std::optional<Noise> noise;          // [images, C, h, w]
    std::int64_t preview_every = 0;
    bool on_device = false;
    std::optional<void*> stream;

    std::int64_t elements() const { return latent[0] * latent[1] * latent[2]; }  // of an image's latent
};

// Memory of the host or of the device, whichever the batch asked for.
struct Sampled {
    std::shared_ptr<float const> latents;        // [B, C, h, w]
    std::shared_ptr<std::uint8_t const> pixels;  // [B, H, W, channels]
    std::int64_t channels;                       // 1 or 3
    std::vector<std::vector<std::uint8_t>> previews;  // each like pixels, on the host
};

}  // namespace fdcn::impl
