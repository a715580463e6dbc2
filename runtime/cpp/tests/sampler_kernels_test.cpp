// The kernels on the host, each against what it says in the plainest words. Tensors lie aligned and not.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "sampler/host_device.h"

namespace fdcn::impl {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Floats that begin `off` floats behind an aligned address; what is around them must stay.
class Tensor {
public:
    Tensor(std::size_t count, std::size_t off) : whole_(count + 12, -77.0f), count_(count) {
        start_ = (16 - reinterpret_cast<std::uintptr_t>(whole_.data()) % 16) % 16 / sizeof(float) + 4 + off;
    }
    ~Tensor() {
        for (std::size_t i = 0; i < whole_.size(); ++i)
            EXPECT_TRUE((start_ <= i && i < start_ + count_) || whole_[i] == -77.0f);
    }
    float* data() { return whole_.data() + start_; }
    float& operator[](std::size_t i) { return data()[i]; }

private:
    std::vector<float> whole_;
    std::size_t count_, start_;
};

class KernelsTest : public testing::TestWithParam<std::size_t> {
protected:
    HostDevice host;
};

TEST_P(KernelsTest, BeginCopiesNoiseOrDrawsIt) {
    for (std::size_t const elements : {1u, 4u, 6u, 8u}) {
        Tensor noise(2 * elements, GetParam()), base(2 * elements, 0), point(2 * elements, 1), latent(4 * elements, 0);
        for (std::size_t i = 0; i < 2 * elements; ++i) noise[i] = static_cast<float>(i) - 3.5f;
        unsigned long long const seeds[]{5, 1ull << 63};
        for (bool const given : {true, false}) {
            host.begin(given ? noise.data() : nullptr, seeds, base.data(), point.data(), latent.data(), 2,
                       static_cast<std::int64_t>(elements), 2, nullptr);
            for (std::size_t i = 0; i < 2 * elements; ++i) {
                std::size_t const e = i % elements;
                float z[4];
                normals(seeds[i / elements], static_cast<unsigned>(e / 4), 0, 0, z);
                float const wanted = given ? noise[i] : z[e % 4];
                EXPECT_EQ(base[i], wanted);
                EXPECT_EQ(point[i], wanted);
                EXPECT_EQ(latent[i], wanted);
                EXPECT_EQ(latent[2 * elements + i], wanted);
            }
        }
    }
}

TEST_P(KernelsTest, RowsAreMovedByTheirNumbers) {
    for (std::size_t const width : {1u, 3u, 8u}) {
        Tensor from(4 * width, GetParam()), to(3 * width, 0), back(4 * width, 1);
        for (std::size_t i = 0; i < 4 * width; ++i) from[i] = static_cast<float>(i), back[i] = -1.0f;
        for (std::size_t i = 0; i < 3 * width; ++i) to[i] = -1.0f;
        std::int32_t const numbers[]{2, -1, 0};
        host.gather(numbers, from.data(), to.data(), 3, static_cast<std::int64_t>(width), nullptr);
        host.scatter(numbers, to.data(), back.data(), 3, static_cast<std::int64_t>(width), nullptr);
        for (std::size_t i = 0; i < width; ++i) {
            EXPECT_EQ(to[i], from[2 * width + i]);
            EXPECT_EQ(to[width + i], -1.0f);
            EXPECT_EQ(to[2 * width + i], from[i]);
            EXPECT_EQ(back[i], from[i]);
            EXPECT_EQ(back[width + i], -1.0f);
            EXPECT_EQ(back[2 * width + i], from[2 * width + i]);
        }
    }
}

TEST_P(KernelsTest, AdvanceAddsOnlyWhatHasAWeight) {
    constexpr int kHistory = 2;
    std::size_t const elements = 6, images = 2, batch = elements * images;
    Tensor velocity(2 * batch, GetParam()), base(batch, 0), point(batch, 1), outputs(kHistory * batch, 0);
    Tensor input(2 * batch, 2), predicted(batch, 0);
    std::vector<float> before(batch), at(batch);
    for (std::size_t i = 0; i < batch; ++i) {
        velocity[i] = static_cast<float>(i), velocity[batch + i] = 2.0f - static_cast<float>(i);
        before[i] = base[i] = 0.5f * static_cast<float>(i), at[i] = point[i] = 1.0f - static_cast<float>(i);
        outputs[i] = 3.0f, outputs[batch + i] = kNaN;  // this row's replaces the second
    }
    // base, point, the newest output, the one before, two normals; then the passes' weights, and the prediction's.
    std::vector<float> const numbers{1, 0, 0.5f, 0.25f, 0, 2, 0, 1, 0, 0, 0, 0, -1, 0, 3, 1, 0, 0, 1, 0.75f};
    unsigned long long const seeds[]{8, 9};
    Advance const advance{{numbers.data(), kHistory}, velocity.data(), seeds, base.data(), point.data(),
                          outputs.data(), input.data(), predicted.data(), 2, 6, 4, 1, 7, 2, 2};
    host.advance(advance, nullptr);
    for (std::size_t i = 0; i < batch; ++i) {
        std::size_t const e = i % elements;
        float z[4];
        normals(seeds[i / elements], static_cast<unsigned>(e / 4), 7, 1, z);
        float const second = 2.0f - static_cast<float>(i);
        float const v = e < 4 ? 3.0f * second - static_cast<float>(i) : second;
        EXPECT_FLOAT_EQ(outputs[batch + i], v);
        EXPECT_FLOAT_EQ(predicted[i], at[i] + 0.75f * v);
        EXPECT_FLOAT_EQ(base[i], before[i] + 0.5f * v + 0.75f + 2.0f * z[e % 4]);
        EXPECT_EQ(point[i], at[i]);
        EXPECT_EQ(input[i], at[i]);
        EXPECT_EQ(input[batch + i], at[i]);
    }
}

INSTANTIATE_TEST_SUITE_P(Off, KernelsTest, testing::Values(0, 1));

TEST(HostKernels, PixelsAreCroppedRoundedAndClipped) {
    HostDevice host;
    // [1, 2 channels, 2 rows, 3 columns], of which 2 columns are wanted.
    std::vector<float> const picture{-1.0f, 0.0f, 9.0f, 1.0f, 1.5f, 9.0f, -2.0f, kNaN, 9.0f, INFINITY, -0.996f, 9.0f};
    std::vector<std::uint8_t> pixels(8, 99);
    host.to_pixels(picture.data(), pixels.data(), 1, {2, 2, 3}, {2, 2}, nullptr);
    EXPECT_EQ(pixels, (std::vector<std::uint8_t>{0, 0, 128, 0, 255, 255, 255, 1}));
}

TEST(HostKernels, PreviewsAreThreeChannelsScaledUp) {
    HostDevice host;
    std::vector<float> latent{0.0f, 6.0f, -3.0f, -1.5f};
    std::vector<float> picture(24);
    host.latent_preview(latent.data(), picture.data(), 1, {2, 1, 2}, 2, nullptr);
    for (std::size_t c = 0; c < 3; ++c)
        for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(picture[8 * c + i], i % 4 < 2 ? 0.0f : 1.0f);
    picture.resize(6);
    latent = {0.0f, 6.0f, -3.0f, -6.0f, 1.5f, 3.0f, 9.0f, 9.0f};
    host.latent_preview(latent.data(), picture.data(), 1, {4, 1, 2}, 1, nullptr);
    EXPECT_EQ(picture, (std::vector<float>{0.0f, 1.0f, -1.0f, -1.0f, 0.5f, 1.0f}));
}

TEST(HostKernels, WhatIsNotFiniteIsFound) {
    HostDevice host;
    for (float const bad : {kNaN, INFINITY, -INFINITY, 0.0f, std::numeric_limits<float>::max()}) {
        std::vector<float> values(7, 1.0f);
        values[5] = bad;
        std::int32_t flag = 0;
        host.find_not_finite(values.data(), 7, &flag, nullptr);
        EXPECT_EQ(flag, std::isfinite(bad) ? 0 : 1);
    }
}

TEST(HostDevice, MemoryIsAligned) {
    HostDevice host;
    for (std::size_t const size : {0u, 1u, 1000u}) {
        void* const memory = host.allocate("some", size);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0u);
        host.free(memory);
    }
    EXPECT_GT(host.free_memory(), 0u);
    EXPECT_LE(host.free_memory(), host.total_memory());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // whose allocators end the process instead
TEST(HostDevice, SaysWhereThereIsNoMore) {
    HostDevice host;
    int asked = 0;
    host.spare = [&] { return ++asked == 1; };
    EXPECT_THROW(host.allocate("much", std::numeric_limits<std::size_t>::max() / 2), std::bad_alloc);
    EXPECT_EQ(asked, 1);
}
#endif

}  // namespace
}  // namespace fdcn::impl
