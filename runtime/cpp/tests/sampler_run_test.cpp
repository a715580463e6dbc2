// The sampler over a formula: what comes out is what the formula gives by hand, on the host, and on a device that works
// after a call has returned, row by row and as one recording.
#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <stdexcept>
#include <thread>

#include "sampler/sampler.h"
#include "sampler_by_hand.h"

namespace fdcn::impl {
namespace {

class RunTest : public testing::TestWithParam<bool> {
protected:
    std::shared_ptr<FakeGpu> gpu = std::make_shared<FakeGpu>();
    FakeNetwork network = GetParam() ? FakeNetwork(gpu) : FakeNetwork(std::make_shared<HostDevice>());

    bool on_gpu() const { return GetParam(); }
};

TEST_P(RunTest, RowsHaveTheirPassesGraphsAndNoise) {
    Sampler sampler(network);
    std::vector<std::int64_t> told;
    using Rows = std::vector<std::vector<Pass>>;
    for (Rows const& passes : {Rows{kAlone}, Rows{guided(2.0f), guided(2.0f), guided(2.0f)},
                               Rows{kAlone, guided(3.0f), kAlone, kAlone}}) {
        Batch const batch = batch_of(plan_of(passes, 0.25f), {1, 4, 1});
        told.clear();
        expect_latents(sampler.sample(batch, [&](std::int64_t done) { told.push_back(done); }), by_hand(batch));
        ASSERT_EQ(told.size(), passes.size());
        for (std::size_t i = 0; i < told.size(); ++i) EXPECT_EQ(told[i], static_cast<std::int64_t>(i + 1));
    }
}

TEST_P(RunTest, NoiseIsTakenAsItIs) {
    Sampler sampler(network);
    std::vector<float> values(24);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 7.0f - 1.0f;
    Batch batch = batch_of(plan_of({guided(2.0f), guided(2.0f)}), {3, 2});
    batch.noise = Noise{std::shared_ptr<float const>(values.data(), [](float const*) {}), {2, 2, 2, 3}, false};
    for (int run = 0; run < 3; ++run) expect_latents(sampler.sample(batch, nothing), by_hand(batch));
}

TEST_P(RunTest, PreviewsAreOfTheRowsInBetween) {
    Sampler sampler(network);
    Batch batch = batch_of(plan_of({kAlone, kAlone, kAlone, kAlone, kAlone}), {1, 2});
    batch.preview_every = 2;
    Sampled const sampled = sampler.sample(batch, nothing);
    expect_latents(sampled, by_hand(batch));
    ASSERT_EQ(sampled.previews.size(), 2u);
    for (auto const& preview : sampled.previews) EXPECT_EQ(preview.size(), 2u * 2 * 3 * 3);
    EXPECT_NE(sampled.previews[0], sampled.previews[1]);
    EXPECT_EQ(sampled.channels, 3);
}

TEST_P(RunTest, ModulationsAreMadeOnceAndKeptWhileThereIsRoom) {
    Sampler sampler(network);
    Batch const batch = batch_of(plan_of({guided(2.0f), guided(2.0f), guided(2.0f)}), {1, 4, 1});
    for (int run = 0; run < 3; ++run) expect_latents(sampler.sample(batch, nothing), by_hand(batch));
    EXPECT_EQ(network.conditioned, 3 * 3);  // times, and the classes 1, 4 and null
}

TEST_P(RunTest, WhereModulationsDoNotFitTheyAreMadeAgain) {
    network.limits = {3, 2, 2, 2};
    Sampler sampler(network);
    Batch const batch = batch_of(plan_of({guided(2.0f), guided(2.0f), guided(2.0f)}), {1, 4});
    for (int run = 0; run < 2; ++run) expect_latents(sampler.sample(batch, nothing), by_hand(batch));
    EXPECT_EQ(network.conditioned, 2 * 3 * 3);
    EXPECT_EQ(gpu->launches, 0);
}

TEST_P(RunTest, WhatProgressThrowsEndsTheRunAndNothingElse) {
    Sampler sampler(network);
    Batch const batch = batch_of(plan_of({kAlone, kAlone, kAlone}), {1, 2});
    auto const stop = [](std::int64_t done) {
        if (done == 2) throw std::domain_error("stop");
    };
    EXPECT_THROW(sampler.sample(batch, stop), std::domain_error);
    expect_latents(sampler.sample(batch, nothing), by_hand(batch));
}

TEST_P(RunTest, ProgressMayRunAnotherOfTheSameShape) {
    Sampler sampler(network);
    Batch const batch = batch_of(plan_of({kAlone, kAlone}), {1, 2});
    Batch const inner = batch_of(plan_of({kAlone, kAlone}), {5, 6});
    int runs = 0;
    Sampled const outer = sampler.sample(batch, [&](std::int64_t done) {
        if (done == 1) {
            expect_latents(sampler.sample(inner, nothing), by_hand(inner));
            ++runs;
        }
    });
    expect_latents(outer, by_hand(batch));
    EXPECT_EQ(runs, 1);
}

TEST_P(RunTest, WhatIsNotFiniteIsRefused) {
    Sampler sampler(network);
    Batch const batch = batch_of(plan_of({guided(std::numeric_limits<float>::max())}), {1});
    for (int run = 0; run < 2; ++run) {
        try {
            sampler.sample(batch, nothing);
            FAIL();
        } catch (Error const& error) {
            EXPECT_STREQ(error.what(), "sampling left float32's range; lower the guidance or take more steps");
        }
    }
}

TEST_P(RunTest, WhatDoesNotFitIsRefused) {
    network.most_rows = 5;
    Sampler sampler(network);
    EXPECT_THROW(sampler.sample(batch_of(plan_of({kAlone, guided(2.0f)}), {1, 2, 3}), nothing), Error);
    EXPECT_EQ(network.runs, 0);
}

TEST_P(RunTest, WarmingUpEvaluatesEachKindOfRowAndNoMore) {
    Sampler sampler(network);
    Batch batch = batch_of(plan_of({kAlone, kAlone, guided(2.0f), guided(2.0f), kAlone, guided(2.0f)}), {1, 2});
    batch.preview_every = 1;
    sampler.warm_up(batch);
    EXPECT_EQ(network.runs, 4);  // the first four rows have both graphs with one pass and with two
    batch.preview_every = 0;
    expect_latents(sampler.sample(batch, nothing), by_hand(batch));
    EXPECT_EQ(gpu->launches, on_gpu() ? 1 : 0);
}

TEST_P(RunTest, ThreadsTakeTurns) {
    Sampler sampler(network);
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int thread = 0; thread < 4; ++thread)
        threads.emplace_back([&, thread] {
            for (int run = 0; run < 20; ++run) {
                std::vector<std::int64_t> const labels(static_cast<std::size_t>(1 + (run + thread) % 3), thread);
                Batch const batch = batch_of(plan_of({guided(2.0f), kAlone}, 0.5f), labels);
                expect_latents(sampler.sample(batch, nothing), by_hand(batch));
                ++right;
            }
        });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(right, 80);
}

INSTANTIATE_TEST_SUITE_P(On, RunTest, testing::Bool(),
                         [](auto const& device) { return device.param ? "Gpu" : "Host"; });

}  // namespace
}  // namespace fdcn::impl
