#include "plan/evaluations.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "fdcn/fdcn.hpp"
#include "messages.h"
#include "plan/multi_step.h"
#include "plan/one_step.h"
#include "text/python_text.h"

namespace fdcn::impl {
namespace {

constexpr std::string_view kNeural = "neural", kAdams = "adams";

auto const* solver_entry(std::string_view name) {
    return std::find(std::begin(tables::kSolvers), std::end(tables::kSolvers), name);
}

tables::Neural const* neural_table(std::int64_t steps) {
    auto const* const found = std::find_if(std::begin(tables::kNeural), std::end(tables::kNeural),
                                           [&](tables::Neural const& table) { return table.steps == steps; });
    return found == std::end(tables::kNeural) ? nullptr : found;
}

// The steps that the neural solver has, as "5, 6 or 15".
std::string neural_steps() {
    std::vector<std::string> numbers;
    for (tables::Neural const& table : tables::kNeural) numbers.push_back(std::to_string(table.steps));
    std::string const last = numbers.back();
    numbers.pop_back();
    return joined(numbers, ", ") + " or " + last;
}

void check(std::string const& solver, std::int64_t steps, std::optional<double> last_step) {
    check_solver(solver);
    if (solver == kNeural && !neural_table(steps)) throw Error(messages::solver::neural_steps(neural_steps(), steps));
    if (steps < 1 || steps > tables::kMaxSteps)
        throw Error(messages::solver::steps(solver, tables::kMaxSteps, steps));
    if (!last_step) return;
    if (solver_entry(solver) - std::begin(tables::kSolvers) >= tables::kOneStepSolvers)
        throw Error(messages::solver::no_last_step(solver));
    if (!(0 < *last_step && *last_step < 1)) throw Error(messages::solver::last_step(str(*last_step)));
}

// A method of one step and the way it is discretised, by the solver's name.
std::vector<Evaluation> one_step(std::string_view solver, int steps, double last_step) {
    constexpr struct {
        std::string_view name;
        std::vector<Evaluation> (*make)(int, double, tables::Diffusion const&);
    } kMethods[] = {{"euler", euler}, {"heun", heun}, {"heun-exact", heun_exact}};
    for (auto const& method : kMethods)
        for (tables::Diffusion const& diffusion : tables::kDiffusions)
            if (solver == std::string(method.name).append(diffusion.suffix))
                return method.make(steps, last_step, diffusion);
    throw std::logic_error("solver " + std::string(solver) + " has a name and no method");
}

}  // namespace

void check_solver(std::string const& name) {
    if (solver_entry(name) != std::end(tables::kSolvers)) return;
    std::vector<std::string> const names(std::begin(tables::kSolvers), std::end(tables::kSolvers));
    throw Error(messages::solver::unknown(repr(name), joined(names, ", ")));
}

std::vector<Evaluation> evaluations(std::string const& solver, std::int64_t steps, std::optional<double> last_step) {
    check(solver, steps, last_step);
    if (solver == kNeural) return neural(*neural_table(steps));
    int const count = static_cast<int>(steps);
    if (std::string_view(solver).substr(0, kAdams.size()) == kAdams) return adams(count, solver.back() - '0');
    return one_step(solver, count, last_step.value_or(1.0 / count));
}

}  // namespace fdcn::impl
