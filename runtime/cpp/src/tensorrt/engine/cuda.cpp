#include "tensorrt/engine/cuda.h"

#include <stdexcept>

#include "fdcn/fdcn.hpp"
#include "messages.h"

namespace fdcn::impl {

void check(std::string const& doing, char const* function, cudaError_t status) {
    if (status == cudaSuccess) return;
    cudaGetLastError();  // or the next kernel's launch would be blamed for it
    std::string const reason = cudaGetErrorString(status);
    if (status == cudaErrorMemoryAllocation) throw Error(messages::device::memory(doing));
    if (status == cudaErrorInsufficientDriver) throw Error(messages::device::old_driver(doing, reason));
    throw std::runtime_error(doing + ": " + function + ": " + reason + " (" +
                             std::to_string(static_cast<int>(status)) + ")");
}

}  // namespace fdcn::impl
