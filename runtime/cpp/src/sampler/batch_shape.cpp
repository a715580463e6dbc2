#include "sampler/batch_shape.h"

#include <algorithm>
#include <tuple>

namespace fdcn::impl {

BatchShape BatchShape::of(Batch const& batch) {
    SamplerPlan const& plan = *batch.plan;
    BatchShape shape{static_cast<std::int64_t>(batch.labels.size()),
                     batch.latent,
                     batch.size,
                     {},
                     plan.history,
                     plan.guided_channels,
                     !batch.noise.has_value()};
    for (PlanRow const& row : plan.rows) shape.rows.emplace_back(row.graph, static_cast<int>(row.passes.size()));
    return shape;
}

int BatchShape::passes() const {
    int most = 0;
    for (auto const& row : rows) most = std::max(most, row.second);
    return most;
}

std::int64_t BatchShape::guided_elements() const {
    std::int64_t const channels = guided ? std::min<std::int64_t>(*guided, latent[0]) : latent[0];
    return channels * latent[1] * latent[2];
}

bool BatchShape::operator<(BatchShape const& other) const {
    auto const key = [](BatchShape const& s) {
        return std::tie(s.images, s.latent, s.size, s.rows, s.history, s.guided, s.drawn);
    };
    return key(*this) < key(other);
}

}  // namespace fdcn::impl
