// A request, checked against a bundle and completed with its defaults: runtime/request.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bundle/manifest.h"
#include "fdcn/fdcn.hpp"
#include "plan/plan.h"

namespace fdcn::impl {

struct Resolved {
    std::vector<std::int64_t> labels;  // one an image
    std::vector<std::uint64_t> seeds;  // one an image
    Size size;
    std::array<std::int64_t, 2> latent;  // (height, width)
    std::string solver;
    std::int64_t steps;
    std::optional<double> last_step;
    Guidance guidance;
    bool s_max_adjust;
    std::optional<Noise> noise;
};

// Throws Error for impossible requests, with Python's sentences.
Resolved resolve(Manifest const& manifest, Request const& request);

// What finds each class again: its name, or its number where the bundle has no names, or finds another by it.
std::vector<std::string> label_names(Manifest const& manifest, std::vector<std::int64_t> const& labels);

// The sampler's table for a request.
SamplerPlan plan_for(Manifest const& manifest, Resolved const& wanted, std::vector<StepGroup> const& step_groups);

// What a user should know about a request that was granted.
std::vector<std::string> notes_on(Manifest const& manifest, Resolved const& wanted);

}  // namespace fdcn::impl
