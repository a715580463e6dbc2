// What the sampler does only where a device works after a call has returned: recordings, results that stay there, a
// caller's stream, and its memory.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "sampler/sampler.h"
#include "sampler_by_hand.h"

namespace fdcn::impl {
namespace {

class GpuTest : public testing::Test {
protected:
    std::shared_ptr<FakeGpu> gpu = std::make_shared<FakeGpu>();
    FakeNetwork network{gpu};

    // Sample until it is done as one recording, which another thread makes.
    void sample_recorded(Sampler& sampler, Batch const& batch) {
        auto const end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
        for (int const before = gpu->launches; gpu->launches == before; std::this_thread::yield()) {
            ASSERT_LT(std::chrono::steady_clock::now(), end);
            expect_latents(sampler.sample(batch, nothing), by_hand(batch));
        }
    }
};

TEST_F(GpuTest, ARecordingServesOtherNumbers) {
    Sampler sampler(network);
    sample_recorded(sampler, batch_of(plan_of({guided(2.0f), guided(2.0f)}, 0.5f), {1, 2}));
    Batch other = batch_of(plan_of({guided(3.0f), guided(0.5f)}, 0.25f), {7, 3});
    other.seeds = {1, 2};
    other.plan = [&] {
        auto plan = std::make_shared<SamplerPlan>(*other.plan);
        for (PlanRow& row : plan->rows) row.s_max = {8.0f, 8.0f};
        return plan;
    }();
    int const before = gpu->launches;
    std::vector<std::int64_t> told;
    expect_latents(sampler.sample(other, [&](std::int64_t done) { told.push_back(done); }), by_hand(other));
    EXPECT_EQ(gpu->launches, before + 1);
    EXPECT_EQ(told, std::vector<std::int64_t>{2});
}

TEST_F(GpuTest, WhereRecordingIsRefusedItGoesOnRowByRow) {
    gpu->refuses_recording = true;
    Sampler sampler(network);
    Batch const batch = batch_of(plan_of({kAlone, kAlone}), {1, 2});
    sampler.warm_up(batch);
    for (int run = 0; run < 3; ++run) expect_latents(sampler.sample(batch, nothing), by_hand(batch));
    EXPECT_EQ(gpu->launches, 0);
}

TEST_F(GpuTest, ResultsThatStayOutliveEverything) {
    Sampled rows, recorded;
    Batch batch = batch_of(plan_of({kAlone, guided(2.0f)}), {1, 2});
    batch.on_device = true;
    {
        FakeNetwork here(gpu);
        Sampler sampler(here);
        rows = sampler.sample(batch, nothing);
        sampler.warm_up(batch);
        recorded = sampler.sample(batch, nothing);
    }
    EXPECT_EQ(gpu->left(), "memory ");
    expect_latents(rows, by_hand(batch));
    expect_latents(recorded, by_hand(batch));
    for (std::size_t i = 0; i < 2 * 2 * 3 * 3; ++i) EXPECT_EQ(rows.pixels.get()[i], recorded.pixels.get()[i]);
}

TEST_F(GpuTest, ACallersStreamIsFollowedAndItsNoiseTaken) {
    Sampler sampler(network);
    std::vector<float> const values(12, 0.5f);
    Batch batch = batch_of(plan_of({kAlone}), {1});
    int stream = 0;
    batch.stream = &stream;
    batch.noise = Noise{std::shared_ptr<float const>(values.data(), [](float const*) {}), {1, 2, 2, 3}, true};
    expect_latents(sampler.sample(batch, nothing), by_hand(batch));
    EXPECT_EQ(gpu->followed, std::vector<Stream>{&stream});
}

TEST_F(GpuTest, ShapesBeyondTheBudgetAreGivenUp) {
    network.kept_bytes = 0;
    Sampler sampler(network);
    Batch const batch = batch_of(plan_of({kAlone}), {1});
    std::size_t free = 0;
    for (int run = 0; run < 3; ++run) {
        sampler.warm_up(batch);
        if (run == 1) free = gpu->free_memory();
    }
    EXPECT_EQ(gpu->free_memory(), free);
    EXPECT_EQ(gpu->launches, 0);
}

TEST_F(GpuTest, IdleShapesMakeRoom) {
    Sampler sampler(network);
    sampler.warm_up(batch_of(plan_of({kAlone}), {1, 2, 3, 4}));
    gpu->most -= gpu->free_memory();  // nothing is left
    Batch const fewer = batch_of(plan_of({kAlone}), {1, 2});
    expect_latents(sampler.sample(fewer, nothing), by_hand(fewer));
}

TEST_F(GpuTest, WhatWouldFitIsSaid) {
    Sampler sampler(network);
    Batch batch = batch_of(plan_of({kAlone}), {1, 2, 3, 4});
    sampler.warm_up(batch_of(plan_of({kAlone}), {1}));
    auto const refused = [&] {
        try {
            sampler.sample(batch, nothing);
        } catch (OutOfMemory const& error) {
            return std::string(error.what());
        }
        return std::string("nothing was refused");
    };
    auto const leave = [&](std::size_t bytes) { gpu->most -= gpu->free_memory() - bytes; };
    gpu->spare();
    batch.latent = {2, 64, 64};
    batch.size = {64, 64};
    leave(600'000);
    EXPECT_NE(refused().find("does not suffice for 4 images of 64x64: "), std::string::npos) << refused();
    EXPECT_NE(refused().find("0.6 MB are free; 2 at a time would fit"), std::string::npos) << refused();
    leave(100'000);
    EXPECT_NE(refused().find("0.1 MB are free; a picture of about "), std::string::npos) << refused();
    batch.latent = {2, 2, 3};
    batch.size = {3, 2};
    sampler.sample(batch, nothing);
}

TEST_F(GpuTest, EverythingIsGivenBack) {
    {
        Sampler sampler(network);
        Batch const batch = batch_of(plan_of({guided(2.0f), kAlone}), {1, 2});
        sampler.sample(batch, nothing);  // its recording may be made just now
        EXPECT_NE(gpu->left(), "");
    }
    EXPECT_EQ(gpu->left(), "");
}

}  // namespace
}  // namespace fdcn::impl
