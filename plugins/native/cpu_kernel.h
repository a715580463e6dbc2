// The operator on a CPU, in two phases whose units of work callers spread over their threads.
#pragma once

#include "shape.h"

namespace fdcn::cpu {

constexpr int kAlignment = 64;  // of the workspace, in bytes

// All that one call of the operator reads and writes.
struct Call {
    Shape shape;
    void const* projection;
    float const* prior;
    float const* s_max;
    void* out;
    float* workspace;  // `workspace_floats()` floats, aligned to `kAlignment`

    // A group's channels in the workspace: filled up with zeros to whole vectors, so that every row is aligned.
    long long padded() const { return (shape.channels + 15LL) / 16 * 16; }
    // Every image and group has its tokens' values and after them a row of zeros, which corners outside read.
    long long plane() const { return (shape.tokens() + 1) * padded(); }
    long long workspace_floats() const { return shape.images * shape.groups * plane(); }
    // In either phase a unit is one row of tokens. Units of a phase may run in any order and at once.
    long long units() const { return shape.images * shape.rows; }
};

// pack copies the values into the workspace, as float32; sum needs all of it and writes the output.
struct Kernel {
    void (*pack)(Call const&, long long unit);
    void (*sum)(Call const&, long long unit);
};

enum class Type { kFloat32, kFloat16 };

// The fastest kernel that this processor runs.
Kernel kernel(Type type) noexcept;

}  // namespace fdcn::cpu
