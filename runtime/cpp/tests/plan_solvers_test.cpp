// Plans do what their solvers promise: orders of convergence, straight lines, guidance.
#include "plan/plan.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "fdcn/fdcn.hpp"
#include "plan/evaluations.h"
#include "tables.h"

namespace fdcn::impl {
namespace {

// Where a table takes dx/dt = velocity(x, t) from x(0) = 1, without noise.
double solved(std::string const& solver, int steps, std::function<double(double, double)> const& velocity) {
    double base = 1.0, point = 1.0;
    std::vector<double> outputs;
    for (Evaluation const& e : evaluations(solver, steps, std::nullopt)) {
        std::size_t const history = e.base.size() - 4;
        outputs.insert(outputs.begin(), velocity(point, e.t));
        auto const combined = [&](Vector const& c) {
            double sum = c[0] * base + c[1] * point;
            for (std::size_t k = 0; k < history; ++k)
                if (c[2 + k] != 0) sum += c[2 + k] * outputs.at(k);
            return sum;
        };
        double const next = combined(e.base);
        point = combined(e.point);
        base = next;
    }
    return point;
}

TEST(Solvers, HaveTheirOrders) {
    struct {
        char const* solver;
        double order;
    } const cases[] = {{"euler", 1}, {"heun", 2}, {"heun-exact", 2}, {"adams2", 2}, {"adams3", 2}, {"adams4", 2}};
    for (auto const& [solver, order] : cases) {
        auto const error = [&, name = solver](int steps) {
            return std::fabs(solved(name, steps, [](double x, double) { return -x; }) - std::exp(-1.0));
        };
        EXPECT_NEAR(std::log2(error(16) / error(32)), order, 0.2) << solver;
    }
}

TEST(Solvers, TakeAStraightLineToItsEnd) {
    for (std::string_view const name : tables::kSolvers) {
        std::string const solver(name);
        if (solver.find("sde") != solver.npos) continue;  // the score term bends the line
        EXPECT_NEAR(solved(solver, 7, [](double, double) { return 3.0; }), 4.0, 5e-3) << solver;
    }
}

TEST(Solvers, EvaluateAtAscendingTimesBelowOne) {
    for (std::string_view const solver : tables::kSolvers) {
        auto const rows = evaluations(std::string(solver), 6, std::nullopt);
        EXPECT_EQ(rows.size(), solver.substr(0, 10) == "heun-exact" ? 11u : 6u) << solver;
        EXPECT_EQ(rows.front().t, 0.0);
        for (std::size_t i = 1; i < rows.size(); ++i) EXPECT_LE(rows[i - 1].t, rows[i].t) << solver;
        EXPECT_LT(rows.back().t, 1.0);
    }
}

PlanSettings settings(Guidance const& guidance) {
    PlanSettings result;
    result.solver = "adams2";
    result.steps = 10;
    result.blocks = 28;
    result.guidance = guidance;
    return result;
}

TEST(Plan, EndsOfAGuidanceIntervalCount) {
    // Times 0, 0.1, …, 0.9; in float64 0.3 and 0.7 are reached with rounding.
    Guidance guidance;
    guidance.interval = {0.3, 0.7};
    std::string passes;
    for (PlanRow const& row : sampler_plan(settings(guidance)).rows) passes += std::to_string(row.passes.size());
    EXPECT_EQ(passes, "1112222211");
}

TEST(Plan, WeighsPassesByTheGuidance) {
    PlanRow const row = sampler_plan(settings({2.5, true, {0.0, 1.0}})).rows.front();
    ASSERT_EQ(row.passes.size(), 2u);
    EXPECT_FALSE(row.passes[0].conditional);
    EXPECT_EQ(row.passes[0].guided, -1.5f);
    EXPECT_EQ(row.passes[0].rest, 0.0f);
    EXPECT_EQ(row.passes[1].guided, 2.5f);
    EXPECT_EQ(row.passes[1].rest, 1.0f);
    EXPECT_EQ(sampler_plan(settings({2.5, true, {0.0, 1.0}})).guided_channels, 3);
    EXPECT_EQ(sampler_plan(settings({1.0, false, {0.0, 1.0}})).rows.front().passes.size(), 1u);
}

TEST(Plan, LengthensTheReachOfMiddleBlocksEarlyOn) {
    PlanSettings wide = settings({});
    wide.stretch = {4.0, 1.5};
    SamplerPlan const plan = sampler_plan(wide);
    std::vector<float> const &first = plan.rows.front().s_max, &last = plan.rows.back().s_max;
    ASSERT_EQ(first.size(), 56u);
    EXPECT_EQ(first[2 * 4], 6.0f);
    EXPECT_EQ(first[2 * 5], 12.0f);
    EXPECT_EQ(first[2 * 5 + 1], 9.0f);
    EXPECT_EQ(first[2 * 23], 12.0f);
    EXPECT_EQ(first[2 * 24], 6.0f);
    for (float const reach : last) EXPECT_EQ(reach, 6.0f);
}

TEST(Plan, TakesTheGraphOfAStepsGroup) {
    PlanSettings grouped = settings({});
    grouped.step_groups = {{0.35, "denoiser"}, {1.0, "denoiser-2"}};
    std::size_t early = 0;
    for (PlanRow const& row : sampler_plan(grouped).rows) early += row.graph == "denoiser";
    EXPECT_EQ(early, 4u);
}

TEST(Plan, RefusesWhatASolverDoesNotHave) {
    auto const refusal = [](char const* solver, std::int64_t steps, std::optional<double> last_step) -> std::string {
        try {
            evaluations(solver, steps, last_step);
        } catch (Error const& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_EQ(refusal("neural", 4, {}), "solver neural has tables for 5, 6, 7, 8, 9, 10 or 15 steps, not 4");
    EXPECT_EQ(refusal("euler", INT64_MIN, {}), "solver euler takes 1 to 10000 steps, not -9223372036854775808");
    EXPECT_EQ(refusal("euler", 5, std::nan("")),
              "the last step must be between 0 and 1, not nan; the released models use 0.04");
    EXPECT_EQ(refusal("it's", 5, {}).find("unknown solver \"it's\"; there are euler, euler-sde, "), 0u);
}

}  // namespace
}  // namespace fdcn::impl
