// Which engine a machine takes, over manifests and machines made by hand; the rest is compared with Python in
// tests/runtime/cpp.
#include "tensorrt/choice.h"

#include <gtest/gtest.h>

#include "contract.h"
#include "fdcn/fdcn.hpp"

namespace fdcn::impl {
namespace {

Machine const machine{{"NVIDIA A10", 86, 13000, "580.65.06"}, {"tensorrt", "10.6.0.26", 13}};

Engine engine(std::string key) {
    Target target{};
    target.flavour = "tensorrt";
    target.version = "10.6.0";
    target.compute = {"sm_86"};
    target.cuda = "12";
    target.precision = "float16";
    target.plugin = {"library", kVersion, std::nullopt, std::nullopt};
    Engine made{};
    made.backend = "tensorrt";
    made.key = std::move(key);
    made.target = target;
    return made;
}

Obstacle met(Engine const& engine, Machine const& where = machine) {
    auto const found = obstacle("model", engine, where);
    EXPECT_TRUE(found);
    return found.value_or(Obstacle{});
}

TEST(Choice, TheNewestThatLoadsIsTaken) {
    Engine elsewhere = engine("elsewhere"), other = engine("other");
    elsewhere.target->compute = {"sm_90"};
    other.backend = "onnxruntime";
    std::vector<Engine> const engines{engine("older"), engine("newer"), elsewhere, other};
    EXPECT_EQ(choose("model", engines, machine).key, "newer");
}

TEST(Choice, WhereNoneLoadsEachGetsItsReasonAndAMendIsSaidOnce) {
    Engine old = engine("old"), elsewhere = engine("elsewhere");
    old.target->version = "10.5.0";
    elsewhere.target->compute = {"sm_80", "sm_90"};
    try {
        choose("model", {old, elsewhere}, machine);
        FAIL() << "one was taken";
    } catch (Error const& error) {
        EXPECT_STREQ(error.what(),
                     "model holds no TensorRT engine that this machine (NVIDIA A10 (sm_86)) can load: "
                     "elsewhere is for sm_80, sm_90, this GPU is sm_86; "
                     "old needs tensorrt 10.5.0, here is 10.6.0. "
                     "build one here: fdcn build model --fp16; or run on the CPU: --backend onnxruntime");
    }
}

TEST(Choice, ABundleWithoutEnginesSaysHowToBuildOne) {
    try {
        choose("model", {}, machine);
        FAIL() << "one was taken";
    } catch (Error const& error) {
        EXPECT_STREQ(error.what(),
                     "model holds no TensorRT engine for this machine's NVIDIA A10 (sm_86); build one here: fdcn build "
                     "model --fp16; or run on the CPU: --backend onnxruntime");
    }
}

TEST(Choice, AVersionIsComparedAsFarAsItIsTold) {
    Engine whole = engine("whole");
    whole.target->version = "10.6.0.26";
    EXPECT_FALSE(obstacle("model", whole, machine));
    whole.target->version = "10.6.0.27";
    EXPECT_EQ(met(whole).why, "needs tensorrt 10.6.0.27, here is 10.6.0.26");
    whole.target->version = "10.6.0.26.1";
    EXPECT_EQ(met(whole).why, "needs tensorrt 10.6.0.26.1, here is 10.6.0.26");
    whole.target->version = "10.6";
    EXPECT_EQ(met(whole).why, "needs tensorrt 10.6, here is 10.6.0");
}

TEST(Choice, ThisLibraryHasOneFlavour) {
    Engine rtx = engine("rtx"), unknown = engine("unknown");
    rtx.target->flavour = "tensorrt-rtx";
    unknown.target->flavour = "tensorrt-10";
    EXPECT_EQ(met(rtx).why, "needs tensorrt-rtx 10.6.0, which does not load here");
    EXPECT_EQ(met(rtx).mend, "take a libfdcn that was built with tensorrt-rtx");
    EXPECT_EQ(met(unknown).mend, "this fdcn knows tensorrt, tensorrt-rtx: update fdcn");
}

TEST(Choice, AnOldDriverIsNamedForTensorRTsCudaAndForThisLibrarys) {
    Machine old = machine;
    old.gpu.cuda = 12020;
    old.gpu.driver = "535.54.03";
    Engine wants = engine("wants");
    EXPECT_EQ(met(wants, old).why, "needs a driver for CUDA 13, here 535.54.03 runs CUDA up to 12.2");
    EXPECT_EQ(met(wants, old).mend, "update NVIDIA's driver");
    old.installed.cuda = 12;
    EXPECT_FALSE(obstacle("model", wants, old));
    wants.target->cuda = "13.0";
    EXPECT_EQ(met(wants, old).why, "needs a driver for CUDA 13, here 535.54.03 runs CUDA up to 12.2");
    wants.target->cuda = "";
    EXPECT_FALSE(obstacle("model", wants, old));
}

TEST(Choice, TheOperatorIsOfThisVersion) {
    Engine other = engine("other");
    other.target->plugin.version = 9;
    EXPECT_EQ(met(other).why, "needs version 9 of the operator, this fdcn has " + std::to_string(kVersion));
    other.target->plugin.kind = "none";
    EXPECT_FALSE(obstacle("model", other, machine));
    other.target->plugin.version = kVersion;
    other.target->plugin.kind = "triton";
    EXPECT_NE(met(other).why.find("needs the operator's plugin"), std::string::npos);
}

TEST(Choice, WhatIsBuiltInsteadHasAPrecisionThatTheGpuHas) {
    Engine fp8 = engine("fp8"), exact = engine("exact"), unsaid = engine("unsaid");
    fp8.target->precision = "fp8";
    fp8.target->compute = exact.target->compute = {"sm_90"};
    exact.target->precision = "float32";
    unsaid.target.reset();
    EXPECT_EQ(met(fp8).mend, "build one here: fdcn build model --fp16");
    EXPECT_EQ(met(exact).mend, "build one here: fdcn build model");
    EXPECT_EQ(met(unsaid).why, "does not say what it was built with");
}

}  // namespace
}  // namespace fdcn::impl
