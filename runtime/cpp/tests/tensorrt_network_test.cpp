// An engine as the sampler sees it, with graphs that only say which sizes they take.
#include "tensorrt/network.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <utility>

#include "refused.h"
#include "sampler/host_device.h"
#include "tensorrt/profiles.h"

namespace fdcn::impl {
namespace {

class Sizes final : public ProfiledGraph {
public:
    explicit Sizes(std::map<std::string, std::vector<Range>> ranges) : ranges_(std::move(ranges)) {}

    std::vector<std::string> const& inputs() const override { return inputs_; }
    std::vector<std::string> const& outputs() const override { return outputs_; }
    Shape shape(std::string const& tensor) const override {
        return tensor == "modulation" ? Shape{-1, 2, 6, 8} : Shape{-1, 2, 8};
    }
    std::unique_ptr<Context> context() override { throw std::logic_error("nothing is run here"); }
    std::vector<Range> ranges(std::string const& input) const override { return ranges_.at(input); }

private:
    std::map<std::string, std::vector<Range>> ranges_;
    std::vector<std::string> inputs_, outputs_{"modulation", "final"};
};

// So much memory, of which half is free.
class SmallDevice final : public HostDevice {
public:
    explicit SmallDevice(std::size_t memory) : memory_(memory) {}
    std::size_t free_memory() override { return memory_ / 2; }
    std::size_t total_memory() override { return memory_; }

private:
    std::size_t memory_;
};

// Latents of one channel, as they come to graphs: rows, height and width.
Range range(Shape min, Shape opt, Shape max) {
    auto const latent = [](Shape const& of) { return Shape{of.at(0), 1, of.at(1), of.at(2)}; };
    return {latent(min), latent(opt), latent(max)};
}

Profile const first{{8, 8, 1}, {28, 28, 2}, {56, 56, 4}}, second{{8, 8, 1}, {84, 28, 2}, {84, 84, 2}};

class EngineTest : public testing::Test {
protected:
    EngineTest() {
        Target target{};
        target.flavour = "tensorrt-rtx";
        target.compute = {"sm_86", "sm_89"};
        target.precision = "float16";
        target.profiles = {first, second};
        target.plugin.kind = "library";
        target.workspace = std::int64_t{1} << 30;
        engine_.key = "key";
        engine_.target = target;
        for (char const* name : {"conditioner", "denoiser", "denoiser-2"})
            engine_.graphs[name] = {"denoiser.engine", {}};
    }

    ProfiledGraphs graphs() const {
        ProfiledGraphs made;
        Range const numbers{{1}, {16}, {64}};
        made["conditioner"] = std::make_unique<Sizes>(
            std::map<std::string, std::vector<Range>>{{"t", {numbers}}, {"label", {{{1}, {2}, {16}}}}});
        for (char const* name : {"denoiser", "denoiser-2"})
            made[name] = std::make_unique<Sizes>(std::map<std::string, std::vector<Range>>{
                {"latent", {range({1, 8, 8}, {2, 28, 28}, {4, 56, 56}), range({1, 8, 8}, {2, 28, 84}, {2, 84, 84})}}});
        return made;
    }

    EngineNetwork network() { return {bundle_, engine_, "an engine", device_, graphs()}; }

    // A batch of so many latents of (height, width), with two passes in its second row.
    static Batch batch(std::int64_t images, std::array<std::int64_t, 2> latent) {
        SamplerPlan plan{};
        PlanRow once{};
        once.graph = "denoiser";
        once.passes.resize(1);
        PlanRow twice = once;
        twice.graph = "denoiser-2";
        twice.passes.resize(2);
        plan.rows = {once, twice};
        plan.history = 1;
        Batch made{};
        made.plan = std::make_shared<SamplerPlan const>(plan);
        made.labels.resize(static_cast<std::size_t>(images));
        made.seeds.resize(static_cast<std::size_t>(images));
        made.latent = {1, latent[0], latent[1]};
        made.size = {latent[1], latent[0]};
        return made;
    }

    std::shared_ptr<Bundle const> bundle_ = std::make_shared<Bundle const>(FDCN_TEST_BUNDLE);
    std::shared_ptr<Device> device_ = std::make_shared<SmallDevice>(std::size_t{1} << 30);
    Engine engine_{};
};

std::string const again =
    "fdcn build " FDCN_TEST_BUNDLE
    " --fp16 --gpu sm_86,sm_89 --profile 8x8x1:28x28x2:56x56x4 --profile 8x8x1:84x28x2:84x84x2";

TEST_F(EngineTest, SaysOutsideWhichProfilesASizeLies) {
    EngineNetwork one = network();
    EXPECT_FALSE(one.fit("denoiser", 2, {85, 28}));
    EXPECT_EQ(std::string(one.outside("denoiser", 2, {85, 28}).what()),
              "28x85x2 (width, height, batch) is outside every profile of the float16 engine for sm_86, sm_89; the "
              "nearest is 8x8x1:84x28x2:84x84x2. Add one: " +
                  again + " --profile 28x85x1:28x85x2:28x85x2 --plugin library --workspace 1024");
}

TEST_F(EngineTest, ProfilesAreThoseOfTheManifest) {
    engine_.target->profiles = {first};
    EXPECT_EQ(refused([&] { network(); }),
              "the engine in " FDCN_TEST_BUNDLE
              "/denoiser.engine has profiles 8x8x1:28x28x2:56x56x4 8x8x1:84x28x2:84x84x2, the manifest says "
              "8x8x1:28x28x2:56x56x4; build it again: fdcn build " FDCN_TEST_BUNDLE
              " --fp16 --gpu sm_86,sm_89 --profile 8x8x1:28x28x2:56x56x4 --plugin library --workspace 1024");
    engine_.target->profiles.clear();
    EXPECT_NE(refused([&] { network(); }).find("the manifest says none;"), std::string::npos);
}

TEST_F(EngineTest, EveryGraphOfTheTrajectoryHasTheSameProfiles) {
    engine_.step_groups = {{0.5, "denoiser"}, {1.0, "denoiser-2"}};
    network();
    engine_.graphs.erase("denoiser-2");
    EXPECT_EQ(refused([&] { engine_files(*bundle_, engine_); }),
              "engine key of " FDCN_TEST_BUNDLE " lacks a graph; build it again: " + again +
                  " --plugin library --workspace 1024");
}

TEST_F(EngineTest, AsManyAreSampledTogetherAsAProfileTakes) {
    EngineNetwork one = network();
    EXPECT_EQ(one.together(batch(1, {28, 28})), 2);
    EXPECT_EQ(one.together(batch(9, {84, 84})), 1);
    EXPECT_EQ(refused([&] { one.together(batch(3, {85, 28})); }),
              std::string(one.outside("denoiser", 6, {85, 28}).what()));
}

TEST_F(EngineTest, KeepsAPartOfTheMemory) {
    constexpr std::int64_t row = 4 * (2 * 6 * 8 + 2 * 8);
    EngineNetwork one = network();
    auto const limits = one.conditioning();
    EXPECT_EQ(limits.kept, (std::int64_t{1} << 26) / row);
    EXPECT_EQ(limits.times, 64);
    EXPECT_EQ(limits.classes, 16);
    EXPECT_EQ(limits.made, 64 * 16);
    EXPECT_EQ(one.budget(), std::size_t{1} << 27);
}

TEST_F(EngineTest, OneRunsModulationsAreKeptHoweverLittleMemoryThereIs) {
    device_ = std::make_shared<SmallDevice>(1024);
    EXPECT_EQ(network().conditioning().kept, 4);
}

}  // namespace
}  // namespace fdcn::impl
