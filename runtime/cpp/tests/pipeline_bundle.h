// The tests' own bundle, on the CPU: one block, three classes, 8x8.
#pragma once

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <string>

#include <gtest/gtest.h>

#include "fdcn/fdcn.hpp"

namespace fdcn {

inline constexpr std::chrono::seconds kSoon(60);  // after which a test is stuck
// ONNX Runtime's GEMMs may take other kernels for other row counts.
inline constexpr float kBatchMates = 1e-5f;

inline Options on_cpu() {
    Options options;
    options.backend = "onnxruntime";
    return options;
}

inline Pipeline opened() {
    return Pipeline::load(FDCN_TEST_BUNDLE, on_cpu());
}

inline Request request_of(std::vector<Label> labels, std::uint64_t seed = 0) {
    Request request;
    request.labels = std::move(labels);
    request.seed = seed;
    request.solver = "euler";
    request.steps = 3;
    return request;
}

inline std::int64_t elements(Images const& images) {
    auto const shape = images.latent_shape();
    return shape[0] * shape[1] * shape[2] * shape[3];
}

// Says no to NaN.
inline void expect_close(Images const& got, Images const& want, float within = kBatchMates) {
    ASSERT_EQ(got.latent_shape(), want.latent_shape());
    for (std::int64_t i = 0; i < elements(want); ++i)
        ASSERT_TRUE(std::abs(got.latents()[i] - want.latents()[i]) <= within) << i;
    ASSERT_EQ(got.names(), want.names());
    ASSERT_EQ(got.seeds(), want.seeds());
    ASSERT_EQ(got.width(), want.width());
    ASSERT_EQ(got.height(), want.height());
}

// Progress that lets a run begin and then holds it until it is let go.
class Held {
public:
    void operator()() {
        std::unique_lock lock(changing_);
        begun_ = true;
        changed_.notify_all();
        EXPECT_TRUE(changed_.wait_for(lock, kSoon, [&] { return go_; }));
    }
    void wait_until_begun() {
        std::unique_lock lock(changing_);
        ASSERT_TRUE(changed_.wait_for(lock, kSoon, [&] { return begun_; }));
    }
    void let_go() {
        std::lock_guard const lock(changing_);
        go_ = true;
        changed_.notify_all();
    }

private:
    std::mutex changing_;
    std::condition_variable changed_;
    bool begun_ = false, go_ = false;
};

}  // namespace fdcn
