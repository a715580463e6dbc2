// The NVIDIA GPUs of this machine, asked of the driver itself: gpu.py.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tensorrt/driver.h"

namespace fdcn::impl {

struct Gpu {
    std::string name;
    int compute;                        // architecture, as 86 for sm_86
    int cuda;                           // newest CUDA version that the driver runs, as 13000
    std::optional<std::string> driver;  // version of the kernel driver, where it is known
    int index = 0;                      // among the devices that CUDA shows this process

    std::string architecture() const { return "sm_" + std::to_string(compute); }
    std::string newest_cuda() const { return std::to_string(cuda / 1000) + "." + std::to_string(cuda % 1000 / 10); }
};

// The device of a number, the first where none is asked for; none where the machine has none and none was asked for.
// `driver` is null where there is none. Throws Error where there is no such device, with those that there are, or where
// the driver does not work.
std::optional<Gpu> numbered_gpu(std::optional<int> index, Driver const* driver);

// Whether GPUs of an architecture multiply in a precision, such as "fp8".
bool has_precision(int compute, std::string_view precision);

}  // namespace fdcn::impl
