#include "sampler/picture.h"

#include <algorithm>

namespace fdcn::impl {

Picture::Picture(Network& network, BatchShape const& shape, Layout& layout)
    : device_(*network.device()), shape_(shape), factor_(network.manifest().pixel_factor) {
    auto const [channels, height, width] = shape.latent;
    parts_ = {{0, shape.images}};
    picture_ = {3, height * factor_, width * factor_};
    if (network.has("decoder")) {
        auto const fit = network.fit("decoder", shape.images, {height, width});
        if (!fit) throw network.outside("decoder", shape.images, {height, width});
        LoadedGraph& graph = network.graph("decoder");
        output_ = graph.outputs().at(0);
        parts_ = fit->parts;
        for (auto const& [begin, end] : parts_) {
            std::unique_ptr<Context>& context = contexts_[end - begin];
            if (context) continue;
            context = graph.context();
            context->reshape(fit->profile, {{"latent", {end - begin, channels, height, width}}}, device_.stream());
            Shape const made = context->shape(output_);
            picture_ = {made.at(1), made.at(2), made.at(3)};
        }
    }
    std::int64_t most = 0;
    for (auto const& [begin, end] : parts_) most = std::max(most, end - begin);
    part_ = layout.add<float>(most * shape.elements());
    made_ = layout.add<float>(most * picture_[0] * picture_[1] * picture_[2]);
}

void Picture::place(void* block) {
    part_at_ = static_cast<float*>(part_.in(block));
    made_at_ = static_cast<float*>(made_.in(block));
    for (auto const& entry : contexts_) {
        entry.second->bind("latent", part_at_);
        entry.second->bind(output_, made_at_);
    }
}

void Picture::enqueue(float const* latents, std::uint8_t* pixels, Stream stream) {
    for (auto const& [begin, end] : parts_) {
        std::int64_t const images = end - begin;
        float const* const source = latents + begin * shape_.elements();
        if (auto const found = contexts_.find(images); found != contexts_.end()) {
            std::size_t const bytes = sizeof(float) * static_cast<std::size_t>(images * shape_.elements());
            device_.copy("latents", part_at_, source, bytes, Copy::kWithin, stream);
            found->second->enqueue_last(stream);
        } else {
            device_.latent_preview(source, made_at_, images, shape_.latent, factor_, stream);
        }
        device_.to_pixels(made_at_, pixels + begin * pixels_of_image(), images, picture_, shape_.size, stream);
    }
}

}  // namespace fdcn::impl
