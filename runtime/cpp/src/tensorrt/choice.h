// Which TensorRT engine of a bundle this machine can load, and what to say where it can load none:
// runtime/backends/choice.py. The operator is part of this library, so that it is never missing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bundle/manifest.h"
#include "tensorrt/gpu.h"

namespace fdcn::impl {

// The one TensorRT that this library is linked with.
struct Installed {
    std::string flavour;  // "tensorrt" or "tensorrt-rtx"
    std::string version;  // whole, as 10.6.0.26
    int cuda;             // major version of the CUDA that this library's kernels are made with
};

struct Machine {
    Gpu gpu;
    Installed installed;
};

// Why an engine cannot be loaded, and what mends it.
struct Obstacle {
    std::string why, mend;
};

// What keeps a machine from loading an engine of a bundle; none where nothing does.
std::optional<Obstacle> obstacle(std::string const& bundle, Engine const& engine, Machine const& machine);

// The newest engine that a machine can load. Throws Error with what is wrong with each where there is none.
Engine const& choose(std::string const& bundle, std::vector<Engine> const& engines, Machine const& machine);

}  // namespace fdcn::impl
