// ONNX Runtime's half of opening a bundle.
#pragma once

#include <memory>

#include "bundle/bundle.h"
#include "sampler/network.h"

namespace fdcn::impl {

// A bundle's graphs on the CPU: those of the newest engine that was made for this ONNX Runtime, else the portable ones.
// Throws Error where a file is damaged or ONNX Runtime refuses it.
std::unique_ptr<Network> open_onnxruntime(std::shared_ptr<Bundle const> bundle);

}  // namespace fdcn::impl
