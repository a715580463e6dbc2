// What the driver tells of GPUs, the driver being a table of functions made by hand.
#include "tensorrt/gpu.h"

#include <gtest/gtest.h>

#include <cstring>

#include "fdcn/fdcn.hpp"

namespace fdcn::impl {
namespace {

// What the functions below say; they are plain functions, as the driver's are.
int init_status, devices, name_status;

Driver machine(int status, int count, int naming = 0) {
    init_status = status;
    devices = count;
    name_status = naming;
    Driver driver{};
    driver.init = [](unsigned) { return init_status; };
    driver.device_count = [](int* found) { return *found = devices, 0; };
    driver.version = [](int* version) { return *version = 13010, 0; };
    driver.device = [](int* device, int index) { return *device = 100 + index, 0; };
    driver.device_name = [](char* name, int size, int device) {
        std::strncpy(name, device == 100 ? "NVIDIA A10" : "NVIDIA L4", static_cast<std::size_t>(size));
        return name_status;
    };
    driver.device_attribute = [](int* value, int attribute, int device) {
        return *value = attribute == 75 ? 8 : device == 100 ? 6 : 9, 0;
    };
    driver.error_text = [](int status, char const** text) {
        return *text = status == 999 ? "unknown error" : nullptr, 0;
    };
    return driver;
}

std::string refusal(std::optional<int> index, Driver const* driver) {
    try {
        numbered_gpu(index, driver);
    } catch (Error const& error) {
        return error.what();
    }
    return "";
}

TEST(Gpu, TheFirstIsTakenByDefault) {
    Driver const two = machine(0, 2);
    auto const first = numbered_gpu(std::nullopt, &two), second = numbered_gpu(1, &two);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->name, "NVIDIA A10");
    EXPECT_EQ(first->architecture(), "sm_86");
    EXPECT_EQ(first->newest_cuda(), "13.1");
    EXPECT_EQ(second->name, "NVIDIA L4");
    EXPECT_EQ(second->index, 1);
}

TEST(Gpu, AMachineWithoutOneHasNone) {
    Driver const none = machine(100, 0), stub = machine(34, 0);
    EXPECT_FALSE(numbered_gpu(std::nullopt, nullptr));
    EXPECT_FALSE(numbered_gpu(std::nullopt, &none));
    EXPECT_FALSE(numbered_gpu(std::nullopt, &stub));
    EXPECT_EQ(refusal(3, nullptr),
              "there is no GPU 3: this machine has no NVIDIA GPU that CUDA sees; leave the device out");
}

TEST(Gpu, ANumberThatIsNoneNamesThoseThatThereAre) {
    Driver const two = machine(0, 2);
    for (int const wrong : {2, -1})
        EXPECT_EQ(refusal(wrong, &two), "there is no GPU " + std::to_string(wrong) +
                                            "; there are 0: NVIDIA A10, 1: NVIDIA L4 (CUDA_VISIBLE_DEVICES chooses "
                                            "which are seen)");
}

TEST(Gpu, ADriverThatDoesNotWorkIsSaid) {
    Driver const broken = machine(999, 0);
    EXPECT_EQ(refusal(std::nullopt, &broken),
              "NVIDIA's driver does not work (cuInit: unknown error (999)); install it again, or restart the machine");
    Driver const later = machine(0, 1, 3);
    EXPECT_EQ(refusal(std::nullopt, &later),
              "NVIDIA's driver does not work (cuDeviceGetName: unknown error (3)); install it again, or restart the "
              "machine");
}

TEST(Gpu, PrecisionsHaveAFirstArchitecture) {
    EXPECT_TRUE(has_precision(75, "int8"));
    EXPECT_FALSE(has_precision(86, "fp8"));
    EXPECT_TRUE(has_precision(89, "fp8"));
    EXPECT_TRUE(has_precision(70, "float16"));
}

}  // namespace
}  // namespace fdcn::impl
