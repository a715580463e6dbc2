#include "plan/plan.h"

#include "plan/evaluations.h"
#include "plan/s_max.h"
#include "tables.h"

namespace fdcn::impl {
namespace {

constexpr int kGuidedChannels = 3;

// The graph that evaluates a time in [0, 1]: that of the first group that it is in.
std::string const& graph_at(double t, std::vector<StepGroup> const& step_groups) {
    static std::string const denoiser = "denoiser";
    for (StepGroup const& group : step_groups)
        if (t <= group.until + tables::kAllowance) return group.graph;
    return denoiser;
}

Pass pass(bool conditional, double guided, double rest) {
    return {conditional, static_cast<float>(guided), static_cast<float>(rest)};
}

std::vector<Pass> passes(Guidance const& guidance, double t) {
    auto const [low, high] = guidance.interval;
    double const g = guidance.scale;
    bool const inside = low - tables::kAllowance <= t && t <= high + tables::kAllowance;
    if (g == 1 || !inside) return {pass(true, 1.0, 1.0)};
    if (guidance.three_channels) return {pass(false, 1 - g, 0.0), pass(true, g, 1.0)};
    return {pass(false, 1 - g, 1 - g), pass(true, g, g)};
}

}  // namespace

SamplerPlan sampler_plan(PlanSettings const& settings) {
    SamplerPlan plan;
    for (Evaluation const& e : evaluations(settings.solver, settings.steps, settings.last_step)) {
        plan.rows.push_back({
            static_cast<float>(e.t),
            graph_at(e.t, settings.step_groups),
            passes(settings.guidance, e.t),
            s_max(e.t, settings.blocks, settings.reach, settings.stretch),
            {e.base.begin(), e.base.end()},
            {e.point.begin(), e.point.end()},
            // x_t + (1 - t)·v: where the flow would end if it went straight on.
            {1.0f, static_cast<float>(1.0 - e.t)},
        });
    }
    plan.history = static_cast<int>(plan.rows.front().base.size()) - 4;
    if (settings.guidance.three_channels) plan.guided_channels = kGuidedChannels;
    return plan;
}

}  // namespace fdcn::impl
