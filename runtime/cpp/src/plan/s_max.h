// The S_max rule: how far taps reach when a picture is larger than those in training. runtime/s_max.py
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace fdcn::impl {

// Whether the rule touches any of so many blocks.
bool s_max_touches(std::int64_t blocks);
// Reach in token pixels as (x, y) for each block. `stretch` is how many times wider and higher than in training the
// token grid is.
std::vector<float> s_max(double t, std::int64_t blocks, double reach, std::array<double, 2> const& stretch);

}  // namespace fdcn::impl
