// From latents on the device to pixels there.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "sampler/batch_shape.h"
#include "sampler/layout.h"
#include "sampler/network.h"

namespace fdcn::impl {

// The decoder for one shape of batch, or where the bundle has none the preview of a latent. The decoder takes a part of
// the batch at a time, in memory of its own: TensorRT's addresses are aligned, those of an image in a batch may not be.
class Picture {
public:
    // Made in the network's turn; takes room for itself in `layout`. Throws Error where the decoder takes no such size.
    Picture(Network& network, BatchShape const& shape, Layout& layout);

    // The block that `layout` became.
    void place(void* block);

    std::int64_t channels() const { return picture_[0]; }
    // Of what is made, uint8 [images, height, width, channels].
    std::int64_t pixels() const { return shape_.images * pixels_of_image(); }

    // Make all pixels of the batch's latents.
    void enqueue(float const* latents, std::uint8_t* pixels, Stream stream);

private:
    std::int64_t pixels_of_image() const { return shape_.size[0] * shape_.size[1] * picture_[0]; }

    Device& device_;
    BatchShape const shape_;
    std::int64_t const factor_;
    std::vector<std::array<std::int64_t, 2>> parts_;
    std::map<std::int64_t, std::unique_ptr<Context>> contexts_;  // by number of images
    std::string output_;
    std::array<std::int64_t, 3> picture_;  // what a latent becomes
    Span part_, made_;
    float* part_at_ = nullptr;
    float* made_at_ = nullptr;
};

}  // namespace fdcn::impl
