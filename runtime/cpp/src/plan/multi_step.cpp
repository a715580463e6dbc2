#include "plan/multi_step.h"

#include <algorithm>

#include "plan/basis.h"

namespace fdcn::impl {
namespace {

// Step i has the length lengths[i] and the weights weights[i], newest first; the last one goes all the way to t = 1,
// whatever the lengths sum to.
std::vector<Evaluation> multi_step(std::vector<double> const& lengths, std::vector<Vector> const& weights,
                                   int history) {
    Basis const b(history);
    std::vector<Evaluation> rows;
    double t = 0.0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
        double const length = i + 1 == lengths.size() ? 1 - t : lengths[i];
        Vector sum(b.base.size());
        for (std::size_t k = 0; k < weights[i].size(); ++k) sum = sum + weights[i][k] * b.v(static_cast<int>(k));
        Vector const following = b.base + length * sum;
        rows.push_back({t, following, following});
        t += lengths[i];
    }
    return rows;
}

}  // namespace

std::vector<Evaluation> adams(int steps, int order) {
    std::vector<Vector> weights;
    for (int i = 0; i < steps; ++i) {
        int const used = std::min(order, i + 1);
        double const* const row = tables::kAdamsBashforth[used - 1];
        weights.emplace_back(row, row + used);
    }
    return multi_step(std::vector<double>(static_cast<std::size_t>(steps), 1.0 / steps), weights, order);
}

std::vector<Evaluation> neural(tables::Neural const& table) {
    std::vector<Vector> weights;
    for (int i = 0; i < table.steps; ++i) {
        double const* const row = table.weights + i * (i + 1) / 2;
        weights.emplace_back(row, row + i + 1);
    }
    return multi_step({table.lengths, table.lengths + table.steps}, weights, table.steps);
}

}  // namespace fdcn::impl
