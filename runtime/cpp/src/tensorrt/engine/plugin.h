// The operator's plugin, which is part of this library, and the TensorRT that the library is linked with.
#pragma once

#include "tensorrt/choice.h"

namespace fdcn::impl {

// The TensorRT that is loaded, and the CUDA of this library's kernels.
Installed installed_tensorrt();

// Make the operator known to TensorRT, for the rest of the process. What is registered already stays: every build of
// one version of the operator computes the same.
void register_operator();

}  // namespace fdcn::impl
