// Several pictures on one sheet: the layout of runtime/grid.py, without captions.
#pragma once

#include <cstdint>
#include <vector>

namespace fdcn::impl {

struct Sheet {
    std::vector<std::uint8_t> pixels;  // [height, width, channels]
    std::int64_t width, height;
};

// Lay out [count, height, width, channels] in rows, in order, on white; small pictures are enlarged.
Sheet sheet(std::uint8_t const* pixels, std::int64_t count, std::int64_t width, std::int64_t height,
            std::int64_t channels);

}  // namespace fdcn::impl
