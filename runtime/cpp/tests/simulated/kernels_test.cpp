// kernels.cu on a CPU, thread by thread (tests/plugins/emulator of the repository), beside the host's kernels: each
// launch gives the kernel its arguments, over sizes that are multiples of four and others.
#include "tensorrt/engine/kernels.cu"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "sampler/host_device.h"

namespace fdcn::impl {
namespace {

constexpr std::int64_t kImages = 3, kHistory = 2;
constexpr int kRowPasses = 2, kNextPasses = 3;

std::vector<float> random(std::int64_t count) {
    static std::mt19937 generator(0);
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = std::normal_distribution<float>()(generator);
    return values;
}

// What a trajectory has in memory.
struct State {
    explicit State(std::int64_t elements)
        : elements(elements),
          noise(random(kImages * elements)),
          velocity(random(kRowPasses * kImages * elements)),
          numbers(random(2 * (kHistory + 4) + 2 * kPasses + 2)),
          base(random(kImages * elements)),
          point(random(kImages * elements)),
          outputs(random(kHistory * kImages * elements)),
          input(random(kNextPasses * kImages * elements)),
          predicted(random(kImages * elements)) {}

    Advance advance() {
        return {{numbers.data(), kHistory}, velocity.data(), seeds.data(), base.data(), point.data(), outputs.data(),
                input.data(), predicted.data(), kImages, elements, elements / 2, 1, 4, kRowPasses, kNextPasses};
    }
    bool operator==(State const& other) const {
        return base == other.base && point == other.point && outputs == other.outputs && input == other.input &&
               predicted == other.predicted;
    }

    std::int64_t elements;
    std::vector<unsigned long long> seeds{1, ~0ull, 7};
    std::vector<float> noise, velocity, numbers, base, point, outputs, input, predicted;
};

class Kernels : public testing::TestWithParam<std::int64_t> {
protected:
    HostDevice host_;
};

TEST_P(Kernels, Begin) {
    State device(GetParam()), host = device;
    for (bool const drawn : {false, true}) {
        auto const noise = [drawn](State const& state) { return drawn ? nullptr : state.noise.data(); };
        ASSERT_EQ(kernels::begin(noise(device), device.seeds.data(), device.base.data(), device.point.data(),
                                 device.input.data(), kImages, device.elements, kNextPasses, nullptr),
                  cudaSuccess);
        host_.begin(noise(host), host.seeds.data(), host.base.data(), host.point.data(), host.input.data(), kImages,
                    host.elements, kNextPasses, nullptr);
        EXPECT_TRUE(device == host);
    }
}

TEST_P(Kernels, Advance) {
    State device(GetParam()), host = device;
    ASSERT_EQ(kernels::advance(device.advance(), nullptr), cudaSuccess);
    host_.advance(host.advance(), nullptr);
    EXPECT_TRUE(device == host);
}

TEST_P(Kernels, MovesRows) {
    std::int64_t const width = GetParam();
    std::vector<std::int32_t> const numbers{2, 0, -1, 4};
    std::vector<float> const source = random(5 * width);
    for (bool const scatter : {false, true}) {
        std::vector<float> device = random(5 * width), host = device;
        ASSERT_EQ(kernels::move_rows(numbers.data(), source.data(), device.data(), 4, width, scatter, nullptr),
                  cudaSuccess);
        if (scatter)
            host_.scatter(numbers.data(), source.data(), host.data(), 4, width, nullptr);
        else
            host_.gather(numbers.data(), source.data(), host.data(), 4, width, nullptr);
        EXPECT_EQ(device, host);
    }
}

TEST_P(Kernels, Pictures) {
    std::array<std::int64_t, 3> const shape{2, 4, GetParam()};
    std::int64_t const pixels = kImages * 2 * 3 * (GetParam() - 1), shown = kImages * 3 * 4 * GetParam() * 4;
    std::vector<float> const picture = random(kImages * 2 * 4 * GetParam());
    std::vector<std::uint8_t> device(static_cast<std::size_t>(pixels)), host = device;
    ASSERT_EQ(kernels::to_pixels(picture.data(), device.data(), kImages, shape, {GetParam() - 1, 3}, nullptr),
              cudaSuccess);
    host_.to_pixels(picture.data(), host.data(), kImages, shape, {GetParam() - 1, 3}, nullptr);
    EXPECT_EQ(device, host);
    std::vector<float> preview(static_cast<std::size_t>(shown)), wanted = preview;
    ASSERT_EQ(kernels::latent_preview(picture.data(), preview.data(), kImages, shape, 2, nullptr), cudaSuccess);
    host_.latent_preview(picture.data(), wanted.data(), kImages, shape, 2, nullptr);
    EXPECT_EQ(preview, wanted);
}

TEST_P(Kernels, FindsWhatIsNotFinite) {
    std::vector<float> values = random(GetParam());
    std::int32_t flag = 0;
    ASSERT_EQ(kernels::find_not_finite(values.data(), GetParam(), &flag, nullptr), cudaSuccess);
    EXPECT_EQ(flag, 0);
    values.back() = std::numeric_limits<float>::quiet_NaN();
    ASSERT_EQ(kernels::find_not_finite(values.data(), GetParam(), &flag, nullptr), cudaSuccess);
    EXPECT_EQ(flag, 1);
}

TEST_P(Kernels, NothingIsLaunchedForNothing) {
    EXPECT_EQ(kernels::find_not_finite(nullptr, 0, nullptr, nullptr), cudaSuccess);
    EXPECT_EQ(kernels::move_rows(nullptr, nullptr, nullptr, 0, GetParam(), false, nullptr), cudaSuccess);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Kernels, testing::Values(5, 64, 403));

}  // namespace
}  // namespace fdcn::impl
