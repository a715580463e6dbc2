// Solvers as tables, in float64: runtime/solvers.py, operation by operation, so that every bit is the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace fdcn::impl {

// Coefficients over (base, point, v_0 … v_(m-1), n_0, n_1).
using Vector = std::vector<double>;

// One evaluation of the network at time t, the state to carry on, and the next point to evaluate.
struct Evaluation {
    double t;
    Vector base, point;
};

// Throws Error for an unknown solver, for steps that it does not have, and for a last step where it has none.
std::vector<Evaluation> evaluations(std::string const& solver, std::int64_t steps, std::optional<double> last_step);
// Throws Error, with every name, where a solver does not exist.
void check_solver(std::string const& name);

}  // namespace fdcn::impl
