// The backend for TensorRT whole, from a bundle to pictures, on a simulated GPU: what ONNX Runtime makes of the same.
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

#include "../refused.h"
#include "equipped.h"
#include "fdcn/fdcn.hpp"
#include "simulated_gpu.h"
#include "tensorrt/engine/cuda_device.h"

namespace fdcn {
namespace {

// For a recording that goes on in the background.
constexpr std::chrono::seconds kSoon(60);

void expect_same(Images const& got, Images const& wanted) {
    ASSERT_EQ(got.latent_shape(), wanted.latent_shape());
    auto const shape = got.latent_shape();
    for (std::int64_t i = 0; i < shape[0] * shape[1] * shape[2] * shape[3]; ++i)
        ASSERT_TRUE(std::abs(got.latents()[i] - wanted.latents()[i]) <= 1e-5f) << i;
    for (std::int64_t i = 0; i < got.count() * got.width() * got.height() * got.channels(); ++i)
        ASSERT_LE(std::abs(got.pixels()[i] - wanted.pixels()[i]), 1) << i;
}

Options on(std::string backend) {
    Options options;
    options.backend = std::move(backend);
    return options;
}

// Run until a run is the launch of a graph.
Images replayed(Pipeline const& pipe, Request const& request) {
    auto const end = std::chrono::steady_clock::now() + kSoon;
    for (;;) {
        int const before = simulated::launches();
        Images images = pipe.run(request);
        if (simulated::launches() > before) return images;
        if (std::chrono::steady_clock::now() > end) throw std::runtime_error("no graph was ever launched");
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

class Simulated : public testing::Test {
protected:
    void SetUp() override {
        folder_ = fs::temp_directory_path() / ("fdcn-" + std::to_string(std::random_device()()));
        simulated::set_memory(std::size_t{1} << 28);
        simulated::simulated_driver(13000, 0);
    }
    void TearDown() override {
        fs::remove_all(folder_);
        EXPECT_EQ(simulated::violations(), "");
        EXPECT_EQ(simulated::left(), (std::map<std::string, std::size_t>()));
        EXPECT_EQ(simulated::simulated_contexts(), 0);
    }

    std::string bundle(std::map<std::string, std::string> const& plans = kPlans) const {
        equip(folder_, plans);
        return folder_.string();
    }
    std::string without(std::string text) const {
        for (std::size_t at; (at = text.find(folder_.string())) != std::string::npos;)
            text.replace(at, folder_.string().size(), "B");
        return text;
    }

    fs::path folder_;
};

Request request(std::string const& solver, std::int64_t steps) {
    Request made;
    made.labels = {std::int64_t{0}, std::int64_t{2}};
    made.solver = solver;
    made.steps = steps;
    made.guidance = 2.0;
    return made;
}

TEST_F(Simulated, MakesThePicturesOfTheOtherBackendRowByRowAndAsAGraph) {
    Pipeline const gpu = Pipeline::load(bundle()), cpu = Pipeline::load(FDCN_TEST_BUNDLE, on("onnxruntime"));
    EXPECT_EQ(gpu.backend(), "TensorRT 10.6.0 on Simulated GPU (sm_86), float32 engine, operator of this library");
    for (auto const& [solver, steps] :
         {std::pair<char const*, int>{"euler", 3}, {"adams3", 5}, {"heun-sde", 3}, {"neural", 5}}) {
        Request asked = request(solver, steps);
        expect_same(gpu.run(asked), cpu.run(asked));
        expect_same(replayed(gpu, asked), cpu.run(asked));
        asked.seed = 5;
        asked.guidance = 3.0;
        asked.labels = {std::int64_t{1}, std::int64_t{1}};
        expect_same(replayed(gpu, asked), cpu.run(asked));
    }
}

TEST_F(Simulated, TakesOddSizesPreviewsAndIntervals) {
    Pipeline const gpu = Pipeline::load(bundle()), cpu = Pipeline::load(FDCN_TEST_BUNDLE, on("onnxruntime"));
    Request asked = request("euler", 5);
    asked.width = 11;
    asked.height = 7;
    asked.preview_every = 2;
    asked.guidance_interval = {0.3, 0.7};
    for (int run = 0; run < 3; ++run) {
        Images const got = gpu.run(asked), wanted = cpu.run(asked);
        expect_same(got, wanted);
        ASSERT_EQ(got.previews(), 2);
        for (int i = 0; i < 2 * 11 * 7; ++i) ASSERT_LE(std::abs(got.preview(1)[i] - wanted.preview(1)[i]), 1);
    }
}

TEST_F(Simulated, MorePicturesThanAProfileTakesGoInBatches) {
    Pipeline const gpu = Pipeline::load(bundle()), cpu = Pipeline::load(FDCN_TEST_BUNDLE, on("onnxruntime"));
    Request asked = request("euler", 2);
    asked.count = 5;
    expect_same(gpu.run(asked), cpu.run(asked));
}

TEST_F(Simulated, NoiseAndResultsLieWhereTheyAreWantedAndACallersStreamIsFollowed) {
    Pipeline const cpu = Pipeline::load(FDCN_TEST_BUNDLE, on("onnxruntime"));
    std::vector<float> noise(2 * 8 * 8);
    for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = std::sin(static_cast<float>(i));
    Request asked = request("euler", 3);
    asked.noise = Noise::copied(noise.data(), {2, 1, 8, 8});
    Images const wanted = cpu.run(asked);

    impl::CudaDevice own(*impl::numbered_gpu(0, impl::driver()), *impl::driver());
    auto const current = own.current();
    void* const there = own.allocate("noise", sizeof(float) * noise.size());
    std::vector<float> latents(noise.size());
    {
        Pipeline const gpu = Pipeline::load(bundle());
        expect_same(gpu.run(asked), wanted);
        // What the caller's stream was given comes first, though nobody waits for it.
        own.copy("noise", there, noise.data(), sizeof(float) * noise.size(), impl::Copy::kToDevice, own.stream());
        asked.noise = Noise::borrowed(static_cast<float const*>(there), {2, 1, 8, 8}, true);
        asked.stream = own.stream();
        asked.on_device = true;
        for (int run = 0; run < 3; ++run) {
            Images const images = run < 2 ? gpu.run(asked) : replayed(gpu, asked);
            ASSERT_TRUE(images.on_device());
            ASSERT_TRUE(simulated::inside(images.latents(), sizeof(float) * latents.size()));
            own.copy("latents", latents.data(), images.latents(), sizeof(float) * latents.size(), impl::Copy::kToHost,
                     own.stream());
            own.synchronize("reading");
            for (std::size_t i = 0; i < latents.size(); ++i) ASSERT_EQ(latents[i], wanted.latents()[i]) << i;
        }
        asked.noise = Noise::borrowed(noise.data(), {2, 1, 8, 8}, true);
        EXPECT_EQ(refused([&] { gpu.run(asked); }),
                  "the noise is on the CPU; wanted float32 [2, 1, 8, 8] on GPU 0, contiguous");
    }
    own.free(there);
}

TEST_F(Simulated, ResultsOnTheDeviceOutliveThePipeline) {
    Request asked = request("euler", 2);
    asked.on_device = true;
    auto const images = std::make_unique<Images>(Pipeline::load(bundle()).run(asked));
    EXPECT_TRUE(simulated::inside(images->pixels(), 2 * 8 * 8));
}

TEST_F(Simulated, WarmingUpRecords) {
    Pipeline const gpu = Pipeline::load(bundle());
    gpu.warm_up({{8, 8, 2}});
    int const before = simulated::launches();
    gpu.run({});
    Request asked;
    asked.labels = {std::int64_t{1}, std::int64_t{2}};
    gpu.run(asked);
    EXPECT_EQ(simulated::launches(), before + 1);
}

TEST_F(Simulated, WhereAGraphIsRefusedItGoesOnRowByRow) {
    simulated::refuse_capture(true);
    Pipeline const gpu = Pipeline::load(bundle()), cpu = Pipeline::load(FDCN_TEST_BUNDLE, on("onnxruntime"));
    gpu.warm_up({{8, 8, 2}});
    int const before = simulated::launches();
    for (int run = 0; run < 3; ++run) expect_same(gpu.run(request("euler", 3)), cpu.run(request("euler", 3)));
    EXPECT_EQ(simulated::launches(), before);
    simulated::refuse_capture(false);
}

TEST_F(Simulated, ManyThreadsGetTheirOwn) {
    Pipeline const gpu = Pipeline::load(bundle()), cpu = Pipeline::load(FDCN_TEST_BUNDLE, on("onnxruntime"));
    std::vector<Future> futures;
    for (int i = 0; i < 24; ++i) {
        Request asked = request("euler", 2 + i % 2);
        asked.seed = static_cast<std::uint64_t>(i);
        futures.push_back(gpu.submit(asked));
    }
    for (int i = 0; i < 24; ++i) {
        Request asked = request("euler", 2 + i % 2);
        asked.seed = static_cast<std::uint64_t>(i);
        expect_same(futures[static_cast<std::size_t>(i)].get(), cpu.run(asked));
    }
}

TEST_F(Simulated, SaysOutsideWhichProfileASizeLies) {
    Pipeline const gpu = Pipeline::load(bundle());
    Request asked = request("euler", 2);
    asked.width = 40;
    EXPECT_EQ(without(refused([&] { gpu.run(asked); })),
              "40x8x4 (width, height, batch) is outside every profile of the float32 engine for sm_86; the nearest is "
              "2x2x1:8x8x2:16x16x8. Add one: fdcn build B --profile 2x2x1:8x8x2:16x16x8 --profile "
              "40x8x1:40x8x4:40x8x4 --plugin library");
    EXPECT_EQ(gpu.run(request("euler", 2)).count(), 2);
}

// The simulated GPU as the library sees it, with this much memory free.
struct Room {
    Room() {
        impl::CudaDevice own(*impl::numbered_gpu(0, impl::driver()), *impl::driver());
        free = own.free_memory();
        total = own.total_memory();
    }
    void leave(std::size_t bytes) const { simulated::set_memory(total - free + bytes); }

    std::size_t free, total;
};

TEST_F(Simulated, PreparedShapesMakeRoomAndThenMemoryIsShort) {
    Pipeline const gpu = Pipeline::load(bundle());
    gpu.warm_up({{8, 8, 1}});  // which takes the cache of modulations, too
    Room const before;
    gpu.warm_up({{16, 16, 1}});
    Room const after;
    std::size_t const one = before.free - after.free;
    after.leave(2 * one);  // the newest may still be recorded, and cannot be dropped
    for (int side = 10; side < 24; ++side) {
        Request asked = request("euler", 2);
        asked.labels = {std::int64_t{0}};
        asked.width = asked.height = 10 + side % 7;
        EXPECT_EQ(gpu.run(asked).width(), asked.width);
    }
    simulated::set_memory(after.total - before.free);
    Request asked = request("euler", 2);
    asked.width = asked.height = 16;
    std::string const said = refused([&] { gpu.run(asked); });
    EXPECT_EQ(said.rfind("the GPU's memory does not suffice for 2 images of 16x16: ", 0), 0u) << said;
}

TEST_F(Simulated, AnEngineThatTensorRTRefusesSaysWhy) {
    auto plans = kPlans;
    plans["denoiser"] = "damaged";
    std::string const path = bundle(plans);
    EXPECT_EQ(without(refused([&] { Pipeline::load(path); })),
              "TensorRT cannot load B/engine-0/denoiser.engine: Serialization assertion stdVersionRead == 1 failed.; "
              "build it again, or run with --backend onnxruntime");
}

TEST_F(Simulated, AnEngineIsWhatTheManifestSays) {
    auto plans = kPlans;
    plans["denoiser"] = "denoiser 1 2 2 2 8 8 8 16 18";
    std::string const path = bundle(plans);
    EXPECT_EQ(without(refused([&] { Pipeline::load(path); })),
              "the engine in B/engine-0/denoiser.engine has profiles 2x2x1:8x8x2:18x16x8, the manifest says "
              "2x2x1:8x8x2:16x16x8; build it again: fdcn build B --profile 2x2x1:8x8x2:16x16x8 --plugin library");
}

TEST_F(Simulated, ADamagedFileIsRefusedBeforeTensorRTSeesIt) {
    std::string const path = bundle();
    std::ofstream(folder_ / "engine-0" / "denoiser.engine", std::ios::app) << "x";
    EXPECT_NE(refused([&] { Pipeline::load(path); }).find("bytes, the manifest says"), std::string::npos);
}

TEST_F(Simulated, WithoutRoomForTheActivationsTheDeviceSaysSo) {
    std::string const path = bundle();
    simulated::set_memory(100);
    EXPECT_EQ(refused([&] { Pipeline::load(path); }),
              "the GPU's memory does not suffice for the network's activations: 0.0 MB are needed, 0.0 MB are free; "
              "free some, or take a smaller size or count");
}

TEST_F(Simulated, WithoutAGpuAutoTakesTheOtherBackend) {
    simulated::simulated_driver(13000, 100);
    EXPECT_EQ(Pipeline::load(bundle()).backend().rfind("ONNX Runtime", 0), 0u);
    EXPECT_EQ(refused([&] { Pipeline::load(folder_.string(), on("tensorrt")); }),
              "TensorRT needs an NVIDIA GPU, and there is none here; run with --backend onnxruntime");
}

TEST_F(Simulated, ABrokenOrOldDriverIsSaid) {
    std::string const path = bundle();
    simulated::simulated_driver(13000, 999);
    EXPECT_EQ(refused([&] { Pipeline::load(path); }),
              "NVIDIA's driver does not work (cuInit: unknown error (999)); install it again, or restart the machine; "
              "or run on the CPU: --backend onnxruntime");
    simulated::simulated_driver(12020, 0);
    EXPECT_NE(refused([&] { Pipeline::load(path); }).find("needs a driver for CUDA 13"), std::string::npos);
}

}  // namespace
}  // namespace fdcn
