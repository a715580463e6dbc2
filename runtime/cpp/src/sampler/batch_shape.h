// What of a batch decides which work is done on the device; all else is data there.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sampler/batch.h"

namespace fdcn::impl {

// Batches of one shape run the same recorded work: their guidance, seeds, labels and coefficients may differ.
struct BatchShape {
    std::int64_t images;
    std::array<std::int64_t, 3> latent;  // C, h, w
    Size size;
    std::vector<std::pair<std::string, int>> rows;  // of each row of the plan the graph, and how many passes
    int history;
    std::optional<int> guided;  // how many channels, none for all
    bool drawn;                 // whether the initial latent is drawn from the seeds

    static BatchShape of(Batch const& batch);

    int passes() const;  // the most of a row
    std::int64_t elements() const { return latent[0] * latent[1] * latent[2]; }
    std::int64_t guided_elements() const;
    bool operator<(BatchShape const& other) const;
};

}  // namespace fdcn::impl
