#include "sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "messages.h"
#include "sampler/arena.h"
#include "sampler/background.h"
#include "sampler/batch_shape.h"
#include "sampler/holding.h"
#include "sampler/out_of_memory.h"
#include "sampler/run.h"
#include "sampler/shape_cache.h"
#include "sampler/trajectory.h"
#include "text/python_text.h"

namespace fdcn::impl {

namespace {

// Which batch or size would fit.
std::string smaller(BatchShape const& shape, OutOfMemory const& error) {
    double const part = static_cast<double>(error.free) * static_cast<double>(shape.images) /
                        static_cast<double>(error.needed);
    auto const images = static_cast<std::int64_t>(part);
    if (images >= shape.images) return messages::device::free_some();
    if (images > 0) return messages::device::fewer_fit(images);
    Size size = shape.size;
    for (std::int64_t& side : size)
        side = std::max<std::int64_t>(1, static_cast<std::int64_t>(static_cast<double>(side) * std::sqrt(part)));
    return messages::device::smaller_fits(format_size(size));
}

}  // namespace

struct Sampler::Impl {
    using Shapes = ShapeCache<BatchShape, Trajectory>;

    explicit Impl(Network& network)
        : network(network),
          device(*network.device()),
          arena(std::make_unique<Arena>(network)),
          shapes(
              network.budget(), [](Trajectory const& one) { return one.bytes(); },
              [this](std::unique_ptr<Trajectory> one) { close(std::move(one)); }) {
        device.spare = [this] { return shapes.drop_idle(); };
        if (device.asynchronous()) recording = {device, device.new_stream()};
    }

    ~Impl() {
        behind.reset();  // it may be recording
        try {
            Network::Turn const turn(network);
            shapes.drop_idle();
            device.spare = nullptr;
            arena.reset();
            recording = {};
        } catch (std::exception const&) {
            // As in close.
        }
    }

    void close(std::unique_ptr<Trajectory> one) noexcept {
        try {
            auto const current = device.current();
            one.reset();
        } catch (std::exception const&) {
            static_cast<void>(one.release());  // the driver has ended, and all of it with it
        }
    }

    void check_fits(BatchShape const& shape) {
        std::array<std::int64_t, 2> const latent{shape.latent[1], shape.latent[2]};
        for (auto const& [graph, passes] : shape.rows) {
            auto const fit = network.fit(graph, passes * shape.images, latent);
            if (!fit || fit->parts.size() > 1) throw network.outside("denoiser", shape.passes() * shape.images, latent);
        }
    }

    std::unique_ptr<Trajectory> make(BatchShape const& shape) {
        try {
            Network::Turn const turn(network);
            return std::make_unique<Trajectory>(network, *arena, shape);
        } catch (OutOfMemory const& error) {
            throw OutOfMemory(error.what_for, error.needed, error.free, smaller(shape, error));
        }
    }

    // Hold the trajectory of a batch and do something with a run of it. Nobody may take its memory before the device is
    // done with it, whatever went wrong; and what has failed there fails again.
    template <class Work>
    auto with_run(Batch const& batch, BatchShape const& shape, Work const& work) {
        check_fits(shape);
        auto const held = shapes.held(shape, [&] { return make(shape); });
        try {
            Run run(network, *arena, *held, batch);
            return work(run, *held);
        } catch (...) {
            try {
                auto const current = device.current();
                device.synchronize("giving up a batch");
            } catch (std::exception const&) {
            }
            throw;
        }
    }

    // Record a shape's work, if it is still kept; where that is refused, go on row by row.
    void capture(BatchShape const& shape) {
        shapes.with_if_there(shape, [&](Trajectory& trajectory) {
            if (trajectory.captured() || trajectory.refused) return;
            try {
                auto const current = device.current();
                trajectory.capture(recording.get());
            } catch (std::exception const&) {
                trajectory.refused = true;
            }
        });
    }

    Network& network;
    Device& device;
    std::unique_ptr<Arena> arena;
    HeldStream recording;
    Shapes shapes;
    std::unique_ptr<Background> behind = std::make_unique<Background>();
};

Sampler::Sampler(Network& network) {
    Network::Turn const turn(network);
    impl_ = std::make_unique<Impl>(network);
}

Sampler::~Sampler() = default;

std::int64_t Sampler::together(Batch const& batch) { return impl_->network.together(batch); }

Sampled Sampler::sample(Batch const& batch, Done const& done) {
    BatchShape const shape = BatchShape::of(batch);
    bool record = false;
    Sampled sampled = impl_->with_run(batch, shape, [&](Run& run, Trajectory const& trajectory) {
        Sampled made = run.sampled(done);
        record = impl_->device.asynchronous() && run.fits() && !trajectory.captured() && !trajectory.refused;
        return made;
    });
    if (record) impl_->behind->submit([impl = impl_.get(), shape] { impl->capture(shape); });
    return sampled;
}

void Sampler::warm_up(Batch const& batch) {
    Batch plain = batch;
    plain.noise.reset();
    plain.preview_every = 0;
    plain.on_device = false;
    plain.stream.reset();
    BatchShape const shape = BatchShape::of(plain);
    impl_->with_run(plain, shape, [](Run& run, Trajectory const&) { run.warm_up(); });
    if (impl_->device.asynchronous()) impl_->capture(shape);
}

}  // namespace fdcn::impl
