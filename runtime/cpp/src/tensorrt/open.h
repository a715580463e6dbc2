// TensorRT's half of opening a bundle; a library that was built without TensorRT has absent.cpp in its place.
#pragma once

#include <memory>

#include "bundle/bundle.h"
#include "fdcn/fdcn.hpp"
#include "sampler/network.h"

namespace fdcn::impl {

// The newest engine of a bundle that this machine's GPU can load, for the backends "tensorrt" and "auto". Null for
// "auto" where the machine has no GPU and none was asked for: then ONNX Runtime is to run it. Throws Error otherwise.
std::unique_ptr<Network> open_tensorrt(std::shared_ptr<Bundle const> bundle, Options const& options);

}  // namespace fdcn::impl
