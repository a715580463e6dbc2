// The library linked with NVIDIA's own, as far as that goes on any machine: starting, registering, and refusing.
#include <NvInferRuntime.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "../refused.h"
#include "contract.h"
#include "fdcn/fdcn.hpp"
#include "tensorrt/engine/log.h"
#include "tensorrt/engine/plugin.h"
#include "tensorrt/engine/trt_graph.h"
#include "tensorrt/gpu.h"
#include "tensorrt/open.h"

namespace fdcn::impl {
namespace {

namespace fs = std::filesystem;

TEST(Linked, KnowsItsVersionWhole) {
    Installed const found = installed_tensorrt();
    EXPECT_EQ(std::count(found.version.begin(), found.version.end(), '.'), 3) << found.version;
    std::string const built = std::to_string(NV_TENSORRT_MAJOR) + "." + std::to_string(NV_TENSORRT_MINOR) + ".";
    EXPECT_EQ(found.version.rfind(built, 0), 0u) << found.version << " is loaded, built against " << built;
    EXPECT_GE(found.cuda, 12);
}

TEST(Linked, TheOperatorIsRegisteredOnce) {
    register_operator();
    auto* const creator = getPluginRegistry()->getCreator(kName, kVersionText, kDomain);
    ASSERT_NE(creator, nullptr);
    register_operator();
    EXPECT_EQ(getPluginRegistry()->getCreator(kName, kVersionText, kDomain), creator);
}

TEST(Linked, TheFirstErrorIsSaidInOneLineAndOnce) {
    Log& log = Log::get();
    log.why();
    log.log(nvinfer1::ILogger::Severity::kWARNING, "only a warning");
    log.log(nvinfer1::ILogger::Severity::kERROR, "what\n went  wrong");
    log.log(nvinfer1::ILogger::Severity::kINTERNAL_ERROR, "a consequence");
    EXPECT_EQ(log.why(), "what went wrong");
    EXPECT_EQ(log.why(), "it gave no reason");
    log.log(nvinfer1::ILogger::Severity::kERROR, std::string(1000, 'x').c_str());
    EXPECT_EQ(log.why(), std::string(300, 'x'));
}

// TensorRT starts without a driver in some versions, and says why it does not in the others.
TEST(Linked, WhatIsNoEngineIsRefusedWithTheReason) {
    std::shared_ptr<nvinfer1::IRuntime> runtime;
    std::string const unstarted = refused([&] { runtime = open_runtime(); });
    if (runtime == nullptr) {
        EXPECT_EQ(unstarted.rfind("TensorRT does not start: ", 0), 0u) << unstarted;
        EXPECT_EQ(unstarted.find("it gave no reason"), std::string::npos) << unstarted;
        return;
    }
    fs::path const file = fs::temp_directory_path() / ("fdcn-" + std::to_string(std::random_device()()) + ".engine");
    for (std::string const& content : {std::string(), std::string("no engine"), std::string(4096, '\0')}) {
        std::ofstream(file, std::ios::binary) << content;
        std::string const said = refused([&] { TrtGraph("denoiser", file.string(), runtime); });
        EXPECT_EQ(said.rfind("TensorRT cannot load " + file.string() + ": ", 0), 0u) << said;
        EXPECT_EQ(said.find("it gave no reason"), std::string::npos) << said;
    }
    fs::remove(file);
    EXPECT_NE(refused([&] { TrtGraph("denoiser", file.string(), runtime); }).find("it cannot be read"),
              std::string::npos);
}

TEST(Linked, WithoutAGpuTheBackendSaysSo) {
    if (numbered_gpu(std::nullopt, driver())) GTEST_SKIP() << "there is a GPU";
    auto const bundle = std::make_shared<Bundle const>(FDCN_TEST_BUNDLE);
    Options options;
    EXPECT_EQ(open_tensorrt(bundle, options), nullptr);
    options.backend = "tensorrt";
    EXPECT_EQ(refused([&] { open_tensorrt(bundle, options); }),
              "TensorRT needs an NVIDIA GPU, and there is none here; run with --backend onnxruntime");
    options.device = 1;
    EXPECT_EQ(refused([&] { open_tensorrt(bundle, options); }),
              "there is no GPU 1: this machine has no NVIDIA GPU that CUDA sees; leave the device out; or run on the "
              "CPU: --backend onnxruntime");
}

}  // namespace
}  // namespace fdcn::impl
