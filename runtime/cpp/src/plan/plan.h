// The sampler as a table, one row an evaluation of the network: runtime/plan.py, bit for bit.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bundle/manifest.h"

namespace fdcn::impl {

// out = null + scale·(class - null) for times in `interval`, ends included; with `three_channels` on those alone.
struct Guidance {
    double scale = 4.0;
    bool three_channels = false;
    std::array<double, 2> interval{0.0, 1.0};

    bool operator==(Guidance const& other) const {
        return scale == other.scale && three_channels == other.three_channels && interval == other.interval;
    }
};

// One run of a graph, for the class or the null class, and its weights in the output.
struct Pass {
    bool conditional;
    float guided, rest;
};

// Coefficients are over (base, point, the last m outputs newest first, two fresh normals).
struct PlanRow {
    float t;
    std::string graph;
    std::vector<Pass> passes;
    std::vector<float> s_max;  // [blocks][x, y]
    std::vector<float> base, point;  // [m + 4]
    std::array<float, 2> predicted;
};

struct SamplerPlan {
    std::vector<PlanRow> rows;
    int history;                       // m
    std::optional<int> guided_channels;  // none where one weight serves all
};

struct PlanSettings {
    std::string solver;
    std::int64_t steps;
    std::int64_t blocks;
    std::optional<double> last_step;
    Guidance guidance;
    double reach = 6.0;
    std::array<double, 2> stretch{1.0, 1.0};
    std::vector<StepGroup> step_groups;
};

// Throws Error for impossible steps, as runtime/solvers.py does.
SamplerPlan sampler_plan(PlanSettings const& settings);

}  // namespace fdcn::impl
