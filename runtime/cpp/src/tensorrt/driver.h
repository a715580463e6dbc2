// NVIDIA's driver, opened when it is asked for: nothing of CUDA has to be there for this library to load.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace fdcn::impl {

// The driver's functions that are called here, as cuda.h has them. A CUdevice is an int; a status of 0 is success.
struct Driver {
    int (*init)(unsigned);
    int (*device_count)(int*);
    int (*version)(int*);
    int (*device)(int*, int);
    int (*device_name)(char*, int, int);
    int (*device_attribute)(int*, int, int);
    int (*error_text)(int, char const**);
    int (*retain_context)(void**, int);  // the one that CUDA's runtime has, too
    int (*push_context)(void*);
    int (*pop_context)(void**);

    // What was said of a call that has failed, as "cuInit: no CUDA-capable device is detected (100)".
    std::string said(char const* function, int status) const;
    // Throws std::runtime_error with that where the status is no success.
    void check(char const* function, int status) const;
};

// The machine's driver; null where there is none. Stays open for as long as the process.
Driver const* driver();

// Version of the kernel driver, as 580.65.06, where NVML says it.
std::optional<std::string> driver_version();

}  // namespace fdcn::impl
