// Plans and batches for the formula of sampler_fake_network.h, and what comes of them by hand.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "native/philox.h"
#include "sampler/batch.h"
#include "sampler_fake_network.h"

namespace fdcn::impl {

inline constexpr std::int64_t kNull = 10;

// Rows by hand, not by a solver: Euler steps of 1/rows, with a normal of weight `noise` added.
inline std::shared_ptr<SamplerPlan> plan_of(std::vector<std::vector<Pass>> const& passes, float noise = 0.0f) {
    auto plan = std::make_shared<SamplerPlan>();
    plan->history = 1;
    float const dt = 1.0f / static_cast<float>(passes.size());
    for (std::size_t r = 0; r < passes.size(); ++r) {
        float const t = static_cast<float>(r) * dt;
        std::vector<float> const next{1.0f, 0.0f, dt, noise, 0.0f};
        std::string const graph = r % 2 ? "second" : "denoiser";
        plan->rows.push_back({t, graph, passes[r], {6.0f, 6.0f}, next, next, {1.0f, 1.0f - t}});
    }
    return plan;
}

inline std::vector<Pass> const kAlone{{true, 1.0f, 1.0f}};
inline std::vector<Pass> guided(float g) { return {{false, 1 - g, 1 - g}, {true, g, g}}; }

inline Batch batch_of(std::shared_ptr<SamplerPlan const> plan, std::vector<std::int64_t> labels) {
    Batch batch;
    batch.plan = std::move(plan);
    batch.null = kNull;
    batch.latent = {2, 2, 3};
    batch.size = {3, 2};
    for (std::size_t i = 0; i < labels.size(); ++i) batch.seeds.push_back(i + 100);
    batch.labels = std::move(labels);
    return batch;
}

// The latents by hand, in the order of elements, an image after the other.
inline std::vector<float> by_hand(Batch const& batch) {
    std::size_t const elements = 12;
    std::vector<float> all;
    for (std::size_t image = 0; image < batch.labels.size(); ++image) {
        auto const draw = [&](unsigned step) {
            std::vector<float> z(elements);
            for (unsigned quad = 0; quad < elements / 4; ++quad)
                normals(batch.seeds[image], quad, step, 0, &z[4 * quad]);
            return z;
        };
        std::vector<float> x = batch.noise ? std::vector<float>(batch.noise->data.get() + image * elements,
                                                                batch.noise->data.get() + (image + 1) * elements)
                                           : draw(0);
        for (std::size_t r = 0; r < batch.plan->rows.size(); ++r) {
            PlanRow const& row = batch.plan->rows[r];
            std::vector<float> const z = draw(static_cast<unsigned>(r) + 1);
            for (std::size_t e = 0; e < elements; ++e) {
                float v = 0.0f;
                for (Pass const& pass : row.passes) {
                    std::int64_t const label = pass.conditional ? batch.labels[image] : batch.null;
                    float const one = velocity_of(x[e], row.s_max[0], modulation_of(row.t, label), final_of(label));
                    v += pass.guided * (row.graph == "second" ? -one : one);
                }
                x[e] = x[e] + row.base[2] * v + row.base[3] * z[e];
            }
        }
        all.insert(all.end(), x.begin(), x.end());
    }
    return all;
}

inline void expect_latents(Sampled const& sampled, std::vector<float> const& wanted) {
    for (std::size_t i = 0; i < wanted.size(); ++i)
        ASSERT_LE(std::abs(sampled.latents.get()[i] - wanted[i]), 1e-5f) << "element " << i;
}

inline void nothing(std::int64_t) {}

}  // namespace fdcn::impl
