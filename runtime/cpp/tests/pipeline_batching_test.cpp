// Which jobs share a batch.
#include "pipeline/batching.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "pipeline_jobs.h"

namespace fdcn::impl {
namespace {

constexpr Size kSmall{8, 8}, kLarge{16, 16};

std::vector<Job const*> pointers(std::vector<Job> const& jobs) {
    std::vector<Job const*> pointers;
    for (Job const& one : jobs) pointers.push_back(&one);
    return pointers;
}

TEST(Batching, ALaterOneThatFitsGoesAheadOfOneThatDoesNot) {
    std::vector<Job> const jobs{job("a", kSmall, 3), job("b", kLarge, 1), job("c", kSmall, 3), job("d", kSmall, 1),
                                job("e", kSmall, 1)};
    EXPECT_EQ(choose(pointers(jobs), 5), (std::vector<std::size_t>{0, 3, 4}));
}

TEST(Batching, ABatchIsOfOneKindAndWithinTheLimitAndLeavesNothingThatFits) {
    std::mt19937 random(0);
    for (int round = 0; round < 500; ++round) {
        std::vector<Job> jobs;
        for (std::size_t i = 0, count = 1 + random() % 8; i < count; ++i) {
            jobs.push_back(job("x", random() % 2 ? kSmall : kLarge, 1 + random() % 6));
            if (random() % 4 == 0) jobs.back().batch.preview_every = 1;
        }
        auto const together = static_cast<std::int64_t>(random() % 13);
        auto const chosen = choose(pointers(jobs), together);
        ASSERT_EQ(chosen.front(), 0u);
        ASSERT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
        std::int64_t images = 0;
        for (std::size_t const i : chosen) {
            images += jobs[i].images();
            if (i != 0) {
                ASSERT_TRUE(alike(jobs[0], jobs[i]));
            }
        }
        if (chosen.size() > 1) {
            ASSERT_LE(images, together);
        }
        for (std::size_t i = 1; i < jobs.size(); ++i)
            if (!std::binary_search(chosen.begin(), chosen.end(), i) && alike(jobs[0], jobs[i])) {
                ASSERT_GT(images + jobs[i].images(), together);
            }
    }
}

TEST(Batching, WhateverThePlanFollowsFromMakesAnotherKind) {
    Job const one = job("a");
    EXPECT_TRUE(alike(one, job("b", {8, 8}, 3)));
    using Change = void (*)(Job&);
    for (Change change : std::initializer_list<Change>{
             [](Job& other) { other.request.size = {8, 9}; },
             [](Job& other) { other.request.solver = "heun"; },
             [](Job& other) { other.request.steps = 7; },
             [](Job& other) { other.request.last_step = 0.1; },
             [](Job& other) { other.request.guidance.scale = 2; },
             [](Job& other) { other.request.guidance.three_channels = true; },
             [](Job& other) { other.request.guidance.interval = {0, 0.5}; },
             [](Job& other) { other.request.s_max_adjust = true; },
             [](Job& other) { other.batch.noise = Noise{}; },
             [](Job& other) { other.batch.preview_every = 2; },
             [](Job& other) { other.batch.on_device = true; },
             [](Job& other) { other.batch.stream = nullptr; },
         }) {
        Job other = job("a");
        change(other);
        EXPECT_FALSE(alike(one, other));
        EXPECT_FALSE(alike(other, one));
    }
}

}  // namespace
}  // namespace fdcn::impl
