// The sampler: the first batch of a shape row by row, and where the device records, from then on as one launch.
#pragma once

#include <functional>
#include <memory>

#include "sampler/batch.h"
#include "sampler/network.h"

namespace fdcn::impl {

// Told how many rows of the plan are done; what it throws ends the sampling and leaves the sampler usable.
using Done = std::function<void(std::int64_t)>;

// Several threads may use one. The network outlives it.
class Sampler {
public:
    explicit Sampler(Network& network);
    ~Sampler();

    // See Network::together.
    std::int64_t together(Batch const& batch);
    // Throws Error for a batch that does not fit, where memory does not suffice, and for a result that is not finite.
    Sampled sample(Batch const& batch, Done const& done);
    // Do ahead what the first batch of its shape would wait for; its seeds, noise and preview do not matter.
    void warm_up(Batch const& batch);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace fdcn::impl
