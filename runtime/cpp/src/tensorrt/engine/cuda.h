// What CUDA's runtime says of a call.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace fdcn::impl {

// Nothing for success. Throws Error where memory or the driver does not suffice, and std::runtime_error for whatever
// else went wrong; `doing` names the work, and its tensor.
void check(std::string const& doing, char const* function, cudaError_t status);

}  // namespace fdcn::impl
