#include "plan/one_step.h"

#include <cmath>

#include "plan/basis.h"

namespace fdcn::impl {
namespace {

using tables::Diffusion;

constexpr Diffusion const& kOde = tables::kDiffusions[0];
static_assert(kOde.suffix.empty());

// What dt is multiplied with, where the network gave v at x and time t.
Vector slope(Diffusion const& how, Vector const& v, Vector const& x, double t, double w) {
    if (how.drift == 0) return v;
    return v + (how.drift * w) * (t * v - x) / (1 - t);
}

Vector spread(Diffusion const& how, Vector const& n, double dt, double w) {
    return how.noise * std::sqrt(w * dt) * n;
}

// Evaluation times from 0 to 1 - last_step, evenly, and the lengths of the steps from them.
struct Grid {
    std::vector<double> times, lengths;

    Grid(int steps, double last_step) {
        if (steps == 1) {
            times = {0.0};
            lengths = {1.0};
            return;
        }
        double const dt = (1 - last_step) / (steps - 1);
        for (int i = 0; i < steps; ++i) times.push_back(i * dt);
        lengths.assign(static_cast<std::size_t>(steps) - 1, dt);
        lengths.push_back(last_step);
    }
};

}  // namespace

std::vector<Evaluation> euler(int steps, double last_step, Diffusion const& diffusion) {
    Basis const b(1);
    Grid const grid(steps, last_step);
    std::vector<Evaluation> rows;
    for (std::size_t i = 0; i < grid.times.size(); ++i) {
        double const t = grid.times[i], dt = grid.lengths[i];
        Diffusion const& how = i + 1 == grid.times.size() ? kOde : diffusion;
        Vector const following =
            b.base + dt * slope(how, b.v(0), b.base, t, 1 - t) + spread(how, b.n(0), dt, 1 - t);
        rows.push_back({t, following, following});
    }
    return rows;
}

std::vector<Evaluation> heun_exact(int steps, double last_step, Diffusion const& diffusion) {
    Basis const b(1);
    Grid const grid(steps, last_step);
    std::vector<Evaluation> rows;
    for (std::size_t i = 0; i + 1 < grid.times.size(); ++i) {
        double const t = grid.times[i], following = grid.times[i + 1], dt = grid.lengths[i], w = 1 - t;
        // The base that the predictor leaves already holds half of its slope.
        Vector const predictor = slope(diffusion, b.v(0), b.base, t, w);
        Vector const predicted = b.base + dt * predictor + spread(diffusion, b.n(0), dt, w);
        rows.push_back({t, b.base + dt / 2 * predictor, predicted});
        // At the predicted point and the new time, but with the old time's w: as the released code has it.
        Vector const corrector = slope(diffusion, b.v(0), b.point, following, w);
        Vector const corrected = b.base + dt / 2 * corrector + spread(diffusion, b.n(0), dt, w);
        rows.push_back({following, corrected, corrected});
    }
    Vector const final = b.base + grid.lengths.back() * b.v(0);
    rows.push_back({grid.times.back(), final, final});
    return rows;
}

std::vector<Evaluation> heun(int steps, double last_step, Diffusion const& diffusion) {
    Basis const b(1);
    Grid const grid(steps, last_step);
    std::vector<Evaluation> rows;
    for (std::size_t i = 0; i < grid.times.size(); ++i) {
        double const t = grid.times[i], dt = grid.lengths[i];
        Vector state = b.base, at = b.base;
        if (i > 0) {
            // This output corrects the step that led here, with that step's w, and predicts the next.
            double const before = 1 - grid.times[i - 1], length = grid.lengths[i - 1];
            at = b.point;
            state = state + length / 2 * slope(diffusion, b.v(0), at, t, before) +
                    spread(diffusion, b.n(0), length, before);
        }
        if (i + 1 == grid.times.size()) {
            Vector const final = state + dt * b.v(0);
            rows.push_back({t, final, final});
            break;
        }
        Vector const predictor = slope(diffusion, b.v(0), at, t, 1 - t);
        Vector const predicted = state + dt * predictor + spread(diffusion, b.n(1), dt, 1 - t);
        rows.push_back({t, state + dt / 2 * predictor, predicted});
    }
    return rows;
}

}  // namespace fdcn::impl
