#include "plan/s_max.h"

#include <algorithm>

#include "tables.h"

namespace fdcn::impl {
namespace {

// The first block that the rule touches, of those that it leaves alone at either end the last.
constexpr std::int64_t kFirst = tables::kOuterBlocks + 1;

}  // namespace

bool s_max_touches(std::int64_t blocks) { return blocks - tables::kOuterBlocks > kFirst; }

std::vector<float> s_max(double t, std::int64_t blocks, double reach, std::array<double, 2> const& stretch) {
    std::vector<float> result(static_cast<std::size_t>(2 * blocks), static_cast<float>(reach));
    if (!(t < tables::kSMaxUntil)) return result;
    double const most = 1 + (tables::kSMaxUntil - t) / tables::kSMaxUntil;
    for (std::int64_t block = kFirst; block < blocks - tables::kOuterBlocks; ++block)
        for (std::size_t side = 0; side < 2; ++side)
            result[2 * static_cast<std::size_t>(block) + side] =
                static_cast<float>(reach * std::min(most, std::max(1.0, stretch[side])));
    return result;
}

}  // namespace fdcn::impl
