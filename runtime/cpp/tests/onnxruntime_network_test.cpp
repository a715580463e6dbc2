// ONNX Runtime on the tests' own bundle: one block, one channel, three classes, 8x8 pixels.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "onnxruntime/integer_products.h"
#include "onnxruntime/network.h"
#include "refused.h"
#include "sampler/sampler.h"
#include "text/file.h"

namespace fdcn::impl {
namespace {

std::shared_ptr<Bundle const> bundle() { return std::make_shared<Bundle const>(FDCN_TEST_BUNDLE); }

Batch batch_of(Manifest const& m, std::vector<std::int64_t> labels, std::int64_t width, std::int64_t height) {
    PlanSettings settings;
    settings.solver = "euler";
    settings.steps = 3;
    settings.blocks = m.model.blocks;
    settings.guidance.scale = 2.0;
    Batch batch;
    batch.plan = std::make_shared<SamplerPlan const>(sampler_plan(settings));
    batch.null = m.model.classes;
    batch.latent = {m.model.channels, height, width};
    batch.size = {width, height};
    for (std::size_t i = 0; i < labels.size(); ++i) batch.seeds.push_back(i);
    batch.labels = std::move(labels);
    return batch;
}

void nothing(std::int64_t) {}

TEST(OnnxNetwork, SaysWhatRuns) {
    OnnxNetwork network(bundle());
    EXPECT_EQ(network.name(),
              "ONNX Runtime " + onnxruntime_version() + " on the CPU, portable graphs, native operator");
    EXPECT_TRUE(network.has("denoiser"));
    EXPECT_FALSE(network.has("denoiser-2"));
    EXPECT_EQ(network.graph("denoiser").inputs(),
              (std::vector<std::string>{"latent", "modulation", "final", "s_max"}));
}

TEST(OnnxNetwork, ShapesOfOutputsFollowFromTheInputs) {
    OnnxNetwork network(bundle());
    auto const conditioner = network.graph("conditioner").context();
    conditioner->reshape(0, {{"t", {3}}, {"label", {5}}}, nullptr);
    Shape wanted = network.graph("conditioner").shape("modulation");
    wanted[0] = 15;
    EXPECT_EQ(conditioner->shape("modulation"), wanted);
    auto const denoiser = network.graph("denoiser").context();
    denoiser->reshape(0, {{"latent", {2, 1, 6, 4}}}, nullptr);
    EXPECT_EQ(denoiser->shape("velocity"), (Shape{2, 1, 6, 4}));
    if (!network.has("decoder")) return;
    auto const decoder = network.graph("decoder").context();
    decoder->reshape(0, {{"latent", {2, 1, 6, 4}}}, nullptr);
    EXPECT_EQ(decoder->shape("pixels"), (Shape{2, 1, 6, 4}));
}

TEST(OnnxNetwork, AnImageDoesNotDependOnItsBatchMates) {
    OnnxNetwork network(bundle());
    Sampler sampler(network);
    for (std::int64_t const width : {8, 14}) {
        Batch const both = batch_of(network.manifest(), {0, 2}, width, 6);
        Sampled const together = sampler.sample(both, nothing);
        std::size_t const elements = static_cast<std::size_t>(width) * 6;
        for (std::size_t image = 0; image < 2; ++image) {
            Batch alone = batch_of(network.manifest(), {both.labels[image]}, width, 6);
            alone.seeds = {both.seeds[image]};
            Sampled const one = sampler.sample(alone, nothing);
            for (std::size_t i = 0; i < elements; ++i)
                // ONNX Runtime's products may take other kernels for other row counts.
                ASSERT_LE(std::abs(one.latents.get()[i] - together.latents.get()[image * elements + i]), 1e-5f);
        }
    }
}

TEST(OnnxNetwork, SamplesTogetherWhatFillsAnEvaluation) {
    OnnxNetwork network(bundle());
    Manifest const& m = network.manifest();
    std::int64_t const tokens = 8 * 8 / (m.model.patch * m.model.patch) * 2;
    EXPECT_EQ(network.together(batch_of(m, {0}, 8, 8)), 4096 / tokens);
    EXPECT_EQ(network.together(batch_of(m, {0}, 512, 512)), 1);
}

TEST(OnnxNetwork, RefusesWhatNeedsADevice) {
    OnnxNetwork network(bundle());
    Batch const plain = batch_of(network.manifest(), {0}, 8, 8);
    std::vector<Batch> impossible(3, plain);
    impossible[0].on_device = true;
    impossible[1].stream = nullptr;
    impossible[2].noise = Noise{nullptr, {1, 1, 8, 8}, true};
    for (Batch const& batch : impossible)
        EXPECT_EQ(refused([&] { network.together(batch); }),
                  network.name() + " works in the host's memory: leave on_device and stream out, and give the noise "
                                   "as an array there, as torch's .cpu() does");
}

TEST(OnnxNetwork, RefusesWhatNeedsMoreMemoryThanIsFree) {
    OnnxNetwork network(bundle());
    for (std::int64_t const side : {std::int64_t{100'000}, std::int64_t{999'999'998}}) {
        std::string const text = refused([&] { network.together(batch_of(network.manifest(), {0}, side, side)); });
        EXPECT_EQ(text.find(std::to_string(side) + "x" + std::to_string(side) + " needs about "), 0u) << text;
        EXPECT_NE(text.find(" are free; choose a smaller size"), std::string::npos) << text;
    }
}

// Bytes of memory that this process holds.
std::int64_t resident() {
    std::int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * sysconf(_SC_PAGESIZE);
}

TEST(OnnxNetwork, GivesBackWhatALargePictureTook) {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer keeps what is freed";
#endif
    OnnxNetwork network(bundle());
    Sampler sampler(network);
    sampler.sample(batch_of(network.manifest(), {0}, 8, 8), nothing);
    std::int64_t const before = resident();
    sampler.sample(batch_of(network.manifest(), {0}, 512, 512), nothing);
    EXPECT_LT(resident() - before, 200'000'000);  // of some 500 that it takes
}

TEST(OnnxNetwork, RefusesTheFileOfAnotherGraph) {
    auto const folder = std::filesystem::path(testing::TempDir()) / "fdcn-swapped";
    std::filesystem::remove_all(folder);
    std::filesystem::copy(FDCN_TEST_BUNDLE, folder, std::filesystem::copy_options::recursive);
    std::string text = read_file((folder / "manifest.json").string());
    std::string const decoder = "/decoder.onnx\"", other = "/denoiser.onnx\"";
    std::size_t const graphs = text.find("\"graphs\""), place = text.find(decoder, graphs);
    ASSERT_NE(place, text.npos);
    std::ofstream(folder / "manifest.json") << text.replace(place, decoder.size(), other);
    OnnxNetwork network(std::make_shared<Bundle const>(folder.string()));
    std::string const said = refused([&] { network.graph("decoder"); });
    EXPECT_NE(said.find("denoiser.onnx is no decoder: it takes latent, modulation, final, s_max and gives velocity;"),
              said.npos)
        << said;
    std::filesystem::remove_all(folder);
}

TEST(OnnxGraph, SaysWhatOnnxRuntimeSaysOfARun) {
    OnnxNetwork network(bundle());
    auto const conditioner = network.graph("conditioner").context();
    alignas(64) float t[2]{}, modulation[8192], final[2048];
    alignas(64) std::int64_t label[2]{77, 0};  // no such class
    conditioner->reshape(0, {{"t", {1}}, {"label", {1}}}, nullptr);
    conditioner->bind("t", t);
    conditioner->bind("label", label);
    conditioner->bind("modulation", modulation);
    conditioner->bind("final", final);
    std::string const text = refused([&] { conditioner->enqueue(nullptr); });
    EXPECT_EQ(text.find("ONNX Runtime failed in the conditioner with t [1], label [1]: [ONNXRuntimeError] : "), 0u)
        << text;
}

TEST(OnnxGraph, SaysWhatOnnxRuntimeSaysOfAFile) {
    auto const path = std::filesystem::path(testing::TempDir()) / "fdcn-no-graph.onnx";
    std::ofstream(path) << "this is no graph";
    Ort::Env const environment = new_environment();
    std::string const text =
        refused([&] { OnnxGraph("denoiser", path.string(), environment, Ort::SessionOptions(), 1); });
    std::filesystem::remove(path);
    EXPECT_EQ(text, "ONNX Runtime " + onnxruntime_version() + " cannot load " + path.string() +
                        " ([ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from " + path.string() +
                        " failed:Protobuf parsing failed.)");
}

TEST(IntegerProducts, AreExactWhereTheProcessorHasAnInstructionForThem) {
    bool const found = integer_products_saturate(new_environment());
    bool exact = false;
#if defined(__x86_64__)
    exact = __builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx2");
#endif
    EXPECT_FALSE(exact && found);
}

}  // namespace
}  // namespace fdcn::impl
